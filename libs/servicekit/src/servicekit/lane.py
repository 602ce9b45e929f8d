"""One partition's way through the kernel: slices, one transaction each, until it is taken away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from oncomentor_contracts.topics import Kind
from servicekit import backoff, failpoint
from servicekit.apply import Outcome, apply_plainly, apply_records
from servicekit.backlog import Backlog, Held, Judged
from servicekit.errors import TransientError
from servicekit.log import logger
from servicekit.novelty import ForkError
from servicekit.position import (
    FellBackError,
    Partition,
    PartitionStoppedError,
    lock_position,
    open_position,
    update_position,
)
from servicekit.subscription import Subscription
from servicekit.tx import Database, Tx
from servicekit.verdict import Judge, Record

_PATIENCE_SECONDS = 30.0  # retries shorter than this are nobody's business
_CLOSE_SECONDS = 30.0
Apply = Callable[[Tx, Subscription, str, Sequence[Judged]], Awaitable[Outcome]]
_log = logger(__name__)


class Lane:
    """Applies one assigned partition in order, slice by slice, and never lets an error out.

    `state` is `opening`, `running`, `retrying` or `stopped`; `reason` says why it is not running.
    """

    def __init__(
        self,
        *,
        where: Partition,
        subscription: Subscription,
        database: Database,
        consumer: AIOKafkaConsumer,
        held: Held,
        progressed: Callable[[], None],
    ) -> None:
        """Begin at once in a task of its own; the partition is paused until its position is known."""
        self.where = where
        self.tp = TopicPartition(where.topic, where.partition)
        self.state = "opening"
        self.reason = ""
        self.next_offset: int | None = None
        self.end_at_start: int | None = None
        self._subscription = subscription
        self._database = database
        self._consumer = consumer
        self._progressed = progressed
        self._judge = Judge(subscription.topic, where.topic)
        self._queue = Backlog(held, foreign=subscription.topic.kind is Kind.INGRESS)
        self._filled = asyncio.Event()
        self._closing = asyncio.Event()
        self._paused = True
        self._sought = True  # since then nothing has come: what does may have been on its way
        self._jump: int | None = None
        self._unreadable = ""
        self._retrying_since: float | None = None
        consumer.pause(self.tp)
        self._task = asyncio.create_task(self._run(), name=f"lane {where.topic}[{where.partition}]")

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
        return len(self._queue)

    @property
    def expected(self) -> int | None:
        """The offset to be fetched next; None while the position is not known."""
        return self.next_offset if self._queue.after is None else self._queue.after

    def offer(self, records: Sequence[Record]) -> bool:
        """Take fetched records in offset order; False where they are to be fetched again.

        Those from before a seek are dropped.
        """
        expected = self.expected
        if expected is None or self.state == "stopped" or self._unreadable:
            return False
        wanted = [record for record in records if record.offset >= expected]
        if wanted and self._sought and expected < wanted[0].offset != self._jump:
            # Compaction leaves holes. So would records that were on their way here when we sought:
            # ask again, and believe the hole when it is there the second time.
            self._jump = wanted[0].offset
            self._consumer.seek(self.tp, expected)
            return False
        if wanted:
            self._sought, self._jump = False, None
        self._queue.add([(record, self._judge(record)) for record in wanted])
        if self._queue.is_full and not self._paused:
            self._paused = True
            self._consumer.pause(self.tp)
        self._filled.set()
        return True

    def rewind(self) -> None:
        """Fetch again what follows the last record we hold: a poll failed and may have lost some."""
        if self.expected is None or self.state == "stopped":
            return
        self._sought, self._jump = True, None
        if self.tp in self._consumer.assignment():
            self._consumer.seek(self.tp, self.expected)

    def end_with(self, reason: str) -> None:
        """Apply what is queued, then stop: what follows can't be read."""
        if self.next_offset is None or self.state == "stopped":
            return
        self._unreadable = reason
        self._paused = True
        self._consumer.pause(self.tp)
        self._filled.set()

    async def close(self, within: float = _CLOSE_SECONDS) -> None:
        """Finish the slice at hand and end; what is only queued will be read again by the next owner.

        A slice that takes longer is rolled back.
        """
        self._closing.set()
        self._filled.set()
        await asyncio.wait({self._task}, timeout=within)
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=1)

    async def _run(self) -> None:
        while not self._closing.is_set() and self.state != "stopped":
            if self.next_offset is None:
                await self._until_done(self._open)
                continue
            await self._filled.wait()
            if not self._queue:
                self._filled.clear()
                if self._unreadable:
                    self._stop(self._unreadable)
                continue
            await self._until_done(partial(self._apply, self._queue.next_slice()))
            self._resume_when_drained()

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
                _log.warning("slice_retried", **self._fields(), attempt=attempt, wait_seconds=wait)
                await self._pause_for(wait)
                continue
            except FellBackError as error:
                _log.warning("position_fell_back", **self._fields(), reason=str(error))
                self._forget()
            except (PartitionStoppedError, ForkError) as error:
                self._stop(str(error))
            except Exception as error:  # noqa: BLE001 - the kernel's own bug: stop this partition, loudly, and keep the others
                _log.error("kernel_failed", **self._fields(), exc_info=error)
                self._stop(f"bug in the kernel: {type(error).__name__}; see the log")
            else:
                self.state, self.reason, self._retrying_since = "running", "", None
            return

    async def _open(self) -> None:
        start = (await self._consumer.beginning_offsets([self.tp]))[self.tp]
        end = (await self._consumer.end_offsets([self.tp]))[self.tp]
        async with self._database.transaction() as tx:
            position = await open_position(tx, self.where, start, end)
        self._sought, self._jump = True, None
        self._consumer.seek(self.tp, position)
        self.end_at_start = end
        self.next_offset = position
        self._paused = False
        self._consumer.resume(self.tp)
        self._progressed()

    async def _apply(self, judged: Sequence[Judged]) -> None:
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
        async with self._database.transaction() as tx:
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
        self._queue.drop(len(judged))
        self._progressed()
        self._report(len(judged), len(judged) - len(todo), outcome, time.monotonic() - began)

    def _report(self, size: int, fenced: int, outcome: Outcome, seconds: float) -> None:
        _log.info(
            "slice",
            **self._fields(),
            records=size,
            fenced=fenced,
            applied=outcome.applied,
            duplicates=outcome.duplicates,
            passed_over=outcome.passed_over,
            quarantined=len(outcome.parked),
            said=len(outcome.said),
            duration_ms=round(seconds * 1000, 1),
        )

    def _resume_when_drained(self) -> None:
        may_fetch = self.state == "running" and not self._unreadable
        if self._paused and may_fetch and self._queue.is_low:
            self._paused = False
            if self.tp in self._consumer.assignment():
                self._consumer.resume(self.tp)

    def _forget(self) -> None:
        """Drop what is queued and find the position anew."""
        self._queue.clear()
        self.next_offset = None
        self._unreadable = ""

    def _stop(self, reason: str) -> None:
        self.state, self.reason = "stopped", reason
        self._queue.clear()
        _log.error("partition_stopped", **self._fields(), reason=reason)
        if self.tp in self._consumer.assignment():
            self._consumer.pause(self.tp)
        self._progressed()

    async def _pause_for(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _fields(self) -> dict[str, object]:
        return {
            "topic": self.where.topic,
            "partition": self.where.partition,
            "next_offset": self.next_offset,
        }
