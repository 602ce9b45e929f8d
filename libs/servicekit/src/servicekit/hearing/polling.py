"""Polls of a group that one unreadable record can't stop.

aiokafka drains all partitions in one call: when it raises, what the call had drained is lost, and
it does not say which partition it was. So every lane is rewound, and for a while partitions are
polled one by one.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    CorruptRecordException,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    UnsupportedCodecError,
)

from servicekit.hearing.backlog import MAX_SLICE
from servicekit.hearing.lane import Lane
from servicekit.hearing.verdict import Record
from servicekit.observing.log import logger

_POLL_SECONDS = 5.0  # a rebalance that waits for a broker would hold a poll for good
_CAREFUL_SECONDS = 60.0
_FAULT_SECONDS = 15.0  # how long a failure is told; the next one renews it
_STUCK_SECONDS = 5.0
_IDLE_SECONDS = 0.05
_NO_POSITION = (NoOffsetForPartitionError, OffsetOutOfRangeError)
_UNDECODABLE = (UnsupportedCodecError, CorruptRecordException, RecordTooLargeError)
_log = logger(__name__)

Found = dict[TopicPartition, list[Record]]


class Polling:
    """Stands in for `getmany` of a group's consumer."""

    def __init__(self, group: str, lanes: Mapping[TopicPartition, Lane]) -> None:
        """`lanes` are those of the partitions assigned at any time."""
        self.ticked_at = time.monotonic()
        self._group = group
        self._lanes = lanes
        self._kafka: AIOKafkaConsumer | None = None
        self._getmany: Any = None
        self._careful_until = 0.0
        self._fault, self._fault_at = "", 0.0
        self._failing_since, self._failed_at = 0.0, 0.0

    @property
    def fault(self) -> str:
        """What Kafka answered lately instead of records; empty when all is well."""
        return self._fault if time.monotonic() - self._fault_at < _FAULT_SECONDS else ""

    @property
    def is_stuck(self) -> bool:
        """Whether one poll after the other fails: the consumer will not mend by itself.

        aiokafka's coordination can end for good, or repeat one error of a heartbeat for good
        (a broker that starts answers GroupLoadInProgress, which it does not expect there).
        """
        fails = time.monotonic() - self._failed_at < _STUCK_SECONDS
        return fails and self._failed_at - self._failing_since >= _STUCK_SECONDS

    def tick(self) -> None:
        """Show that the loop turns."""
        self.ticked_at = time.monotonic()

    def attach(self, kafka: AIOKafkaConsumer) -> None:
        """Take the place of this consumer's `getmany`; a second time does nothing."""
        if self._kafka is not kafka:
            self._kafka, self._getmany = kafka, kafka.getmany
            kafka.getmany = self._poll

    def note(self, error: BaseException) -> None:
        """Tell of this error for a while."""
        fault = f"Kafka: {type(error).__name__}"
        if fault != self.fault:
            _log.warning("kafka_failed", group=self._group, error=f"{fault}: {error}")
        self._fault, self._fault_at = fault, time.monotonic()

    async def _poll(self, *, timeout_ms: int = 0, max_records: int | None = None) -> Found:
        self.tick()
        if time.monotonic() < self._careful_until and self._lanes:
            return await self._one_by_one()
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                return await self._fetch(timeout_ms=timeout_ms, max_records=max_records)
        except TimeoutError:
            return {}  # it waited for an assignment, so nothing was drained
        except ConsumerStoppedError:
            raise
        except _NO_POSITION as error:
            self._doubt(error)
            return {}
        except Exception as error:  # noqa: BLE001 - whatever decoding raises: the next polls find where
            _log.warning("poll_failed", group=self._group, error=type(error).__name__)
            self._careful_until = time.monotonic() + _CAREFUL_SECONDS
            for lane in self._lanes.values():
                lane.rewind()
            if not _is_undecodable(error):
                self._fail(error)
            return {}

    async def _fetch(self, *partitions: TopicPartition, **limits: Any) -> Found:
        try:
            found: Found = await self._getmany(*partitions, **limits)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise KafkaError("aiokafka's coordination was cancelled") from None  # and not we
        return found

    async def _one_by_one(self) -> Found:
        found: Found = {}
        for tp in sorted(self._lanes):
            records: list[Record] = []
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._drain(tp, records)
            except TimeoutError:
                break
            except ConsumerStoppedError:
                raise
            except _NO_POSITION as error:
                self._doubt(error)
            except Exception as error:  # noqa: BLE001 - whatever decoding raises
                self._blame(tp, records, error)
            else:
                found[tp] = records
            await asyncio.sleep(0)  # many small polls must not hold the loop
        found = {tp: records for tp, records in found.items() if records}
        if not found:
            await asyncio.sleep(_IDLE_SECONDS)
        return found

    def _fail(self, error: Exception) -> None:
        self.note(error)
        now = time.monotonic()
        if now - self._failed_at > _STUCK_SECONDS:
            self._failing_since = now
        self._failed_at = now

    def _doubt(self, error: KafkaError) -> None:
        """Have the lane find its position: the log does not reach there, or it never had one."""
        (where,) = error.args  # a partition, or a dict of partitions
        for tp in [where] if isinstance(where, TopicPartition) else where:
            if lane := self._lanes.get(tp):
                lane.doubt()

    async def _drain(self, tp: TopicPartition, records: list[Record]) -> None:
        """Take one record at a time, so that those before an unreadable one are not lost."""
        while len(records) < MAX_SLICE:
            one = (await self._fetch(tp, timeout_ms=0, max_records=1)).get(tp)
            if not one:
                return
            records += one

    def _blame(self, tp: TopicPartition, records: list[Record], error: Exception) -> None:
        lane = self._lanes.get(tp)
        if lane is None:
            return
        taken = lane.offer(records) if records else True
        if not _is_undecodable(error):
            self._fail(error)
            lane.rewind()
        elif taken:
            lane.end_with(
                f"{tp.topic}[{tp.partition}] cannot be decoded: {type(error).__name__}; what "
                f"follows offset {lane.expected} waits: judge what the record there was, set "
                "next_offset past it in kit.consumer_offsets and restart"
            )


def _is_undecodable(error: Exception) -> bool:
    return not isinstance(error, KafkaError) or isinstance(error, _UNDECODABLE)
