"""What a center is answered: one receipt or rejection for every event."""

from collections.abc import Sequence
from typing import Final

from oncomentor_contracts.event import Event
from oncomentor_contracts.institution import InstitutionSubmitted
from oncomentor_contracts.profile import PersonSubmitted, PersonWithdrawn
from oncomentor_contracts.programme import ProgrammeSubmitted
from oncomentor_contracts.receipt import Outcome, Problem, ReceiptAccepted, ReceiptRejected
from oncomentor_contracts.validation import LIMIT
from profile_service.store import receipts
from profile_service.store.receipts import Receipt
from servicekit.subscription import Refusal
from servicekit.tx import Tx

Submitted = InstitutionSubmitted | ProgrammeSubmitted | PersonSubmitted | PersonWithdrawn

_LINE: Final = 200  # characters of a contract's Line
_FIXES: Final = {
    "foreign_source": "publish on your own topic, with source and institution_id naming your center",
    "too_large": "send one person per event and keep the sealed blocks short",
    "bad_envelope": "set the CloudEvents attribute as the message says (content mode: binary)",
    "bad_key": "give the record its subject as the key",
    "unknown_type": "send a type of this topic: institution, programme, person.submitted.v1 or person.withdrawn.v1",
    "bad_data": "mend the field as the message says; the event's JSON Schema has the whole rule",
    "unprocessable": "mend the event as the message says and send it under a new id",
    "handler_failed": "nothing: the fault is the network's, its operators see it and apply it again",
}


async def accept(event: Submitted, tx: Tx) -> ReceiptAccepted:
    """Return the receipt for an event that was applied, and keep it."""
    answer = _accepted(event, tx, Outcome.APPLIED)
    await receipts.upsert_receipt(
        tx,
        Receipt(
            institution_id=answer.institution_id,
            receipt_for=answer.receipt_for,
            event_type=answer.event_type,
            about=answer.about,
            outcome="applied",
            problems=(),
            at=answer.at,
        ),
    )
    return answer


async def reject(event: Submitted, tx: Tx, problems: Sequence[Problem]) -> ReceiptRejected:
    """Return the rejection of an event, and keep it; of many problems the first are told."""
    answer = ReceiptRejected(
        institution_id=event.institution_id,
        receipt_for=str(event.envelope.id),
        event_type=event.TYPE,
        about=line(event.subject),
        problems=tuple(problems[:LIMIT]),
        at=tx.now,
    )
    await _keep_rejection(answer, tx)
    return answer


async def repeat_receipt(event: Submitted, tx: Tx) -> Sequence[Event]:
    """Answer an event that was taken in before as it was answered then.

    Emits:
        ReceiptAccepted: it was applied; the outcome is `duplicate`.
        ReceiptRejected: it was rejected, for the same problems.

    Nothing where no answer is stored: both copies came in one slice, so the answer to the first
    is about to be said and holds for both.
    """
    first = await receipts.get_receipt(tx, event.institution_id, str(event.envelope.id))
    if first is None:
        return []
    if first.outcome == "rejected":
        return [await reject(event, tx, first.problems)]
    return [_accepted(event, tx, Outcome.DUPLICATE)]


async def report_refusal(refusal: Refusal, tx: Tx) -> Sequence[Event]:
    """Tell the center whose topic it is that a record could not be read as one of its events.

    Emits:
        ReceiptRejected: for the event's id, or for the record's place where none could be read.
    """
    if refusal.institution_id is None:
        return []
    place = f"{refusal.topic}/{refusal.partition}/{refusal.offset}"
    fix = _FIXES.get(refusal.reason_class, "mend the event as the message says and send it again")
    answer = ReceiptRejected(
        institution_id=refusal.institution_id,
        receipt_for=line(refusal.event_id or place),
        event_type=line(refusal.event_type) if refusal.event_type else None,
        about=line(refusal.subject) if refusal.subject else None,
        problems=tuple(
            Problem(field=line(field), rule=line(refusal.reason_class), message=line(text), fix=fix)
            for field, text in refusal.problems[:LIMIT]
        ),
        at=tx.now,
    )
    await _keep_rejection(answer, tx)
    return [answer]


def line(text: str) -> str:
    """Return text that fits a contract's Line: one to 200 characters without NUL."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:_LINE] or "-"


def _accepted(event: Submitted, tx: Tx, outcome: Outcome) -> ReceiptAccepted:
    return ReceiptAccepted(
        institution_id=event.institution_id,
        receipt_for=str(event.envelope.id),
        event_type=event.TYPE,
        about=line(event.subject),
        outcome=outcome,
        at=tx.now,
    )


async def _keep_rejection(answer: ReceiptRejected, tx: Tx) -> None:
    await receipts.upsert_receipt(
        tx,
        Receipt(
            institution_id=answer.institution_id,
            receipt_for=answer.receipt_for,
            event_type=answer.event_type,
            about=answer.about,
            outcome="rejected",
            problems=answer.problems,
            at=answer.at,
        ),
    )
