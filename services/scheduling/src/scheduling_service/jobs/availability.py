"""Saying what people's availability is now, whenever it differs from what was said last."""

from collections.abc import Collection, Sequence
from dataclasses import astuple
from typing import Final
from uuid import UUID

from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.profile import WeeklyHours
from oncomentor_contracts.scheduling import AvailabilityChanged, AvailabilityDeleted
from scheduling_service.domain import work
from scheduling_service.domain.hours import clock
from scheduling_service.domain.pledge import Availability, availability_of
from scheduling_service.domain.zone import month_after, month_of, utc, wall_instant, zone_of
from scheduling_service.store import calendar, projection
from servicekit.saying import outbox
from servicekit.saying.outbox import NO_CAUSE, Cause
from servicekit.subscription import Timer
from servicekit.tx import Tx

_PEOPLE_PER_JOB: Final = 500  # their calendars stay locked until all of them are said
_MOST_MINUTES: Final = 100_000  # what the contract can say; pledges are summed


async def refresh_people(timer: Timer, tx: Tx) -> Sequence[Event]:
    """Say the availability of the people the timer names, where it has changed.

    Each event carries the cause of the change to that person, not of the batch they came in.
    Matches of theirs without a session are tried again: their hours or minutes may hold one now.

    Emits:
        AvailabilityChanged, AvailabilityDeleted.
    """
    causes = {
        UUID(person_id): Cause(*cause) for person_id, cause in timer.payload["people"].items()
    }
    await calendar.lock_calendars(tx, causes)
    changes = await say_availability(tx, causes)
    await outbox.append(tx, [(change, causes[change.person_id]) for change in changes])
    await _await_months(tx, await projection.list_pledged_zones(tx, causes))
    if await projection.list_open_matches(tx, person_ids=causes):
        waited_for = {"person_ids": [str(person_id) for person_id in causes]}
        await tx.schedule(work.RETRY_BOOKINGS, timer.key, tx.now, waited_for)
    return []


async def turn_month(timer: Timer, tx: Tx) -> Sequence[Event]:
    """Have everybody in a zone with a pledge looked at again: their month is a new one."""
    zone: str = timer.payload["time_zone"]
    pledged = await projection.list_pledged_people(tx, zone)
    for start in range(0, len(pledged), _PEOPLE_PER_JOB):
        batch = pledged[start : start + _PEOPLE_PER_JOB]
        people = {str(person_id): astuple(NO_CAUSE) for person_id in batch}
        await tx.schedule(work.REFRESH_PEOPLE, str(uuid7(tx.now)), tx.now, {"people": people})
    if pledged:
        await _await_months(tx, [zone])
    return []


async def say_availability(
    tx: Tx, person_ids: Collection[UUID]
) -> list[AvailabilityChanged | AvailabilityDeleted]:
    """Return what is to be said of people's availability, in id order, and remember it as said.

    Their calendars must be locked. Nothing is said of those for whom nothing has changed.
    """
    said = await calendar.list_availabilities(tx, person_ids)
    people = await projection.list_people(tx, person_ids)
    drawn = await calendar.list_minutes_drawn(tx, person_ids)
    now = int(tx.now.timestamp())
    current = {
        person.person_id: availability_of(person, drawn.get(person.person_id, {}), now)
        for person in people.values()
    }
    changed = [a for person_id, a in sorted(current.items()) if said.get(person_id) != a]
    gone = sorted(said.keys() - current.keys())
    if changed:
        await calendar.update_availabilities(tx, changed)
    if gone:
        await calendar.update_availabilities_gone(tx, gone)
    return [
        *(_changed(availability) for availability in changed),
        *(AvailabilityDeleted(person_id=person_id) for person_id in gone),
    ]


async def _await_months(tx: Tx, zones: Sequence[str]) -> None:
    """Set a timer for the start of each zone's next month, one per zone and month."""
    for name in zones:
        zone = zone_of(name)
        month = month_after(month_of(int(tx.now.timestamp()), zone))
        due_at = utc(wall_instant(month, 0, zone))
        key = f"{name} {month.isoformat()}"
        await tx.schedule(work.TURN_MONTH, key, due_at, {"time_zone": name})


def _changed(availability: Availability) -> AvailabilityChanged:
    left = availability.minutes_left_month
    return AvailabilityChanged(
        person_id=availability.person_id,
        institution_id=availability.institution_id,
        time_zone=availability.time_zone,
        weekly_hours=tuple(
            WeeklyHours(weekday=w.weekday, starts=clock(w.starts), ends=clock(w.ends))
            for w in availability.hours
        ),
        minutes_left_month=None if left is None else min(left, _MOST_MINUTES),
    )
