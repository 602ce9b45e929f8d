"""Which hour a pair gets, and how long a booking waits for what it needs to know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from scheduling_service.domain.hours import free_spans
from scheduling_service.domain.pledge import MonthsDrawn, Person, has_minutes
from scheduling_service.domain.span import Span, common, merged, without
from scheduling_service.domain.zone import month_of, zone_of

MIN_NOTICE: Final = timedelta(hours=24)
HORIZON: Final = timedelta(weeks=8)
BUFFER: Final = timedelta(minutes=15)
"""Kept free behind every session; behind alone, since a gap on both sides would be doubled."""
GRID: Final = timedelta(minutes=15)
"""Sessions start at :00, :15, :30 or :45 of UTC, which is the same on every clock in use: no zone's
offset is finer (a test looks at all of them)."""
WAIT_LIMIT: Final = timedelta(days=7)
"""How long a booking waits for a fact before it is called unbookable; a late fact revives it."""
RETRY_UNBOOKABLE: Final = timedelta(days=7)
"""An hour that is out of reach today may lie within the horizon in a week."""
_FIRST_WAIT: Final = timedelta(seconds=1)
_LONGEST_WAIT: Final = timedelta(hours=1)


class Reason(StrEnum):
    """Why a pair got no hour."""

    NO_COMMON_HOUR = "no_common_hour"
    NO_MINUTES_LEFT = "no_minutes_left"


@dataclass(frozen=True, slots=True)
class Calendar:
    """A person, and the spans of their time that are already taken (buffers included)."""

    person: Person
    taken: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Wish:
    """A session that a pair of a programme should get, as seen at the second `now`."""

    mentor: Calendar
    mentee: Calendar
    programme_id: str
    minutes: int
    drawn: MonthsDrawn
    """What was drawn from the mentor's pledges."""
    now: int


def bookable_starts(wish: Wish) -> Iterator[int]:
    """Give every start the pair could have, the earliest first; the same wish, the same starts.

    From a start on, both are free for the whole session, and behind it for the buffer wherever
    another session follows; the month it falls into on the mentor's clock has the minutes.
    """
    mentor = wish.mentor.person
    zone = zone_of(mentor.time_zone)
    for start in common_starts(wish):
        month = month_of(start, zone)
        if has_minutes(mentor, wish.programme_id, wish.drawn, month, wish.minutes):
            yield start


def common_starts(wish: Wish) -> Iterator[int]:
    """Give every start that both calendars have room for, whatever the pledge says."""
    begin = wish.now + int(MIN_NOTICE.total_seconds())
    within = (begin, wish.now + int(HORIZON.total_seconds()))
    both = common(_free(wish.mentor, within), _free(wish.mentee, within))
    length = wish.minutes * 60
    for window in both:
        yield from _starts(window, length, begin)


def why_unbookable(wish: Wish) -> Reason:
    """Return what keeps a pair without a bookable start from having one."""
    has_common_hour = next(common_starts(wish), None) is not None
    return Reason.NO_MINUTES_LEFT if has_common_hour else Reason.NO_COMMON_HOUR


def occupied_until(start: int, minutes: int) -> int:
    """Return the end of what a session takes from a calendar: its length and the buffer."""
    return start + minutes * 60 + int(BUFFER.total_seconds())


def wait(tries: int, now: datetime, deadline_at: datetime) -> datetime | None:
    """Return when to look again for a fact that has not arrived; None once the deadline is past.

    A second after the first try, twice as long after each further one, an hour at most. The
    arrival of the fact asks again at once; this only covers what that would miss.
    """
    if now >= deadline_at:
        return None

    pause = min(_FIRST_WAIT * (1 << min(tries, 12)), _LONGEST_WAIT)
    return min(now + pause, deadline_at)


def _free(calendar: Calendar, within: Span) -> list[Span]:
    """Return when a session may run: the weekly hours without what comes too near to another."""
    buffer = int(BUFFER.total_seconds())
    zone = zone_of(calendar.person.time_zone)
    near = merged((begin - buffer, end) for begin, end in calendar.taken)
    return without(free_spans(calendar.person.hours, zone, within), near)


def _starts(window: Span, length: int, begin: int) -> Iterator[int]:
    """Give the starts in one common window: on the grid, or its own begin where none fits.

    A pair whose hours overlap by exactly one session off the grid is still served. `begin` is
    where the search begins: a window that is only cut off there waits for its next week.
    """
    step = int(GRID.total_seconds())
    first = -(-window[0] // step) * step
    last = window[1] - length
    if first <= last:
        yield from range(first, last + 1, step)
        return

    whole_minute = -(-window[0] // 60) * 60
    if begin < window[0] and whole_minute <= last:
        yield whole_minute
