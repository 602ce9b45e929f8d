"""Time zones of the pinned tz database.

The package `tzdata` is read, never the machine's own files: a pair has the same hours in common on
every machine.
"""

from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo


@cache
def zone_of(name: str) -> ZoneInfo | None:
    """Return the zone of an IANA name; None where the pinned database does not have it."""
    if name not in _names():
        return None

    path = resources.files("tzdata.zoneinfo").joinpath(*name.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def _names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())
