"""How kept records leave the quarantine: applied after all, or given up, by an operator.

Every step is one transaction under the lock that the partition's lane takes, so what an operator
does and what comes from Kafka follow each other. A step that was cut off changed nothing; the same
call again goes on where the last whole step ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from oncomentor_contracts.topics import Kind, topic_of
from servicekit.hearing.apply import Outcome, apply_records
from servicekit.hearing.novelty import ForkError
from servicekit.hearing.quarantine import Parked
from servicekit.hearing.verdict import Unreadable, judge
from servicekit.keeping import kept as rows
from servicekit.keeping.kept import Kept, RefusedError
from servicekit.keeping.succession import Run, next_step
from servicekit.observing.log import logger
from servicekit.subscription import Subscription
from servicekit.tx import Database, Tx

_STEPS = 20  # of one call: an HTTP request has to end, and the caller asks again
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a record and of those that waited behind it."""

    outcome: Literal["retried", "discarded"]
    why: str
    released: int = 0
    """Followers of its subject that were applied."""
    more: bool = False
    """Whether followers are left that the same call will release."""


class Requeue:
    """The operators' hand on one service's quarantine."""

    def __init__(self, database: Database, subscriptions: Iterable[Subscription]) -> None:
        """Work as the service's worker, with the handlers of its subscriptions."""
        self._database = database
        self._subscriptions = {one.topic: one for one in subscriptions}

    async def retry(self, quarantine_id: int, by: str) -> Answer:
        """Apply a record with today's code and contracts, and in order what waited behind it.

        Of a record that was retried before only the remaining followers are released.

        Raises:
            UnknownRecordError: there is none of that id.
            RefusedError: it would fail again, waits for another, or is superseded.
            TransientError: try again; whole steps are kept.
        """
        async with self._database.transaction() as tx:
            kept = await rows.lock(tx, quarantine_id)
            subscription = self._subscription(kept.topic)
            if subscription is None:
                raise RefusedError(f"this service hears {kept.topic} no more: discard it")
            why = await _retry(tx, subscription, kept, by)
        if why:
            _log.info("quarantine_retried", **_ids(kept), by=by)
        released, more, held = await self._release(kept, by)
        if not why and not more:
            why = await self._released(kept)
        return Answer("retried", f"{why}{held}", released, more)

    async def discard(self, quarantine_id: int, by: str, why: str) -> Answer:
        """Close a record without applying it; its bytes are kept.

        Where its subject waits for it, the subject goes on with what follows.

        Raises:
            UnknownRecordError: there is none of that id.
            RefusedError: it was retried.
            TransientError: try again; whole steps are kept.
        """
        async with self._database.transaction() as tx:
            kept = await rows.lock(tx, quarantine_id)
            if kept.state == "retried":
                raise RefusedError(f"it was retried {kept.settled}")
            if kept.state != "discarded":
                await rows.settle(tx, [quarantine_id], "discarded", by, why)
        if kept.state != "discarded":
            _log.info("quarantine_discarded", **_ids(kept), by=by)
        released, more, held = await self._release(kept, by)
        before = f"was discarded {kept.settled}" if kept.settled else "discarded"
        return Answer("discarded", f"{before}{held}", released, more)

    def _subscription(self, topic_name: str) -> Subscription | None:
        topic = topic_of(topic_name)
        return None if topic is None else self._subscriptions.get(topic)

    async def _release(self, kept: Kept, by: str) -> tuple[int, bool, str]:
        """Let the subject go on, step by step.

        Returns how many followers were applied, whether more can be, and what holds them if the
        next can't.
        """
        subscription = self._subscription(kept.topic)
        if subscription is None or subscription.topic.kind in {Kind.INGRESS, Kind.STATE}:
            return 0, False, ""
        total = 0
        try:
            for _ in range(_STEPS):
                async with self._database.transaction() as tx:
                    await rows.lock_lane_out(tx, kept.topic, kept.partition)
                    released = await _step(tx, subscription, kept, by)
                if released is None:
                    return total, False, ""
                total += released
        except RefusedError as error:
            return total, False, f"; its followers wait: {error}"
        return total, True, ""

    async def _released(self, kept: Kept) -> str:
        """Return how a follower was released.

        Raises:
            RefusedError: it waits on.
        """
        async with self._database.transaction() as tx:
            (now,) = await rows.lock_all(tx, [kept.quarantine_id])
            last = await rows.last_applied(tx, kept.topic, kept.subject)
        if now.state == "retried":
            return f"was released {now.settled}"
        raise RefusedError(
            f"it waits for sequence {last + 1} of its subject: see 'oncomentor quarantine list "
            f"--subject {kept.subject}'"
        )


async def _retry(tx: Tx, subscription: Subscription, kept: Kept, by: str) -> str:
    """Apply the record itself and say how it went; nothing where it is to be released in order."""
    if kept.state == "discarded":
        raise RefusedError(f"it was discarded {kept.settled}")
    if kept.state == "retried":
        return f"was retried {kept.settled}"
    last = await rows.last_applied(tx, kept.topic, kept.subject)
    if kept.state == "parked" and (kept.sequence or 0) > last:
        return ""
    if subscription.topic.kind is Kind.STATE and last > (kept.sequence or last):
        raise RefusedError(
            f"it is superseded: state {last} of its subject was applied, this is {kept.sequence}: "
            "discard it"
        )
    outcome = await _apply_alone(tx, subscription, kept)
    why = "had been applied meanwhile" if outcome.duplicates else "applied"
    await rows.settle(tx, [kept.quarantine_id], "retried", by, why)
    return why


async def _apply_alone(tx: Tx, subscription: Subscription, kept: Kept) -> Outcome:
    """Apply one record.

    Raises:
        RefusedError: it is still bad; the transaction has to be rolled back.
    """
    verdict = judge(kept, subscription.topic)
    if isinstance(verdict, Unreadable):
        raise RefusedError(f"it is still {verdict.reason_class}: {verdict.reason}")
    try:
        outcome = await apply_records(tx, subscription, kept.topic, [(kept, verdict)])
    except ForkError as error:
        raise RefusedError(str(error)) from error
    for parked in outcome.parked:
        raise RefusedError(_still(parked))
    return outcome


async def _step(tx: Tx, subscription: Subscription, kept: Kept, by: str) -> int | None:
    """Let the subject go on by one step; return how many were applied, None at the end."""
    if kept.subject is None:
        return None
    last = await rows.last_applied(tx, kept.topic, kept.subject)
    step = next_step(last, await rows.list_waiting(tx, kept.topic, kept.subject, last))
    if step is None:
        return None
    if isinstance(step, Run):
        return await _apply_run(tx, subscription, step, by)
    return 0 if await rows.pass_over(tx, kept.topic, kept.subject, step) else None


async def _apply_run(tx: Tx, subscription: Subscription, step: Run, by: str) -> int | None:
    """Apply consecutive followers as a slice; one that fails is quarantined, the rest waits on."""
    run = await rows.lock_all(tx, step.quarantine_ids)
    judged = [(one, judge(one, subscription.topic)) for one in run]
    try:
        outcome = await apply_records(tx, subscription, run[0].topic, judged)
    except ForkError as error:
        raise RefusedError(str(error)) from error
    done = {one.quarantine_id for one in run}
    for parked in outcome.parked:
        assert isinstance(parked.record, Kept)  # noqa: S101 - it is one of the run
        await rows.update_reason(
            tx, parked.record, parked.state, parked.reason_class, parked.reason
        )
        done.discard(parked.record.quarantine_id)
    await rows.settle(tx, sorted(done), "retried", by, "applied after what it waited for")
    _log.info("quarantine_released", topic=run[0].topic, subject=run[0].subject, records=len(done))
    return len(done) or None


def _still(parked: Parked) -> str:
    if parked.state == "parked":
        return f"it waits for what comes before it: {parked.reason}"
    return f"it is still {parked.reason_class}: {parked.reason}"


def _ids(kept: Kept) -> dict[str, object]:
    return {
        "quarantine_id": kept.quarantine_id,
        "topic": kept.topic,
        "partition": kept.partition,
        "offset": kept.offset,
        "event_id": str(kept.event_id) if kept.event_id else None,
    }
