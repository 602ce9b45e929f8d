"""What centers say of themselves and of the programmes they own."""

from collections.abc import Sequence
from typing import TypeVar

from oncomentor_contracts.event import Event
from oncomentor_contracts.institution import (
    Institution,
    InstitutionChanged,
    InstitutionSubmitted,
)
from oncomentor_contracts.programme import Programme, ProgrammeChanged, ProgrammeSubmitted
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation import institution_problems, programme_problems
from profile_service import domain
from profile_service.domain import Refused
from profile_service.handlers import problems
from profile_service.handlers.receipts import accept, reject
from profile_service.store import registry
from servicekit.tx import Tx

M = TypeVar("M", Institution, Programme)


async def record_institution(event: InstitutionSubmitted, tx: Tx) -> Sequence[Event]:
    """Take in what a registered center says of itself.

    Emits:
        InstitutionChanged: it is something new.
        ReceiptAccepted: also where it is not.
        ReceiptRejected: a rule is broken, or no operator has registered the center yet.
    """
    known = await registry.lock_institution(tx, event.institution_id)
    wrong = institution_problems(event) or _institution_refusals(event, known)
    if wrong or known is None:
        return [await reject(event, tx, wrong)]

    before, last = known
    said = _plain(Institution, event)
    latest = domain.latest(event.envelope.sequence, last)
    if (said, latest) != known:
        await registry.upsert_institution(tx, said, latest)
    changed = [InstitutionChanged(**dict(said))] if said != before else []
    return [*changed, await accept(event, tx)]


async def record_programme(event: ProgrammeSubmitted, tx: Tx) -> Sequence[Event]:
    """Take in a programme from the center that owns it.

    Emits:
        ProgrammeChanged: it is new, or another than before.
        ReceiptAccepted: also where it is not.
        ReceiptRejected: a rule is broken, or the id is another owner's.
    """
    known = await registry.lock_programme(tx, event.programme_id)
    wrong = programme_problems(event) or await _programme_refusals(event, known, tx)
    if wrong:
        return [await reject(event, tx, wrong)]

    before, last = known or (None, None)
    said = _plain(Programme, event)
    latest = domain.latest(event.envelope.sequence, last)
    if (said, latest) != known:
        await registry.upsert_programme(tx, said, latest)
    changed = [ProgrammeChanged(**dict(said))] if said != before else []
    return [*changed, await accept(event, tx)]


def _institution_refusals(
    event: InstitutionSubmitted, known: tuple[Institution, int | None] | None
) -> list[Problem]:
    if known is None:
        return [problems.UNKNOWN_INSTITUTION]
    before, last = known
    if domain.is_stale(event.envelope.sequence, last):
        return [problems.refused(Refused.STALE)]
    # Else a center that operators suspended would lift that by saying what it says every day.
    return [problems.STATE_IS_OPERATORS] if event.state is not before.state else []


async def _programme_refusals(
    event: ProgrammeSubmitted, known: tuple[Programme, int | None] | None, tx: Tx
) -> list[Problem]:
    before, last = known or (None, None)
    if before is not None and before.owner != event.owner:
        return [problems.FOREIGN_PROGRAMME]
    if domain.is_stale(event.envelope.sequence, last):
        return [problems.refused(Refused.STALE)]
    participants = event.participants or ()
    unknown = await registry.list_unknown_institutions(tx, [event.institution_id, *participants])
    if event.institution_id in unknown:
        return [problems.UNKNOWN_INSTITUTION]
    return [
        problems.participant(position, institution_id)
        for position, institution_id in enumerate(participants)
        if institution_id in unknown
    ]


def _plain(model: type[M], event: Event) -> M:
    """Return what an event says, without its being an event."""
    return model(**{name: getattr(event, name) for name in model.model_fields})
