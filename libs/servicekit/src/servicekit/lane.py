"""One partition's way through the kernel: slices, one transaction each, until it is taken away."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from servicekit import backoff, verdict
from servicekit.apply import ForkError, Outcome, apply_records
from servicekit.errors import TransientError
from servicekit.log import logger
from servicekit.position import (
    Partition,
    PartitionStoppedError,
    lock_position,
    open_position,
    update_position,
)
from servicekit.subscription import Subscription
from servicekit.tx import Database
from servicekit.verdict import Record

MAX_SLICE = 2_000  # records; past this a transaction no longer gets cheaper per event
MAX_QUEUED = 2 * MAX_SLICE  # records held in memory per partition; then fetching pauses
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
        self._queue: deque[Record] = deque()
        self._filled = asyncio.Event()
        self._closing = asyncio.Event()
        self._paused = True
        self._jump: int | None = None
        consumer.pause(self.tp)
        self._task = asyncio.create_task(self._run(), name=f"lane {where.topic}[{where.partition}]")

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the partition when the lane began has been applied."""
        if self.state == "stopped":
            return True
        if self.next_offset is None or self.end_at_start is None:
            return False
        return self.next_offset >= self.end_at_start

    @property
    def backlog(self) -> int:
        """Records fetched and not yet applied."""
        return len(self._queue)

    def offer(self, records: Sequence[Record]) -> None:
        """Take fetched records in offset order; those from before a seek are dropped."""
        if self.next_offset is None or self.state == "stopped":
            return
        expected = self._queue[-1].offset + 1 if self._queue else self.next_offset
        wanted = [record for record in records if record.offset >= expected]
        if wanted and wanted[0].offset > expected and self._jump != wanted[0].offset:
            # Compaction leaves holes, and so would records fetched before our seek: ask again,
            # and believe the hole when it is there the second time.
            self._jump = wanted[0].offset
            self._consumer.seek(self.tp, expected)
            return
        self._queue.extend(wanted)
        if len(self._queue) >= MAX_QUEUED and not self._paused:
            self._paused = True
            self._consumer.pause(self.tp)
        self._filled.set()

    async def close(self) -> None:
        """Finish the slice at hand and end; what is only queued will be read again by the next owner."""
        self._closing.set()
        self._filled.set()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        await self._until_done(self._open)
        while not self._closing.is_set() and self.state != "stopped":
            await self._filled.wait()
            if not self._queue:
                self._filled.clear()
                continue
            size = min(len(self._queue), MAX_SLICE)
            records = [self._queue[index] for index in range(size)]
            await self._until_done(partial(self._apply, records))
            self._resume_when_drained()

    async def _until_done(self, step: Callable[[], Any]) -> None:
        attempt = 0
        while not self._closing.is_set():
            try:
                await step()
            except (TransientError, KafkaError) as error:
                attempt += 1
                self.state, self.reason = "retrying", f"{type(error).__name__}: {error}"
                wait = backoff.delay(attempt)
                _log.warning("slice_retried", **self._fields(), attempt=attempt, wait_seconds=wait)
                await self._pause_for(wait)
                continue
            except (PartitionStoppedError, ForkError) as error:
                self._stop(str(error))
            except Exception as error:  # noqa: BLE001 - the kernel's own bug: stop this partition, loudly, and keep the others
                _log.error("kernel_failed", **self._fields(), exc_info=error)
                self._stop(f"bug in the kernel: {type(error).__name__}; see the log")
            else:
                self.state, self.reason = "running", ""
            return

    async def _open(self) -> None:
        start = (await self._consumer.beginning_offsets([self.tp]))[self.tp]
        end = (await self._consumer.end_offsets([self.tp]))[self.tp]
        async with self._database.transaction() as tx:
            position = await open_position(tx, self.where, start)
        self._consumer.seek(self.tp, position)
        self.end_at_start = end
        self.next_offset = position
        self._paused = False
        self._consumer.resume(self.tp)
        self._progressed()

    async def _apply(self, records: Sequence[Record]) -> None:
        began = time.monotonic()
        judged = [(record, verdict.judge(record, self._subscription.topic)) for record in records]
        async with self._database.transaction() as tx:
            fence = await lock_position(tx, self.where)
            todo = [pair for pair in judged if pair[0].offset >= fence]
            outcome = await apply_records(tx, self._subscription, self.where.topic, todo)
            after = max(fence, records[-1].offset + 1)
            await update_position(tx, self.where, after)
        self.next_offset = after
        for _ in records:
            self._queue.popleft()
        self._progressed()
        self._report(len(records), len(records) - len(todo), outcome, time.monotonic() - began)

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
        if self._paused and len(self._queue) < MAX_SLICE and self.state == "running":
            self._paused = False
            if self.tp in self._consumer.assignment():
                self._consumer.resume(self.tp)

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
