"""What lies in our topics that this relay did not just write, and what to do about it (ADR 0010).

A relay knows the offset of every record it wrote. Records between and behind them are looked at:
one of ours that the outbox does not know means that the database went back to an earlier time,
and nothing more may be sent. An older state of a compacted topic that lies behind a newer one
came from a relay that woke late; the newest state is said again.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from oncomentor_contracts.topics import Kind, topic_of
from servicekit.observing.log import logger

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from servicekit.saying.relay_history import History

_SILENCE_SECONDS = 30.0  # without a record, while some must be there
_POLL_MS = 500
Ranges = Mapping[TopicPartition, tuple[int, int]]
"""From the first offset to the one behind the last."""
_log = logger(__name__)


class RestoredError(Exception):
    """Kafka has records of ours that this database does not know: it was restored."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One of our records, as it lies in a topic."""

    partition: TopicPartition
    offset: int
    subject: str
    sequence: int
    event_id: UUID


class Reader:
    """Reads ranges of our topics, without a group, whatever wrote there."""

    def __init__(self, consumer: AIOKafkaConsumer, source: str) -> None:
        """Read with a consumer that has started; only records of `source` are ours."""
        self._consumer = consumer
        self._source = source.encode()

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset behind the last record of each partition."""
        if not partitions:
            return {}
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(list(partitions))
        return ends

    async def starts(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offset of each partition that is still kept."""
        starts: dict[TopicPartition, int] = await self._consumer.beginning_offsets(list(partitions))
        return starts

    async def ours(self, ranges: Ranges) -> AsyncIterator[list[Seen]]:
        """Yield our records in these ranges, a few thousand at a time.

        Raises:
            TimeoutError: the broker has more and does not give it.
        """
        left = {tp: end for tp, (start, end) in ranges.items() if start < end}
        if not left:
            return
        self._consumer.assign(list(left))
        try:
            for tp in left:
                self._consumer.seek(tp, ranges[tp][0])
            while left:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    batches = await self._next(left)
                yield [
                    seen
                    for tp, records in batches.items()
                    for seen in self._seen(tp, records)
                    if seen.offset < ranges[tp][1]
                ]
        finally:
            self._consumer.unsubscribe()

    async def _next(
        self, left: dict[TopicPartition, int]
    ) -> Mapping[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]:
        """Return the next records; take the partitions off `left` that have been read."""
        while left:
            batches: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=2_000)
            for tp in list(left):
                if await self._consumer.position(tp) >= left[tp]:
                    del left[tp]
                    self._consumer.pause(tp)
            if batches:
                return batches
        return {}

    def _seen(
        self, tp: TopicPartition, records: Iterable["ConsumerRecord[bytes, bytes]"]
    ) -> Iterable[Seen]:
        for record in records:
            headers = dict(record.headers)
            if headers.get("ce_source") != self._source:
                continue
            yield Seen(
                partition=tp,
                offset=record.offset,
                subject=headers["ce_subject"].decode(),
                sequence=int(headers["ce_sequence"]),
                event_id=UUID(headers["ce_id"].decode()),
            )


@asynccontextmanager
async def reading(client: Mapping[str, Any], source: str) -> AsyncIterator[Reader]:
    """Yield a reader of our own topics."""
    consumer = AIOKafkaConsumer(
        **client, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        yield Reader(consumer, source)
    finally:
        await consumer.stop()


class Watch:
    """Looks at what this relay did not write, and mends what it can."""

    def __init__(self, reader: Reader, history: "History", service: str) -> None:
        """Look through `reader`; `history` is what the database knows; `service` writes."""
        self._reader = reader
        self._history = history
        self._service = service

    def owns(self, topic: str) -> bool:
        """Whether this service is a writer of the topic."""
        found = topic_of(topic)
        return found is not None and self._service in found.writers

    @staticmethod
    def is_state(topic: str) -> bool:
        """Whether the topic is compacted, so that an older record that is last is a fault."""
        found = topic_of(topic)
        return found is not None and found.kind is Kind.STATE

    async def catch_up(
        self, counts: Mapping[str, int], known: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Look at all that lies behind `known` in our topics among these; return their ends.

        Topics that we may write and not read are left out.

        Raises:
            RestoredError: Kafka has a record of ours that this database does not know.
        """
        ranges = await self.behind(counts, known)
        refused = await self._look_where_allowed(ranges)
        return {tp: end for tp, (_, end) in ranges.items() if tp.topic not in refused}

    async def behind(
        self, counts: Mapping[str, int], known: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Return what there is behind `known` in our topics among these."""
        partitions = [
            TopicPartition(topic, n)
            for topic, count in counts.items()
            if self.owns(topic)
            for n in range(count)
        ]
        if not partitions:
            return {}
        starts = await self._reader.starts(partitions)
        ranges = {}
        for tp, end in (await self._reader.ends(partitions)).items():
            start = known.get(tp, 0)  # beyond the end: it is another topic of the same name
            ranges[tp] = (starts[tp] if start > end else max(start, starts[tp]), end)
        return ranges

    async def _look_where_allowed(self, ranges: Ranges) -> set[str]:
        refused: set[str] = set()
        while True:
            allowed = {tp: r for tp, r in ranges.items() if tp.topic not in refused}
            try:
                await self.look(allowed)
            except TopicAuthorizationFailedError as error:
                named = {str(topic) for topic in error.args}
                if not named & {tp.topic for tp in allowed}:
                    raise  # or we would ask the same again, for ever
                refused |= named
            else:
                return refused

    async def moved(
        self, ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Return what was written to our state topics behind these ends."""
        state = [tp for tp in ends if self.is_state(tp.topic)]
        now = await self._reader.ends(state)
        return {tp: (ends[tp], now[tp]) for tp in state if now[tp] > ends[tp]}

    async def look(self, ranges: Ranges) -> None:
        """Look at ranges that this relay did not write; say outdated states again.

        Raises:
            RestoredError: Kafka has a record of ours that this database does not know.
        """
        outdated: dict[tuple[str, str], int] = {}
        async for records in self._reader.ours(ranges):
            if unknown := await self._history.unknown(records):
                first = unknown[0]
                raise RestoredError(f"{first.partition.topic} has event {first.event_id} of ours")
            last = {
                (seen.partition.topic, seen.subject): seen
                for seen in records
                if self.is_state(seen.partition.topic)
            }
            for key in last:
                outdated.pop(key, None)
            outdated |= await self._history.outdated(list(last.values()))
        if outdated:
            await self._mend(outdated)

    async def _mend(self, outdated: Mapping[tuple[str, str], int]) -> None:
        """Say each subject's newest state, or its deletion, again: an older one lies behind it.

        It comes from the outbox, which keeps it for longer than any relay can have been frozen:
        compaction may have taken it from Kafka meanwhile, and a deletion for good.
        """
        newest = await self._history.said(outdated)
        for (topic, subject), counted in outdated.items():
            row = newest.get((topic, subject))
            if row is None:
                _log.error("relay_state_not_mended", topic=topic, subject=subject, sequence=counted)
            elif await self._history.say_again(row):
                _log.warning("relay_state_said_again", topic=topic, subject=subject)
