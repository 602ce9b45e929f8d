"""Time zones of the pinned tz database, and wall time read as instants.

The package `tzdata` is read, never the machine's own files: the same booking is computed on every
machine, and a session can say by which database its instant was computed.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]  # data without annotations

TZDB_VERSION: Final[str] = tzdata.IANA_VERSION
"""The release of the IANA database, such as `2026f`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownZoneError(ValueError):
    """The pinned tz database has no such zone."""


@cache
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of an IANA name, from the pinned database.

    Raises:
        UnknownZoneError: there is none; a newer database may have it.
    """
    if name not in names():
        raise UnknownZoneError(f"time zone {name} is not in tz database {TZDB_VERSION}")

    path = resources.files("tzdata.zoneinfo").joinpath(*name.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def wall_instant(day: date, second: int, zone: ZoneInfo) -> int:
    """Return when the clocks of `zone` show `second` seconds after midnight of `day`.

    86,400 is the midnight that ends the day. A time that the clocks skip is read with the offset
    before the gap; one that they show twice is the first.

    Source: RFC 5545, section 3.3.5, for both; PEP 495, `fold=0` means just that.
    """
    wall = datetime.combine(day, time(), zone) + timedelta(seconds=second)
    return int(wall.timestamp())


def utc(instant: int) -> datetime:
    """Return an instant as a UTC datetime."""
    return _EPOCH + timedelta(seconds=instant)


def local_time(instant: int, zone: ZoneInfo) -> datetime:
    """Return what the clocks of `zone` show at an instant."""
    return utc(instant).astimezone(zone)


def month_of(instant: int, zone: ZoneInfo) -> date:
    """Return the first day of the month that `instant` falls into in `zone`."""
    return local_time(instant, zone).date().replace(day=1)


def month_after(month: date) -> date:
    """Return the first day of the next month."""
    return (month + timedelta(days=31)).replace(day=1)


@cache
def names() -> frozenset[str]:
    """Return the names of all zones."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())
