"""The hours a person is free every week, and what they come to on the clock of the world."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from scheduling_service.domain.span import Span, merged
from scheduling_service.domain.zone import local_time, utc, wall_instant

DAY_SECONDS: Final = 86_400
_SUNDAY: Final = 7


class InvalidHoursError(ValueError):
    """A window that no week has; the text says why."""


@dataclass(frozen=True, slots=True, order=True)
class WeeklyWindow:
    """From `starts` to `ends` of a weekday (Monday is 1), in seconds after midnight.

    `ends` is later than `starts`; 86,400 is the end of the day.
    """

    weekday: int
    starts: int
    ends: int

    def __post_init__(self) -> None:
        """Refuse what is no part of a day.

        Raises:
            InvalidHoursError: the weekday is not 1 to 7, or the window ends before it starts.
        """
        if not 1 <= self.weekday <= _SUNDAY:
            raise InvalidHoursError(f"weekday {self.weekday} is not 1 (Monday) to 7 (Sunday)")
        if not 0 <= self.starts < self.ends <= DAY_SECONDS:
            raise InvalidHoursError("a window of weekly hours must end later than it starts")


def tidied(windows: Iterable[WeeklyWindow]) -> tuple[WeeklyWindow, ...]:
    """Return the same hours with as few windows as there can be, from Monday on."""
    listed = tuple(windows)
    return tuple(
        WeeklyWindow(weekday, starts, ends)
        for weekday in range(1, _SUNDAY + 1)
        for starts, ends in merged((w.starts, w.ends) for w in listed if w.weekday == weekday)
    )


def clock(second: int) -> time:
    """Return a second of the day as a time; the end of the day is 00:00, as the contract says."""
    return utc(second).time()


def free_spans(windows: Sequence[WeeklyWindow], zone: ZoneInfo, within: Span) -> list[Span]:
    """Return when the clocks of `zone` are inside the weekly hours, cut to `within`.

    Both ends of a window are read by the rule of `wall_instant` on each day of its own, so a
    window keeps its wall time when the clocks change; one that falls into a gap is left out.
    """
    begin, end = within
    spans = (
        (max(begin, wall_instant(day, w.starts, zone)), min(end, wall_instant(day, w.ends, zone)))
        for day in _days(begin, end, zone)
        for w in windows
        if w.weekday == day.isoweekday()
    )
    return merged(spans)


def _days(begin: int, end: int, zone: ZoneInfo) -> Iterator[date]:
    """Give every day that a part of the range may belong to, one more on either side.

    A time that the clocks skip is read on the far side of the gap, and clocks that go back over
    midnight show the next day before this one ends: there a day reaches into its neighbour.
    """
    day = local_time(begin, zone).date() - timedelta(days=1)
    last = local_time(end, zone).date() + timedelta(days=1)
    while day <= last:
        yield day
        day += timedelta(days=1)
