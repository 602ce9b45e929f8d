"""Protected time: the minutes a month that a center pledged, and what sessions drew from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from scheduling_service.domain.hours import WeeklyWindow
from scheduling_service.domain.zone import month_of, zone_of

MonthsDrawn = Mapping[tuple[str, date], int]
"""Minutes that booked sessions took, by programme and month (its first day)."""


@dataclass(frozen=True, slots=True)
class Person:
    """What scheduling knows of somebody; hours and months are those of `time_zone`."""

    person_id: UUID
    institution_id: str
    time_zone: str
    hours: tuple[WeeklyWindow, ...]
    pledges: Mapping[str, int] = field(default_factory=dict)
    """Minutes a month, by programme; a programme that is not here pledged nothing."""


@dataclass(frozen=True, slots=True)
class Availability:
    """What the network is told: weekly hours as they are, and what is left of the pledge."""

    person_id: UUID
    institution_id: str
    time_zone: str
    hours: tuple[WeeklyWindow, ...]
    minutes_left_month: int | None


def availability_of(person: Person, drawn: MonthsDrawn, now: int) -> Availability:
    """Return a person's availability; the month is the one that `now` falls into for them.

    Pledges of several programmes are summed; None where none of them pledged anything.
    """
    month = month_of(now, zone_of(person.time_zone))
    left = [
        max(0, pledged - drawn.get((programme_id, month), 0))
        for programme_id, pledged in person.pledges.items()
    ]
    return Availability(
        person_id=person.person_id,
        institution_id=person.institution_id,
        time_zone=person.time_zone,
        hours=person.hours,
        minutes_left_month=sum(left) if left else None,
    )


def has_minutes(
    mentor: Person, programme_id: str, drawn: MonthsDrawn, month: date, minutes: int
) -> bool:
    """Return whether a session of `minutes` still fits into the mentor's pledge for a month.

    Always where nothing was pledged in the programme: then nothing limits them.
    """
    pledged = mentor.pledges.get(programme_id)
    return pledged is None or drawn.get((programme_id, month), 0) + minutes <= pledged
