"""People and their hours: the pool, and what a change of it sets off.

Both come in bulk. Rows and timers are taken in sorted order, so that slices of several
partitions cannot wait for each other in a ring.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from matching_service.store import people, work
from oncomentor_contracts.event import Event
from oncomentor_contracts.profile import ProfileChanged, ProfileDeleted
from oncomentor_contracts.scheduling import AvailabilityChanged, AvailabilityDeleted
from servicekit.saying.outbox import Cause
from servicekit.tx import Tx

E = TypeVar("E", ProfileChanged, AvailabilityChanged)


async def keep_people(events: Sequence[ProfileChanged], tx: Tx) -> Sequence[Event]:
    """Keep profiles and roles; have a mentor looked for, and open matches judged again.

    Of several profiles of a person the last counts. One older than what is kept changes nothing.
    """
    latest = _latest(events)
    kept = await people.list_versions(tx, latest.keys())
    fresh = [event for event in latest.values() if event.version >= kept.get(event.person_id, 0)]
    if not fresh:
        return []

    await people.upsert_people(tx, fresh)
    await people.replace_roles(tx, fresh)
    # Who is new cannot have been proposed yet, so nothing of theirs needs judging again.
    await _set_off(tx, {e.person_id: e for e in fresh}, known=kept)
    return []


async def forget_person(event: ProfileDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a person; their open matches are then withdrawn."""
    await people.delete_person(tx, event.person_id)
    await work.schedule_recheck(tx, work.PERSON, event.person_id)
    return []


async def keep_availabilities(events: Sequence[AvailabilityChanged], tx: Tx) -> Sequence[Event]:
    """Keep people's real hours; have a mentor looked for, and open matches judged again."""
    latest = _latest(events)
    await people.upsert_availabilities(tx, list(latest.values()))
    await _set_off(tx, latest, known=await people.list_versions(tx, latest.keys()))
    return []


async def forget_availability(event: AvailabilityDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a person's real hours; those of the profile count again, if it is still there."""
    await people.delete_availability(tx, event.person_id)
    return []


def _latest(events: Iterable[E]) -> dict[UUID, E]:
    """Return the last event of each person, by person id in order."""
    last = {event.person_id: event for event in events}
    return dict(sorted(last.items()))


async def _set_off(tx: Tx, changed: Mapping[UUID, E], known: Collection[UUID]) -> None:
    """Put on the work queue what changed people mean, each with its event as the cause."""
    before = tx.cause
    programmes: set[str] = set()
    for person_id, side, programme_id in await people.list_roles(tx, changed.keys()):
        tx.cause = Cause.of(changed[person_id].envelope)
        if side == "mentor":
            programmes.add(programme_id)
        else:
            await work.schedule_proposal(tx, programme_id, person_id)
    for person_id, event in changed.items():
        if person_id in known:
            tx.cause = Cause.of(event.envelope)
            await work.schedule_recheck(tx, work.PERSON, person_id)
    tx.cause = Cause.of(list(changed.values())[-1].envelope)
    await work.schedule_waiting(tx, programmes)
    tx.cause = before
