"""A session: an hour that two people share, fixed in the zone it is anchored in."""

from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from uuid import UUID

from scheduling_service.domain.booking import occupied_until
from scheduling_service.domain.pledge import Person
from scheduling_service.domain.zone import local_time, utc, zone_of


class Side(StrEnum):
    """Which half of the pair somebody is."""

    MENTOR = "mentor"
    MENTEE = "mentee"


@dataclass(frozen=True, slots=True)
class Attendee:
    """Someone a session is for, with the zone it is shown to them in."""

    person_id: UUID
    institution_id: str
    side: Side
    time_zone: str

    @classmethod
    def of(cls, person: Person, side: Side) -> "Attendee":
        """Return a person as an attendee."""
        return cls(person.person_id, person.institution_id, side, person.time_zone)


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a match; `start` is in seconds since 1970 UTC.

    What is kept when the clocks' rules change is the wall time in `time_zone` and the length.
    """

    session_id: UUID
    match_id: UUID
    programme_id: str
    attendees: tuple[Attendee, ...]
    start: int
    minutes: int
    time_zone: str

    @property
    def starts_at(self) -> datetime:
        """The start in UTC."""
        return utc(self.start)

    @property
    def ends_at(self) -> datetime:
        """The end in UTC: exact elapsed time behind the start."""
        return utc(self.start + self.minutes * 60)

    @property
    def occupied_until(self) -> datetime:
        """When the attendees' calendars are free again."""
        return utc(occupied_until(self.start, self.minutes))

    @property
    def starts_on(self) -> date:
        """The day of the start on the anchor zone's calendar."""
        return local_time(self.start, zone_of(self.time_zone)).date()

    @property
    def wall_time(self) -> time:
        """The time of the start on the anchor zone's clock."""
        return local_time(self.start, zone_of(self.time_zone)).time()

    @property
    def ical_uid(self) -> str:
        """The iCalendar UID, the same for every change of the session (RFC 5545, 3.8.4.7)."""
        return f"{self.session_id}@oncomentor"


@dataclass(frozen=True, slots=True)
class Draw:
    """Minutes that a session takes from a mentor's pledge, which must not pass `pledged`."""

    person_id: UUID
    programme_id: str
    month: date
    minutes: int
    pledged: int
