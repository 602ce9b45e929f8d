"""Institutions and programmes: what they allow changes what may be proposed, and what stands."""

from collections.abc import Sequence

from matching_service.store import registry, work
from oncomentor_contracts.event import Event
from oncomentor_contracts.institution import InstitutionChanged, InstitutionDeleted
from oncomentor_contracts.programme import ProgrammeChanged, ProgrammeDeleted
from servicekit.tx import Tx


async def keep_institution(event: InstitutionChanged, tx: Tx) -> Sequence[Event]:
    """Keep a center's policy; have its open matches judged again and those who wait looked at."""
    await registry.upsert_institution(tx, event)
    return await _center_changed(tx, event.institution_id)


async def forget_institution(event: InstitutionDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a center; its open matches are then withdrawn."""
    await registry.delete_institution(tx, event.institution_id)
    return await _center_changed(tx, event.institution_id)


async def _center_changed(tx: Tx, institution_id: str) -> Sequence[Event]:
    await work.schedule_recheck(tx, work.INSTITUTION, institution_id)
    await work.schedule_waiting(tx, await registry.list_programmes_of(tx, institution_id))
    return []


async def keep_programme(event: ProgrammeChanged, tx: Tx) -> Sequence[Event]:
    """Keep a programme; have its open matches judged again and those who wait looked at."""
    await registry.upsert_programme(tx, event)
    return await _programme_changed(tx, event.programme_id)


async def forget_programme(event: ProgrammeDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a programme; its open matches are then withdrawn."""
    await registry.delete_programme(tx, event.programme_id)
    return await _programme_changed(tx, event.programme_id)


async def _programme_changed(tx: Tx, programme_id: str) -> Sequence[Event]:
    await work.schedule_recheck(tx, work.PROGRAMME, programme_id)
    await work.schedule_waiting(tx, [programme_id])
    return []
