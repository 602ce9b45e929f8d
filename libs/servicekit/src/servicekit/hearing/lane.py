"""One partition's way through the kernel: slices, one transaction each, until it is taken away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from opentelemetry.trace import SpanKind

from oncomentor_contracts.topics import Kind
from servicekit import backoff, failpoint
from servicekit.errors import TransientError
from servicekit.hearing import report
from servicekit.hearing.apply import Outcome, apply_plainly, apply_records
from servicekit.hearing.backlog import Backlog, Held, Judged
from servicekit.hearing.intake import Intake
from servicekit.hearing.novelty import ForkError
from servicekit.hearing.position import (
    FellBackError,
    Partition,
    PartitionStoppedError,
    lock_position,
    open_position,
    update_position,
)
from servicekit.hearing.verdict import Judge, Record
from servicekit.observing import metrics, trace
from servicekit.observing.log import logger
from servicekit.subscription import Subscription
from servicekit.tx import Database, Tx

_PATIENCE_SECONDS = 30.0  # retries shorter than this are nobody's business
_CLOSE_SECONDS = 30.0
Identify = Callable[[str], Awaitable[str]]
Apply = Callable[[Tx, Subscription, str, Sequence[Judged]], Awaitable[Outcome]]
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lanes of a process have in common."""

    database: Database
    progressed: Callable[[], None]
    """Called when a lane has moved, stopped or found its place."""
    identify: Identify
    """Asks the broker for a topic's id of now."""
    held: Held = field(default_factory=Held)


class Lane:
    """Applies one assigned partition in order, slice by slice, and never lets an error out.

    `state` is `opening`, `running`, `retrying` or `stopped`; `reason` says why it is not running.
    """

    def __init__(
        self,
        *,
        where: Partition,
        subscription: Subscription,
        consumer: AIOKafkaConsumer,
        shared: Shared,
    ) -> None:
        """Begin at once in a task of its own; the partition is paused until its position is known."""
        self.where = where
        self.tp = TopicPartition(where.topic, where.partition)
        self.state = "opening"
        self.reason = ""
        self.next_offset: int | None = None
        self.end_at_start: int | None = None
        self._subscription = subscription
        self._consumer = consumer
        self._shared = shared
        self._intake = Intake(
            self.tp,
            consumer,
            Judge(subscription.topic, where.topic),
            Backlog(shared.held, foreign=subscription.topic.kind is Kind.INGRESS),
        )
        self._closing = asyncio.Event()
        self._unreadable = ""
        self._doubtful = False
        self._retrying_since: float | None = None
        self._task = asyncio.create_task(self._run(), name=f"lane {where.topic}[{where.partition}]")
        self._task.add_done_callback(lambda _: self._intake.leave())

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the partition when the lane began has been applied.

        A stopped partition of commands or facts holds nobody else up; one of states does, since
        work done without it would be done on half the picture. Trouble on one center's own topic
        must not hold up the other centers at all.
        """
        kind = self._subscription.topic.kind
        if self.state == "retrying" and kind is Kind.INGRESS:
            return True
        if self.state == "stopped":
            return kind is not Kind.STATE
        if self.next_offset is None or self.end_at_start is None:
            return False
        return self.next_offset >= self.end_at_start

    @property
    def trouble(self) -> str:
        """Why the partition does not move though it should; empty when all is well."""
        if self.state == "stopped":
            return self.reason
        since = self._retrying_since
        if since is None or time.monotonic() - since < _PATIENCE_SECONDS:
            return ""
        waited = round(time.monotonic() - since)
        return f"{self.where.topic}[{self.where.partition}] retries since {waited} s: {self.reason}"

    @property
    def backlog(self) -> int:
        """Records fetched and not yet applied."""
        return len(self._intake)

    @property
    def oldest_at(self) -> float | None:
        """When the oldest record at hand was written to Kafka, in seconds since 1970."""
        timestamp: int | None = getattr(self._intake.head, "timestamp", None)
        return timestamp / 1000 if timestamp else None

    @property
    def expected(self) -> int | None:
        """The offset to be fetched next; None while the position is not known."""
        return self._intake.expected

    def offer(self, records: Sequence[Record]) -> bool:
        """Take fetched records in offset order; False where they are to be fetched again."""
        if self.state == "stopped" or self._unreadable or self._doubtful:
            return False
        return self._intake.offer(records)

    def rewind(self) -> None:
        """Fetch again what follows the last record we hold: a poll failed and may have lost some."""
        if self.state != "stopped":
            self._intake.rewind()

    def doubt(self) -> None:
        """Find the position anew after the slice at hand: the log may not be the one we read.

        A topic that was made again, and records that expired unread, stop the partition then.
        """
        if self.state != "stopped" and not self._doubtful:
            self._doubtful = True
            self._intake.hold()
            self._intake.filled.set()

    def end_with(self, reason: str) -> None:
        """Apply what is queued, then stop: what follows can't be read."""
        if self.next_offset is None or self.state == "stopped":
            return
        self._unreadable = reason
        self._intake.hold()
        self._intake.filled.set()

    async def close(self, within: float = _CLOSE_SECONDS) -> None:
        """Finish the slice at hand and end; what is only queued will be read again by the next owner.

        A slice that takes longer is rolled back.
        """
        self._closing.set()
        self._intake.filled.set()
        await asyncio.wait({self._task}, timeout=within)
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=1)

    async def _run(self) -> None:
        while not self._closing.is_set() and self.state != "stopped":
            if self._doubtful:
                self._forget()
            if self.next_offset is None:
                await self._until_done(self._open)
                continue
            await self._intake.filled.wait()
            if not self._intake:
                self._intake.filled.clear()
                if self._unreadable:
                    self._stop(self._unreadable)
                continue
            await self._until_done(partial(self._apply, self._intake.next_slice()))
            if self.state == "running" and not self._unreadable and not self._doubtful:
                self._intake.resume_when_low()

    async def _until_done(self, step: Callable[[], Any]) -> None:
        attempt = 0
        while not self._closing.is_set():
            try:
                await step()
            except (TransientError, KafkaError) as error:
                attempt += 1
                self.state, self.reason = "retrying", f"{type(error).__name__}: {error}"
                self._retrying_since = self._retrying_since or time.monotonic()
                wait = backoff.delay(attempt)
                metrics.add("slice_retries", 1, topic=self.where.topic)
                # The text is ours, Kafka's or PostgreSQL's: it says what is away.
                told = {"attempt": attempt, "wait_seconds": wait, "reason": self.reason[:200]}
                _log.warning("slice_retried", **self._fields(), **told)
                await self._pause_for(wait)
                continue
            except FellBackError as error:
                _log.warning("position_fell_back", **self._fields(), reason=str(error))
                self.doubt()
            except (PartitionStoppedError, ForkError) as error:
                self._stop(str(error))
            except Exception as error:  # noqa: BLE001 - the kernel's own bug: stop this partition, loudly, and keep the others
                _log.error("kernel_failed", **self._fields(), exc_info=error)
                self._stop(f"bug in the kernel: {type(error).__name__}; see the log")
            else:
                self.state, self.reason, self._retrying_since = "running", "", None
            return

    async def _open(self) -> None:
        if self._doubtful:
            topic_id = await self._shared.identify(self.where.topic)
            self.where = replace(self.where, topic_id=topic_id)
        start = (await self._consumer.beginning_offsets([self.tp]))[self.tp]
        end = (await self._consumer.end_offsets([self.tp]))[self.tp]
        async with self._shared.database.transaction() as tx:
            position = await open_position(tx, self.where, start, end)
        self.end_at_start = self.end_at_start or end
        self.next_offset = position
        self._doubtful = False
        self._intake.begin(position)
        self._shared.progressed()

    async def _apply(self, judged: Sequence[Judged]) -> None:
        try:
            await self._apply_whole(judged)
        except ForkError as fork:  # the partition stops exactly there
            if before := [pair for pair in judged if pair[0].offset < fork.offset]:
                await self._apply_whole(before)
            raise

    async def _apply_whole(self, judged: Sequence[Judged]) -> None:
        causes = (verdict.envelope.traceparent for _, verdict in judged if verdict.envelope)
        with trace.batch(f"slice {self._subscription.topic.name}", SpanKind.CONSUMER, causes):
            try:
                await self._transact(judged, apply_plainly)
            except (TransientError, FellBackError, PartitionStoppedError, ForkError):
                raise
            except Exception:  # noqa: BLE001 - whatever it is, the careful way finds whose fault it is
                await self._transact(judged, apply_records)

    async def _transact(self, judged: Sequence[Judged], apply: Apply) -> None:
        """Apply a slice in one transaction with its position.

        A commit that was cut off and took effect shows in the position at the next try.
        """
        began = time.monotonic()
        await failpoint.reach("slice.begin")
        async with self._shared.database.transaction() as tx:
            fence = await lock_position(tx, self.where, not_before=self.next_offset)
            await failpoint.reach("slice.locked")
            todo = judged
            if judged[0][0].offset < fence:
                todo = [pair for pair in judged if pair[0].offset >= fence]
            outcome = await apply(tx, self._subscription, self.where.topic, todo)
            await failpoint.reach("slice.applied")
            after = max(fence, judged[-1][0].offset + 1)
            await update_position(tx, self.where, after)
            await failpoint.reach("slice.moved")
        await failpoint.reach("slice.committed")
        self.next_offset = after
        self._intake.applied(len(judged))
        self._shared.progressed()
        seconds, fenced = time.monotonic() - began, len(judged) - len(todo)
        report.tell(self.where.topic, self._fields(), outcome, fenced=fenced, seconds=seconds)

    def _forget(self) -> None:
        """Drop what is queued: the position is to be found anew."""
        self._intake.end()
        self.next_offset = None
        self._unreadable = ""

    def _stop(self, reason: str) -> None:
        self.state, self.reason = "stopped", reason
        self._intake.end()
        _log.error("partition_stopped", **self._fields(), reason=reason)
        self._shared.progressed()

    async def _pause_for(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _fields(self) -> dict[str, object]:
        return {
            "topic": self.where.topic,
            "partition": self.where.partition,
            "next_offset": self.next_offset,
        }
