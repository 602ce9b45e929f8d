"""Applying events: de-duplication, handlers, and what a failing one does to the others.

Everything here happens inside the one transaction of a slice (or of an HTTP request).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from oncomentor_contracts.event import Event
from oncomentor_contracts.topics import Kind
from servicekit import inbox, outbox, quarantine
from servicekit.errors import TransientError, UnprocessableError
from servicekit.log import logger
from servicekit.outbox import Cause, Said
from servicekit.quarantine import Parked
from servicekit.subscription import Bulk, Refusal, Subscription
from servicekit.tx import TRANSIENT_DRIVER_ERRORS, Tx
from servicekit.verdict import (
    Applied,
    Order,
    PassedOver,
    Readable,
    Record,
    Unreadable,
    Verdict,
    order,
)

Known = Readable | PassedOver
_log = logger(__name__)


class ForkError(Exception):
    """Two histories of one subject: the partition stops until an operator has looked."""


@dataclass(slots=True)
class Outcome:
    """What became of the records of one slice."""

    applied: int = 0
    duplicates: int = 0
    passed_over: int = 0
    parked: list[Parked] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)


class _FailuresError(Exception):
    """Rolls the attempt back; carries the verdicts that the failed events get instead."""

    def __init__(self, verdicts: dict[int, Unreadable]) -> None:
        super().__init__()
        self.verdicts = verdicts


async def apply_records(
    tx: Tx, subscription: Subscription, topic: str, judged: Sequence[tuple[Record, Verdict]]
) -> Outcome:
    """Apply a slice of one partition, in order, and append what the handlers said.

    An event whose handler fails counts as unreadable, and the slice is applied as if it had been
    so from the start: on fact topics what follows of its subject is then a gap, and parks.

    Raises:
        TransientError: nothing was applied; try the slice again.
        ForkError: nothing was applied; stop the partition.
    """
    while True:
        try:
            async with tx.conn.transaction():
                outcome = await _attempt(tx, subscription, topic, judged)
        except _FailuresError as failed:
            judged = [
                (record, failed.verdicts.get(id(getattr(verdict, "event", None)), verdict))
                for record, verdict in judged
            ]
            continue
        await quarantine.insert(tx, outcome.parked)
        await outbox.append(tx, outcome.said)
        return outcome


async def _attempt(
    tx: Tx, subscription: Subscription, topic: str, judged: Sequence[tuple[Record, Verdict]]
) -> Outcome:
    outcome = Outcome()
    for record, verdict in judged:
        if isinstance(verdict, Unreadable):
            outcome.parked.append(
                Parked(record, verdict.reason_class, verdict.reason, verdict.envelope)
            )
            outcome.said += await _answer_refused(tx, subscription, record, verdict)
    known = [(record, v) for record, v in judged if not isinstance(v, Unreadable)]
    if not known:
        return outcome
    repeated: list[Event] = []
    if subscription.topic.kind is Kind.INGRESS:
        fresh, repeated = await _new_to_inbox(tx, topic, known)
        outcome.duplicates += len(repeated)
    else:
        fresh = await _next_in_sequence(tx, subscription, topic, known, outcome)
    handled = [
        verdict.event
        for verdict in fresh
        if isinstance(verdict, Readable) and type(verdict.event) in subscription.handlers
    ]
    outcome.passed_over += len(fresh) - len(handled)
    outcome.applied += len(handled)
    outcome.said += await _run_handlers(tx, subscription, handled)
    if subscription.on_duplicate is not None:
        for event in repeated:  # after the handlers: the first copy may stand in the same slice
            cause = Cause.of(event.envelope)
            outcome.said += await _answer(tx, cause, partial(subscription.on_duplicate, event, tx))
    return outcome


async def _run_handlers(tx: Tx, subscription: Subscription, events: Sequence[Event]) -> list[Said]:
    """Run the handlers over all events; return what they said.

    Raises:
        _FailuresError: some failed, each twice (a refusal once is enough).
        TransientError: the database or a handler asks for another try of the whole.
    """
    said: list[Said] = []
    if verdicts := await _run_or_bisect(tx, subscription, events, said, tries=2):
        raise _FailuresError(verdicts)
    return said


async def _run_or_bisect(
    tx: Tx, subscription: Subscription, events: Sequence[Event], said: list[Said], *, tries: int
) -> dict[int, Unreadable]:
    """Return a verdict for each event that fails, found by halving; what passes stays done."""
    try:
        async with tx.conn.transaction():
            answers = await _run(tx, subscription, events)
            await tx.conn.execute("SELECT 1")  # fails here if a handler hid a failed statement
    except (TransientError, *TRANSIENT_DRIVER_ERRORS):
        raise
    except Exception as error:  # noqa: BLE001 - a handler's bug parks one record, it doesn't stop a partition
        if len(events) > 1:
            half = len(events) // 2
            first = await _run_or_bisect(tx, subscription, events[:half], said, tries=tries)
            rest = await _run_or_bisect(tx, subscription, events[half:], said, tries=tries)
            return first | rest
        if tries > 1 and not isinstance(error, UnprocessableError):
            return await _run_or_bisect(tx, subscription, events, said, tries=tries - 1)
        return {id(events[0]): _verdict_of(events[0], error)}
    said += answers
    return {}


def _verdict_of(event: Event, error: Exception) -> Unreadable:
    if isinstance(error, UnprocessableError):
        return Unreadable.because("unprocessable", ("data", str(error)), envelope=event.envelope)
    _log.error("handler_failed", event_id=str(event.envelope.id), exc_info=error)
    # The text of a bug may quote data, so only its type is kept; the trace is in the log.
    return Unreadable.because(
        "handler_failed", ("data", type(error).__name__), envelope=event.envelope
    )


async def _run(tx: Tx, subscription: Subscription, events: Sequence[Event]) -> list[Said]:
    """Call the handlers, consecutive events of one bulk type together, in the events' order."""
    said: list[Said] = []
    start = 0
    while start < len(events):
        handler = subscription.handlers[type(events[start])]
        stop = start + 1
        if isinstance(handler, Bulk):
            while stop < len(events) and type(events[stop]) is type(events[start]):
                stop += 1
            run = events[start:stop]
            causes = {event.subject: Cause.of(event.envelope) for event in run}
            tx.cause = Cause()
            answers = await handler.handle(run, tx)
            said += [(answer, causes.get(answer.subject, Cause())) for answer in answers]
        else:
            said += await _say(tx, events[start], handler)
        start = stop
    return said


async def _say(
    tx: Tx, event: Event, handler: Callable[[Event, Tx], Awaitable[Sequence[Event]]]
) -> list[Said]:
    tx.cause = Cause.of(event.envelope)
    return [(said, tx.cause) for said in await handler(event, tx)]


async def _answer(
    tx: Tx, cause: Cause, answer: Callable[[], Awaitable[Sequence[Event]]]
) -> list[Said]:
    """Return what is said back to a sender; an answer that fails is left out, and logged.

    Raises:
        TransientError: the database or the answer asks for another try.
    """
    tx.cause = cause
    try:
        async with tx.conn.transaction():
            said = await answer()
            await tx.conn.execute("SELECT 1")
    except (TransientError, *TRANSIENT_DRIVER_ERRORS):
        raise
    except Exception as error:  # noqa: BLE001 - the record is kept; its answer must not stop others
        _log.error("answer_failed", exc_info=error)
        return []
    return [(event, cause) for event in said]


async def _new_to_inbox(
    tx: Tx, topic: str, known: Sequence[tuple[Record, Known]]
) -> tuple[list[Known], list[Event]]:
    """Return what was never received, and the events that were."""
    ids = {verdict.envelope.id for _, verdict in known}
    unseen = await inbox.insert_new(tx, topic, ids, tx.now)
    fresh: list[Known] = []
    repeated: list[Event] = []
    for _, verdict in known:
        if verdict.envelope.id in unseen:
            unseen.discard(verdict.envelope.id)
            fresh.append(verdict)
        elif isinstance(verdict, Readable):
            repeated.append(verdict.event)
    return fresh, repeated


async def _next_in_sequence(
    tx: Tx,
    subscription: Subscription,
    topic: str,
    known: Sequence[tuple[Record, Known]],
    outcome: Outcome,
) -> list[Known]:
    applied = await inbox.last_applied(tx, topic, {v.envelope.subject for _, v in known})
    changed: set[str] = set()
    fresh: list[Known] = []
    for record, verdict in known:
        envelope = verdict.envelope
        last = applied.get(envelope.subject)
        standing = order(subscription.topic.kind, last, envelope)
        if standing is Order.FORK:
            raise ForkError(
                f"{topic}: subject {envelope.subject} has two events with sequence "
                f"{envelope.sequence}: its producer was restored to an earlier point"
            )
        if standing is Order.DUPLICATE:
            outcome.duplicates += 1
        elif standing is Order.GAP:
            reason = f"sequence {envelope.sequence} follows {last.sequence if last else 0}"
            outcome.parked.append(Parked(record, "sequence_gap", reason, envelope, "parked"))
        else:
            fresh.append(verdict)
            changed.add(envelope.subject)
            applied[envelope.subject] = Applied(envelope.sequence or 0, envelope.id)
    await inbox.upsert_applied(tx, topic, {subject: applied[subject] for subject in changed})
    return fresh


async def _answer_refused(
    tx: Tx, subscription: Subscription, record: Record, verdict: Unreadable
) -> list[Said]:
    if subscription.on_refused is None:
        return []
    envelope = verdict.envelope
    refusal = Refusal(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        institution_id=subscription.topic.institution_in(record.topic),
        event_id=str(envelope.id) if envelope else None,
        event_type=envelope.type if envelope else None,
        subject=envelope.subject if envelope else None,
        reason_class=verdict.reason_class,
        problems=verdict.problems,
    )
    cause = Cause.of(envelope) if envelope else Cause()
    return await _answer(tx, cause, partial(subscription.on_refused, refusal, tx))
