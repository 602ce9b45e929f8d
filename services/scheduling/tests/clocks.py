"""An oracle for wall time: it only ever asks what a clock shows at an instant, minute by minute."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property

from scheduling_service.domain.hours import WeeklyWindow
from scheduling_service.domain.zone import local_time, zone_of

# Changes of an hour, half an hour, two hours, none, before and after midnight, and at Ramadan.
ZONES = (
    "America/New_York", "Europe/Lisbon", "Australia/Lord_Howe", "Asia/Kolkata",
    "Africa/Casablanca", "Antarctica/Troll", "America/Havana", "Africa/Cairo",
    "America/Santiago", "Asia/Beirut", "Pacific/Chatham", "America/Scoresbysund",
    "Europe/Dublin", "Asia/Kathmandu",
)  # fmt: skip
_QUARTER = 15


@dataclass(frozen=True)
class Clock:
    """What the clocks of a zone show in a stretch of minutes (since 1970, UTC)."""

    zone: str
    begin: int
    end: int

    @cached_property
    def shown(self) -> list[int]:
        """The wall time of each minute, as minutes since 1970 on the local calendar."""
        return [
            minute + offset
            for quarter in range(self.begin, self.end, _QUARTER)
            for offset in [_offset(quarter, self.zone)]
            for minute in range(quarter, quarter + _QUARTER)
        ]

    @cached_property
    def first(self) -> dict[int, int]:
        """The first minute at which each wall time is shown."""
        found: dict[int, int] = {}
        for index, wall in enumerate(self.shown):
            found.setdefault(wall, self.begin + index)
        return found

    def minute_of(self, wall: int) -> int:
        """When a wall time is: the first where it is shown twice, by the old offset in a gap."""
        if wall in self.first:
            return self.first[wall]
        before = max(index for index, shown in enumerate(self.shown) if shown < wall)
        return wall - (self.shown[before] - (self.begin + before))

    def free(self, windows: tuple[WeeklyWindow, ...]) -> set[int]:
        """Every minute that belongs to the weekly hours."""
        epoch = date(1970, 1, 1)
        first, last = (self.shown[index] // 1440 for index in (0, -1))
        return {
            minute
            for day in range(first + 2, last - 1)
            for window in windows
            if (epoch + timedelta(days=day)).isoweekday() == window.weekday
            for minute in range(
                self.minute_of(day * 1440 + window.starts // 60),
                self.minute_of(day * 1440 + window.ends // 60),
            )
        }


@cache
def clock(zone: str, begin: int, end: int) -> Clock:
    return Clock(zone, begin, end)


@cache
def changes(zone: str) -> tuple[int, ...]:
    """The minutes of 2026 and 2027 at which the clocks change; mid-2026 where they never do."""
    quarters = range(29_454_720, 29_454_720 + 730 * 1440, _QUARTER)
    found = tuple(
        quarter
        for quarter in quarters
        if _offset(quarter, zone) != _offset(quarter - _QUARTER, zone)
    )
    return found or (29_712_000,)


def _offset(minute: int, zone: str) -> int:
    offset = local_time(minute * 60, zone_of(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) // 60
