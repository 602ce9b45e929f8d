"""Queries over HTTP: a center sees the sessions of its people, and their availability."""

import base64
from datetime import UTC, date, datetime, time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from scheduling_service.domain.hours import WeeklyWindow, clock
from scheduling_service.domain.session import Side
from scheduling_service.store import calendar
from scheduling_service.store import session as store
from servicekit.edge.http import Api, Caller, ProblemError

router = APIRouter(prefix="/v1")

_FROM_THE_START = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


class AttendeeView(BaseModel):
    """Someone a session is for."""

    person_id: UUID
    institution_id: str
    side: Side
    time_zone: str


class SessionView(BaseModel):
    """A session; `starts_on` and `wall_time` are on the clock of `time_zone`. No link is shown."""

    session_id: UUID
    match_id: UUID
    programme_id: str
    status: str
    starts_at: datetime
    ends_at: datetime
    starts_on: date
    wall_time: time
    time_zone: str
    duration_minutes: int
    tzdb_version: str
    ical_uid: str
    ical_sequence: int
    attendees: tuple[AttendeeView, ...]


class SessionPage(BaseModel):
    """Some sessions, the earliest first; `next` is the `after` of what follows, or null."""

    sessions: tuple[SessionView, ...]
    next: str | None


class WeeklyHoursView(BaseModel):
    """Hours of a weekday (Monday is 1); `ends` 00:00 is the end of the day."""

    weekday: int
    starts: time
    ends: time


class AvailabilityView(BaseModel):
    """A person's availability as the network was told last."""

    person_id: UUID
    institution_id: str
    time_zone: str
    weekly_hours: tuple[WeeklyHoursView, ...]
    minutes_left_month: int | None


@router.get("/sessions")
async def list_sessions(
    caller: Caller,
    api: Api,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> SessionPage:
    """Return the sessions of the center's people (operators: all), the earliest first."""
    behind = _FROM_THE_START if after is None else _cursor(after)
    async with api.transaction(institution_id=caller.scope) as tx:
        rows = await store.list_sessions(tx, after=behind, limit=limit)

    sessions = tuple(SessionView.model_validate(row, from_attributes=True) for row in rows)
    more = len(sessions) == limit
    return SessionPage(sessions=sessions, next=_cursor_of(sessions[-1]) if more else None)


@router.get("/sessions/{session_id}")
async def get_session(session_id: UUID, caller: Caller, api: Api) -> SessionView:
    """Return one session; a center that has no part in it is told that there is none."""
    async with api.transaction(institution_id=caller.scope) as tx:
        row = await store.get_session(tx, session_id)
    if row is None:
        raise ProblemError(404, "No such session", "List yours with GET /v1/sessions.")

    return SessionView.model_validate(row, from_attributes=True)


@router.get("/people/{person_id}/availability")
async def get_availability(person_id: UUID, caller: Caller, api: Api) -> AvailabilityView:
    """Return the availability of one of the center's people, as it was said last."""
    async with api.transaction(institution_id=caller.scope) as tx:
        found = await calendar.list_availabilities(tx, [person_id])
    if person_id not in found:
        raise ProblemError(
            404, "No such person", "Only people that your center has published have availability."
        )

    availability = found[person_id]
    return AvailabilityView(
        person_id=availability.person_id,
        institution_id=availability.institution_id,
        time_zone=availability.time_zone,
        weekly_hours=tuple(_hours(window) for window in availability.hours),
        minutes_left_month=availability.minutes_left_month,
    )


def _hours(window: WeeklyWindow) -> WeeklyHoursView:
    return WeeklyHoursView(
        weekday=window.weekday, starts=clock(window.starts), ends=clock(window.ends)
    )


def _cursor_of(session: SessionView) -> str:
    text = f"{session.starts_at.isoformat()} {session.session_id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _cursor(after: str) -> tuple[datetime, UUID]:
    try:
        starts_at, _, session_id = base64.urlsafe_b64decode(after).decode().partition(" ")
        return datetime.fromisoformat(starts_at).astimezone(UTC), UUID(session_id)
    except (ValueError, OverflowError) as error:
        raise ProblemError(
            422, "Invalid cursor", "Send 'after' as the 'next' of an earlier answer."
        ) from error
