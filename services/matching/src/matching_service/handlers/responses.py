"""Responses of the centers: each is judged, and each gets a receipt."""

from collections.abc import Sequence

from matching_service.domain.answer import Refused, Repeated, Response, answer
from matching_service.store import journal, matches, receipts
from oncomentor_contracts.event import Event
from oncomentor_contracts.matching import ResponseGiven
from oncomentor_contracts.receipt import Outcome, Problem, ReceiptAccepted, ReceiptRejected
from servicekit.subscription import Refusal
from servicekit.tx import Tx

_LINE = 200  # characters that the contract allows in a line
_OUR_FAULT = "Nothing: the fault is the network's; its operators see it and apply it again."
_FIX = "Mend it as the contract of response.given.v1 says, and send it with a new id."
_UNKNOWN_MATCH = Refused(
    "unknown_match",
    "match_id",
    "this center has no match of this id",
    "Send the match_id of a match that your center was told of.",
)


async def take_response(event: ResponseGiven, tx: Tx) -> Sequence[Event]:
    """Apply a center's answer to its match.

    Emits:
        ReceiptAccepted: the answer counts, or had been given before.
        ReceiptRejected: it is no answer to what was asked of this center; nothing changed.
        What the answer made of the match.
    """
    match = await matches.lock_match(tx, event.match_id)
    if match is None or not match.sides_of(event.institution_id):
        return [await _reject(event, _UNKNOWN_MATCH, tx)]

    response = Response(event.institution_id, event.answer.value, event.person_id)
    result = answer(match, response, tx.now)
    if isinstance(result, Refused):
        return [await _reject(event, result, tx)]
    receipt = await _accept(event, result, tx)
    if isinstance(result, Repeated):
        return [receipt]

    return [receipt, *await journal.record_step(tx, match, result)]


async def repeat_receipt(event: ResponseGiven, tx: Tx) -> Sequence[Event]:
    """Answer a response that was taken in before: a duplicate, or rejected as it was then."""
    answered = await receipts.get_receipt(tx, str(event.envelope.id), event.institution_id)
    if answered is not None and answered.rejection is not None:
        return [answered.rejection.model_copy(update={"at": tx.now})]

    return [_accepted(event, Outcome.DUPLICATE, tx)]


async def refuse_unreadable(refusal: Refusal, tx: Tx) -> Sequence[Event]:
    """Tell a center that a record on its topic could not be read, and where."""
    if refusal.institution_id is None:
        return []
    place = f"{refusal.topic}/{refusal.partition}/{refusal.offset}"
    return [
        ReceiptRejected(
            institution_id=refusal.institution_id,
            receipt_for=refusal.event_id or place,
            event_type=_line(refusal.event_type),
            about=_line(refusal.subject),
            problems=tuple(
                Problem(
                    field=field[:_LINE] or "data",
                    rule=refusal.reason_class,
                    message=message[:_LINE] or refusal.reason_class,
                    fix=_OUR_FAULT if refusal.reason_class == "handler_failed" else _FIX,
                )
                for field, message in refusal.problems
            ),
            at=tx.now,
        )
    ]


def _line(text: str | None) -> str | None:
    return text[:_LINE] if text else None


async def _accept(event: ResponseGiven, result: object, tx: Tx) -> ReceiptAccepted:
    await receipts.insert_receipt(tx, str(event.envelope.id), event.institution_id, None)
    repeated = isinstance(result, Repeated)
    return _accepted(event, Outcome.DUPLICATE if repeated else Outcome.APPLIED, tx)


def _accepted(event: ResponseGiven, outcome: Outcome, tx: Tx) -> ReceiptAccepted:
    return ReceiptAccepted(
        institution_id=event.institution_id,
        receipt_for=str(event.envelope.id),
        event_type=event.TYPE,
        about=event.subject,
        outcome=outcome,
        at=tx.now,
    )


async def _reject(event: ResponseGiven, refused: Refused, tx: Tx) -> ReceiptRejected:
    rejection = ReceiptRejected(
        institution_id=event.institution_id,
        receipt_for=str(event.envelope.id),
        event_type=event.TYPE,
        about=event.subject,
        problems=(
            Problem(
                field=refused.field,
                rule=refused.rule,
                message=refused.message,
                fix=refused.fix,
                suggestions=refused.suggestions,
            ),
        ),
        at=tx.now,
    )
    await receipts.insert_receipt(tx, str(event.envelope.id), event.institution_id, rejection)
    return rejection
