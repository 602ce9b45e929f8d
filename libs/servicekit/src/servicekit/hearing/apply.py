"""Applying events: de-duplication, handlers, and what a failing one does to the others.

Everything here happens inside the one transaction of a slice (or of an HTTP request).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from oncomentor_contracts.event import Event
from oncomentor_contracts.topics import Kind
from servicekit.errors import TransientError, UnprocessableError
from servicekit.hearing import novelty, quarantine
from servicekit.hearing.backlog import Judged
from servicekit.hearing.novelty import Known, NotPlainError
from servicekit.hearing.quarantine import Parked
from servicekit.hearing.verdict import PassedOver, Record, Unreadable
from servicekit.observing.log import logger
from servicekit.saying import outbox
from servicekit.saying.outbox import NO_CAUSE, Cause, Said
from servicekit.subscription import Bulk, Refusal, Subscription
from servicekit.tx import TRANSIENT_DRIVER_ERRORS, Tx

# What a handler did fails here and not at the commit, when nobody can tell whose it was: a failed
# statement that it hid, and constraints that are checked late. For the next handler they are late
# again, as it expects.
_ASK = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED"
_log = logger(__name__)


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


async def apply_plainly(
    tx: Tx, subscription: Subscription, topic: str, judged: Sequence[Judged]
) -> Outcome:
    """Apply a slice as nearly all are: every event new and every handler well, no savepoint.

    Raises:
        TransientError: roll back and try again.
        Exception: (any other) roll back, then `apply_records`, which finds out what is wrong.
    """
    outcome = await _attempt(tx, subscription, topic, judged, plainly=True)
    await outbox.append(tx, outcome.said)
    return outcome


async def apply_records(
    tx: Tx, subscription: Subscription, topic: str, judged: Sequence[Judged]
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
                outcome = await _attempt(tx, subscription, topic, judged, plainly=False)
        except _FailuresError as failed:
            failures = failed.verdicts
            if subscription.topic.kind is Kind.FACT:
                failures = _first_of_each_subject(judged, failures)
            judged = [(record, failures.get(id(verdict), verdict)) for record, verdict in judged]
            continue
        await quarantine.insert(tx, outcome.parked)
        await outbox.append(tx, outcome.said)
        return outcome


def _first_of_each_subject(
    judged: Sequence[Judged], failures: Mapping[int, Unreadable]
) -> dict[int, Unreadable]:
    """Leave out failures behind another of their subject: they may have failed for want of it.

    They park behind it, and are tried when it has been mended.
    """
    found: dict[str, int] = {}
    for _, verdict in judged:
        if id(verdict) in failures and verdict.envelope is not None:
            found.setdefault(verdict.envelope.subject, id(verdict))
    return {key: failures[key] for key in found.values()}


async def _attempt(
    tx: Tx, subscription: Subscription, topic: str, judged: Sequence[Judged], *, plainly: bool
) -> Outcome:
    outcome = Outcome()
    known: list[tuple[Record, Known]] = [
        (record, verdict) for record, verdict in judged if not isinstance(verdict, Unreadable)
    ]
    if len(known) < len(judged):
        if plainly:
            raise NotPlainError
        for record, verdict in judged:
            if isinstance(verdict, Unreadable):
                parked = Parked(record, verdict.reason_class, verdict.reason, verdict.envelope)
                outcome.parked.append(parked)
                outcome.said += await _answer_refused(tx, subscription, record, verdict)
    if not known:
        return outcome
    new = await novelty.find(tx, subscription.topic.kind, topic, known, plainly=plainly)
    handled = [
        verdict
        for verdict in new.fresh
        if type(verdict) in subscription.handlers and not isinstance(verdict, PassedOver)
    ]
    outcome.parked += new.parked
    outcome.duplicates += new.duplicates
    outcome.passed_over += len(new.fresh) - len(handled)
    outcome.applied += len(handled)
    run = _run if plainly else _run_handlers
    outcome.said += await run(tx, subscription, handled)
    if subscription.on_duplicate is not None:
        for event in new.repeated:  # after the handlers: the first copy may stand in the same slice
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
            outbox.check_sizes(answers)
            await tx.conn.execute(_ASK)
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
            said += await _say_in_bulk(tx, events[start:stop], handler)
        else:
            said += await _say(tx, events[start], handler)
        start = stop
    return said


async def _say_in_bulk(tx: Tx, events: Sequence[Event], handler: Bulk) -> list[Said]:
    """Call a bulk handler; what it says of a subject follows from the subject's last event."""
    tx.cause = NO_CAUSE
    answers = await handler.handle(events, tx)
    if not answers:
        return []
    envelopes = {event.envelope.subject: event.envelope for event in events}
    found = (envelopes.get(answer.subject) for answer in answers)
    causes = (Cause.of(envelope) if envelope else NO_CAUSE for envelope in found)
    return list(zip(answers, causes, strict=True))


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
            await tx.conn.execute(_ASK)
    except (TransientError, *TRANSIENT_DRIVER_ERRORS):
        raise
    except Exception as error:  # noqa: BLE001 - the record is kept; its answer must not stop others
        _log.error("answer_failed", exc_info=error)
        return []
    return [(event, cause) for event in said]


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
