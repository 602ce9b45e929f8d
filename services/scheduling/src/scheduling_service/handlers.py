"""What scheduling hears, kept as rows; whatever follows from it is left to the jobs.

A handler waits for no lock that a job holds: calendars and outgoing sequences are the jobs', and
work is queued under keys of its own. So a partition never waits for a booking, or deadlocks with
one.
"""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import time
from uuid import UUID

from oncomentor_contracts import topics
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.institution import (
    InstitutionChanged,
    InstitutionDeleted,
    InstitutionState,
)
from oncomentor_contracts.matching import MatchActivated
from oncomentor_contracts.profile import ProfileChanged, ProfileDeleted, WeeklyHours
from oncomentor_contracts.programme import ProgrammeChanged, ProgrammeDeleted
from scheduling_service.domain import work
from scheduling_service.domain.booking import WAIT_LIMIT
from scheduling_service.domain.hours import (
    DAY_SECONDS,
    InvalidHoursError,
    WeeklyWindow,
    tidied,
)
from scheduling_service.domain.match import Booking, Match
from scheduling_service.domain.pledge import Person
from scheduling_service.domain.zone import UnknownZoneError, zone_of
from scheduling_service.store import projection
from servicekit.errors import UnprocessableError
from servicekit.saying.outbox import Cause
from servicekit.subscription import Bulk, Subscription
from servicekit.tx import Tx

_PEOPLE_PER_JOB = 500  # their calendars stay locked until all of them are said


async def project_institution(event: InstitutionChanged, tx: Tx) -> Sequence[Event]:
    """Keep whether a center takes part; bookings may have waited for it."""
    active = event.state is InstitutionState.ACTIVE
    await projection.upsert_institution(tx, event.institution_id, active=active)
    if active:
        await tx.schedule(
            work.RETRY_BOOKINGS,
            f"institution/{event.institution_id}",
            tx.now,
            {"institution_id": event.institution_id},
        )
    return []


async def forget_institution(event: InstitutionDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a center: nothing new is booked for its people."""
    await projection.delete_institution(tx, event.institution_id)
    return []


async def project_programme(event: ProgrammeChanged, tx: Tx) -> Sequence[Event]:
    """Keep how long a programme's sessions are; bookings may have waited for it."""
    await projection.upsert_programme(tx, event.programme_id, event.session_minutes)
    await tx.schedule(
        work.RETRY_BOOKINGS,
        f"programme/{event.programme_id}",
        tx.now,
        {"programme_id": event.programme_id},
    )
    return []


async def forget_programme(event: ProgrammeDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a programme: nothing new is booked in it."""
    await projection.delete_programme(tx, event.programme_id)
    return []


async def project_people(events: Sequence[ProfileChanged], tx: Tx) -> Sequence[Event]:
    """Keep the hours and pledges of people; what that makes of their availability is a job.

    Raises:
        UnprocessableError: a zone is not in the pinned tz database, or weekly hours are no part
            of a week; the center's next profile of that person replaces this one.
    """
    latest = {event.person_id: event for event in events}
    await projection.upsert_people(tx, [_person(event) for event in latest.values()])
    await _queue_refresh(tx, {key: Cause.of(event.envelope) for key, event in latest.items()})
    return []


async def forget_people(events: Sequence[ProfileDeleted], tx: Tx) -> Sequence[Event]:
    """Forget the hours and pledges of people who have left."""
    causes = {event.person_id: Cause.of(event.envelope) for event in events}
    await projection.delete_people(tx, causes)
    await _queue_refresh(tx, causes)
    return []


async def await_first_session(event: MatchActivated, tx: Tx) -> Sequence[Event]:
    """Keep a match that became active, and queue the booking of its first session."""
    match = Match(
        match_id=event.match_id,
        programme_id=event.programme_id,
        mentor_id=event.mentor.person_id,
        mentee_id=event.mentee.person_id,
        booking=Booking.PENDING,
        reason=None,
        tries=0,
        deadline_at=tx.now + WAIT_LIMIT,
    )
    await projection.insert_match(
        tx,
        match,
        institution_ids=(event.mentor.institution_id, event.mentee.institution_id),
        activated_at=event.activated_at,
    )
    await tx.schedule(work.BOOK_FIRST_SESSION, str(event.match_id), tx.now)
    return []


async def _queue_refresh(tx: Tx, causes: dict[UUID, Cause]) -> None:
    """Queue the saying of people's availability, each with the cause of the change to it."""
    listed = [(str(person_id), astuple(cause)) for person_id, cause in causes.items()]
    for start in range(0, len(listed), _PEOPLE_PER_JOB):
        people = dict(listed[start : start + _PEOPLE_PER_JOB])
        await tx.schedule(work.REFRESH_PEOPLE, str(uuid7(tx.now)), tx.now, {"people": people})


def _person(event: ProfileChanged) -> Person:
    profile = event.profile
    try:
        zone_of(profile.time_zone)
        hours = tidied(_window(window) for window in profile.weekly_hours)
    except (UnknownZoneError, InvalidHoursError) as error:
        raise UnprocessableError(str(error)) from error

    return Person(
        person_id=event.person_id,
        institution_id=event.institution_id,
        time_zone=profile.time_zone,
        hours=hours,
        pledges={
            role.programme_id: role.protected_minutes_month
            for role in profile.mentor_roles
            if role.protected_minutes_month is not None
        },
    )


def _window(hours: WeeklyHours) -> WeeklyWindow:
    return WeeklyWindow(hours.weekday, _second(hours.starts), _second(hours.ends) or DAY_SECONDS)


def _second(local: time) -> int:
    return local.hour * 3600 + local.minute * 60 + local.second


def subscriptions() -> tuple[Subscription, ...]:
    """Return what the service hears: the index of this module."""
    return (
        Subscription(
            topics.PROFILE_INSTITUTION,
            {InstitutionChanged: project_institution, InstitutionDeleted: forget_institution},
        ),
        Subscription(
            topics.PROFILE_PROGRAMME,
            {ProgrammeChanged: project_programme, ProgrammeDeleted: forget_programme},
        ),
        Subscription(
            topics.PROFILE_PROFILE,
            {ProfileChanged: Bulk(project_people), ProfileDeleted: Bulk(forget_people)},
        ),
        Subscription(topics.MATCHING_MATCH, {MatchActivated: await_first_session}),
    )
