"""Availability, sessions and meeting links."""

from typing import Annotated

from pydantic import Field

from oncomentor_contracts import topics
from oncomentor_contracts.event import (
    Body,
    Event,
    Instant,
    InstitutionId,
    Line,
    MatchId,
    Minutes,
    OpenEnum,
    PersonId,
    SessionId,
    Slug,
    Zone,
)
from oncomentor_contracts.matching import Side
from oncomentor_contracts.profile import WeeklyHours


class AvailabilityChanged(Event):
    """A person's weekly hours as they really are, and what is left of their pledge."""

    TYPE = "availability.changed.v1"
    TOPIC = topics.SCHEDULING_AVAILABILITY
    SUBJECT = "person_id"

    person_id: PersonId
    institution_id: InstitutionId
    time_zone: Zone
    weekly_hours: tuple[WeeklyHours, ...]
    minutes_left_month: Minutes | None = None
    """None where nothing was pledged."""


class AvailabilityDeleted(Event):
    """A person has left; so have their hours."""

    TYPE = "availability.deleted.v1"
    TOPIC = topics.SCHEDULING_AVAILABILITY
    SUBJECT = "person_id"
    TOMBSTONE = True

    person_id: PersonId


class Attendee(Body):
    """Someone a session is for."""

    person_id: PersonId
    institution_id: InstitutionId
    side: Side
    time_zone: Zone


class SessionBooked(Event):
    """An hour is both attendees' and free in neither calendar any more."""

    TYPE = "session.booked.v1"
    TOPIC = topics.SCHEDULING_SESSION
    SUBJECT = "session_id"

    session_id: SessionId
    match_id: MatchId
    programme_id: Slug
    attendees: Annotated[tuple[Attendee, ...], Field(min_length=2)]
    starts_at: Instant
    duration_minutes: Annotated[int, Field(ge=15, le=240)]
    time_zone: Zone
    """The zone the session is anchored in; its local start is kept when the clocks change."""
    ical_uid: Line
    ical_sequence: Annotated[int, Field(ge=0)]


class UnbookableReason(OpenEnum):
    """Why no hour was found."""

    NO_COMMON_HOUR = "no_common_hour"
    NO_MINUTES_LEFT = "no_minutes_left"
    UNKNOWN = "unknown"


class SessionUnbookable(Event):
    """No hour could be found for a match's session; both are asked for more hours."""

    TYPE = "session.unbookable.v1"
    TOPIC = topics.SCHEDULING_SESSION
    SUBJECT = "session_id"

    session_id: SessionId
    match_id: MatchId
    reason: UnbookableReason


class LinkIssued(Event):
    """The meeting link of a session; it travels on no other topic."""

    TYPE = "link.issued.v1"
    TOPIC = topics.SCHEDULING_LINK
    SUBJECT = "session_id"

    session_id: SessionId
    url: Annotated[str, Field(pattern=r"^https?://", max_length=500)]
