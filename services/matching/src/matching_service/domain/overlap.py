"""Weekly hours of two people on one clock: real minutes, with every change of the clocks in them.

Weekly hours are local: "Tuesdays 9 to 11 in Lisbon". When they are in UTC depends on the week, so
they are laid out for a given week and compared there.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from matching_service.domain.zone import zone_of

Hours = tuple[tuple[int, int, int], ...]
"""(ISO weekday, minute of the day it starts, minute it ends), local; 1440 is the day's end."""
Stretches = tuple[tuple[int, int], ...]
"""[start, end) in minutes since the first instant of the week, sorted, not touching."""

DAY = 24 * 60
WEEK = 7 * DAY
_TAIL = DAY  # laid out beyond the week, so that a stretch over its end is seen whole
_MINUTE = timedelta(minutes=1)


def week_of(instant: datetime) -> datetime:
    """Return the first instant of the seven days that begin with the UTC day of `instant`."""
    return datetime.combine(instant.astimezone(UTC).date(), time(), UTC)


@lru_cache(maxsize=16384)
def laid_out(hours: Hours, time_zone: str, week: datetime) -> Stretches:
    """Return when someone with these local hours is free in the week from `week` on (UTC).

    The eighth day is there too, so that what begins in the week ends where it really does. A
    start or an end that the clocks skip is read with the offset before the gap; one that comes
    twice is the first. A zone that the tz database does not have leaves no time at all.

    Source: RFC 5545, section 3.3.5 (local times in gaps and folds).
    """
    zone = zone_of(time_zone)
    if zone is None:
        return ()

    found = []
    first = week.astimezone(UTC).date() - timedelta(days=1)  # zones are up to 14 h ahead
    for offset in range(10):
        day = first + timedelta(days=offset)
        for weekday, starts, ends in hours:
            if weekday == day.isoweekday():
                midnight = datetime.combine(day, time())
                found.append(
                    (_minute(midnight, starts, zone, week), _minute(midnight, ends, zone, week))
                )
    return merged((max(start, 0), min(end, WEEK + _TAIL)) for start, end in found)


def merged(stretches: Iterable[tuple[int, int]]) -> Stretches:
    """Return stretches sorted, the empty left out, those that touch joined."""
    result: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if end <= start:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return tuple(result)


def common(ours: Stretches, theirs: Stretches) -> Stretches:
    """Return when both are free."""
    result = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        start = max(ours[i][0], theirs[j][0])
        end = min(ours[i][1], theirs[j][1])
        if start < end:
            result.append((start, end))
        if ours[i][1] < theirs[j][1]:
            i += 1
        else:
            j += 1
    return tuple(result)


def longest(stretches: Sequence[tuple[int, int]]) -> int:
    """Return the minutes of the longest stretch that begins within the week; 0 for none."""
    return max((end - start for start, end in stretches if start < WEEK), default=0)


def total(stretches: Sequence[tuple[int, int]]) -> int:
    """Return the minutes within the week."""
    return sum(min(end, WEEK) - start for start, end in stretches if start < WEEK)


def _minute(midnight: datetime, minute: int, zone: ZoneInfo, week: datetime) -> int:
    """Return a local time as whole minutes since the week's first instant."""
    local = (midnight + timedelta(minutes=minute)).replace(tzinfo=zone, fold=0)
    return (local.astimezone(UTC) - week) // _MINUTE
