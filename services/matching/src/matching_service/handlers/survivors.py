"""Survivor blocks and their keys: kept closed, and what a change of them sets off."""

from collections.abc import Sequence
from uuid import UUID

from matching_service.domain.pool import SURVIVORSHIP
from matching_service.store import people, survivors, work
from oncomentor_contracts.block import KeyChanged, KeyDeleted, SurvivorChanged, SurvivorDeleted
from oncomentor_contracts.event import Event
from servicekit.tx import Tx


async def keep_block(event: SurvivorChanged, tx: Tx) -> Sequence[Event]:
    """Keep a survivor's block as it came, encrypted."""
    await survivors.upsert_block(tx, event)
    return await _survivor_changed(tx, event.person_id)


async def forget_block(event: SurvivorDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a survivor's block; open matches of the lane are then withdrawn."""
    await survivors.delete_block(tx, event.person_id)
    return await _survivor_changed(tx, event.person_id)


async def keep_key(event: KeyChanged, tx: Tx) -> Sequence[Event]:
    """Keep the key that opens a person's block, sealed to this service."""
    await survivors.upsert_key(tx, event)
    return await _survivor_changed(tx, event.person_id)


async def forget_key(event: KeyDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a person's key; what it opened is noise from here on."""
    await survivors.delete_key(tx, event.person_id)
    return []


async def _survivor_changed(tx: Tx, person_id: UUID) -> Sequence[Event]:
    """Have a survivor looked at in the programmes of the lane; other programmes do not care."""
    roles = await people.list_roles(tx, [person_id], kind=SURVIVORSHIP)
    if roles:
        await work.schedule_recheck(tx, work.PERSON, person_id)
    for _, side, programme_id in roles:
        if side == "mentee":
            await work.schedule_proposal(tx, programme_id, person_id)
    await work.schedule_waiting(tx, [p for _, side, p in roles if side == "mentor"])
    return []
