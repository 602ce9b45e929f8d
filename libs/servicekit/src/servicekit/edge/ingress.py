"""The HTTP door for a center's events: the same checks and handlers as its Kafka topics.

It is a slice of one event, so it runs as the worker; the token binds it to the center as the
topic does on Kafka.

Source: CloudEvents 1.0.2, HTTP Protocol Binding (structured content mode).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from oncomentor_contracts.envelope import (
    STRUCTURED_CONTENT_TYPE,
    Envelope,
    EnvelopeError,
    Header,
    from_structured,
)
from oncomentor_contracts.receipt import Outcome as ReceiptOutcome
from oncomentor_contracts.receipt import Problem, ReceiptAccepted, ReceiptRejected
from servicekit.edge.http import Member, ProblemError, Worker
from servicekit.hearing.apply import Outcome, apply_records
from servicekit.hearing.verdict import Judge, PassedOver, Unreadable
from servicekit.observing import trace
from servicekit.subscription import Subscription


@dataclass(frozen=True, slots=True)
class HttpRecord:
    """A request body, as the quarantine keeps records; it has no place in a log."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header] = field(default=())
    partition: int = -1
    offset: int = -1


def router(subscription: Subscription) -> APIRouter:
    """Return the router of `POST /v1/events` for one ingress subscription."""
    made = APIRouter(prefix="/v1", tags=["events"])

    @made.post("/events", status_code=202)
    async def take_event(request: Request, member: Member, worker: Worker) -> JSONResponse:
        """Take one structured CloudEvent in; 202 once it is committed.

        `Idempotency-Key` may repeat the event's id. The same id again is answered like the first.
        """
        envelope, data = await _read(request)
        if envelope.traceparent is None:
            envelope = envelope._replace(traceparent=trace.current())
        topic = subscription.topic.named(member.institution_id)
        verdict = Judge(subscription.topic, topic).judge_event(envelope, data)
        if isinstance(verdict, PassedOver):
            verdict = Unreadable("unknown_type", (("type", "is newer than this hub"),), envelope)
        if isinstance(verdict, Unreadable):
            raise ProblemError(
                422,
                "Event refused",
                "Mend what 'problems' names and send it with a new id.",
                [_problem(name, rule) for name, rule in verdict.problems],
            )
        record = HttpRecord(
            topic,
            envelope.subject.encode(),
            data,
            [(name, value) for name, value in envelope.headers()],
        )
        async with worker.transaction() as tx:
            outcome = await apply_records(tx, subscription, topic, [(record, verdict)])
            if outcome.parked and outcome.parked[0].reason_class == "unprocessable":
                raise ProblemError(422, "Event refused", outcome.parked[0].reason)
            if outcome.parked:
                raise ProblemError(
                    500,
                    "Event not applied",
                    "Nothing was stored; it was logged. Send it again later with the same id.",
                )
        return _answer(envelope, outcome)

    return made


async def _read(request: Request) -> tuple[Envelope, bytes | None]:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type != STRUCTURED_CONTENT_TYPE:
        raise ProblemError(
            415, "Unsupported media type", f"Send Content-Type: {STRUCTURED_CONTENT_TYPE}."
        )
    try:
        envelope, data = from_structured(await request.body())
    except EnvelopeError as error:
        raise ProblemError(
            400,
            "Not a CloudEvent",
            "Send one structured CloudEvent 1.0 as JSON.",
            [_problem(error.attribute, error.rule)],
        ) from error
    key = request.headers.get("idempotency-key")
    if key is not None and key.strip('"') != str(envelope.id):
        raise ProblemError(
            400, "Idempotency-Key differs", "Leave the header out or repeat the event's id."
        )
    return envelope, data


def _problem(name: str, rule: str) -> Problem:
    return Problem(field=name, rule="malformed", message=rule, fix=f"Send a {name} that it allows.")


def _answer(envelope: Envelope, outcome: Outcome) -> JSONResponse:
    for event, _ in outcome.said:
        if isinstance(event, ReceiptRejected) and event.receipt_for == str(envelope.id):
            raise ProblemError(
                422, "Event rejected", "Nothing of it took effect.", list(event.problems)
            )
        if isinstance(event, ReceiptAccepted):
            return JSONResponse(
                {"event_id": str(envelope.id), "outcome": event.outcome}, status_code=202
            )
    outcome_word = ReceiptOutcome.DUPLICATE if outcome.duplicates else ReceiptOutcome.APPLIED
    return JSONResponse({"event_id": str(envelope.id), "outcome": outcome_word}, status_code=202)
