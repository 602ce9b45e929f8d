"""Sending pages of rows as whole batches, and knowing the offset of every record sent."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from servicekit.saying.partition import partitions
from servicekit.saying.record_headers import unpack

if TYPE_CHECKING:
    import asyncpg
    from aiokafka.producer.message_accumulator import BatchBuilder

ACK_SECONDS = 30.0  # idempotent batches never expire by themselves, so the wait must
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
PRODUCER = {"acks": "all", "enable_idempotence": True, "max_batch_size": 512 * 1024}
_REFUSALS = (TopicAuthorizationFailedError, MessageSizeTooLargeError, RecordListTooLargeError)


@dataclass(frozen=True, slots=True)
class Batches:
    """A page, encoded: each partition's batches in the order of its rows."""

    of: Mapping[TopicPartition, Sequence["BatchBuilder"]]

    def without(self, topics: set[str]) -> "Batches":
        """Return those of other topics."""
        if not topics:
            return self
        return Batches({tp: batches for tp, batches in self.of.items() if tp.topic not in topics})


@dataclass(slots=True)
class Sent:
    """What Kafka said to a page."""

    refused: set[str] = field(default_factory=set)  # topics that do not take our records
    positions: dict[TopicPartition, int] = field(default_factory=dict)  # behind the last record
    # Offsets between our own records, by whoever: another relay of this database, for instance.
    strange: dict[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    rows: int = 0  # acknowledged


class Sender:
    """One producer, as long as nothing fails; its records' places in the partitions."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        """Send through a producer that has started."""
        self.ends: dict[TopicPartition, int] = {}  # what follows all that is known
        self._producer = producer
        self.counts: dict[str, int] = {}  # topics that the producer has found: their partitions

    async def found(self, topics: set[str]) -> set[str]:
        """Return which of these topics there are for us.

        It asks for everything we may see: unlike asking for one topic that is not there, which
        the client repeats until its request timeout, that is one quick answer, and silence can't
        be taken for the absence of a topic.
        """
        if not topics <= self.counts.keys():
            seen = await self.all_topics()
            self.counts |= {t: seen[t] for t in topics - self.counts.keys() if seen.get(t)}
        return topics & self.counts.keys()

    async def all_topics(self) -> dict[str, int]:
        """Return every topic that we may see, and its number of partitions."""
        async with asyncio.timeout(ACK_SECONDS):
            metadata = await self._producer.client.fetch_all_metadata()
        return {t: len(metadata.partitions_for_topic(t) or ()) for t in metadata.topics()}

    def encode(self, rows: Sequence["asyncpg.Record"], held: set[str]) -> Batches:
        """Return rows as batches, but for held topics; the key chooses the partition.

        The topics must have been found.
        """
        by_topic: dict[str, list[asyncpg.Record]] = defaultdict(list)
        for row in rows:
            by_topic[row["topic"]].append(row)
        batches: dict[TopicPartition, list[BatchBuilder]] = {}
        for topic in by_topic.keys() - held:
            self._encode(topic, by_topic[topic], batches)
        return Batches(batches)

    def _encode(
        self,
        topic: str,
        rows: Sequence["asyncpg.Record"],
        batches: dict[TopicPartition, list["BatchBuilder"]],
    ) -> None:
        now = int(time.time() * 1000)
        count = self.counts[topic]
        lists: list[list[BatchBuilder]] = [[] for _ in range(count)]
        keys = [row["subject"].encode() for row in rows]
        for key, partition, (*_, sequence, packed, value) in zip(
            keys, partitions(keys, count), rows, strict=True
        ):
            own = lists[partition]
            headers = unpack(packed, sequence)
            if own and own[-1].append(timestamp=now, key=key, value=value, headers=headers):
                continue
            own.append(self._producer.create_batch())
            own[-1].append(timestamp=now, key=key, value=value, headers=headers)
        batches |= {TopicPartition(topic, p): own for p, own in enumerate(lists) if own}

    async def send(self, batches: Batches) -> Sent:
        """Send batches and wait for every acknowledgement.

        Raises:
            KafkaError: anything but a refusal of a whole topic; this sender is of no use any more.
        """
        sent = Sent()
        async with asyncio.timeout(ACK_SECONDS):
            ends = await asyncio.gather(
                *(self._send_in_order(tp, own, sent) for tp, own in batches.of.items()),
                return_exceptions=True,
            )
        for error in ends:
            if error is not None:
                raise error
        self.counts = {t: n for t, n in self.counts.items() if t not in sent.refused}
        return sent

    async def _send_in_order(
        self, tp: TopicPartition, batches: Sequence["BatchBuilder"], sent: Sent
    ) -> None:
        """Send a partition's batches; none behind one that is refused, or it would overtake it."""
        for batch in batches:
            count = batch.record_count()
            batch.close()
            ack = await self._producer.send_batch(batch, tp.topic, partition=tp.partition)
            try:
                answer = await ack
            except _REFUSALS:
                sent.refused.add(tp.topic)
                return
            self._place(sent, tp, answer.offset, count)

    def _place(self, sent: Sent, tp: TopicPartition, offset: int, count: int) -> None:
        if offset < 0:  # acknowledged as a duplicate of we don't know what
            raise KafkaError(f"no offset for what was sent to {tp}")
        expected = self.ends.setdefault(tp, offset)
        if offset != expected:
            first, _ = sent.strange.get(tp, (expected, 0))
            sent.strange[tp] = (first, offset)
        self.ends[tp] = sent.positions[tp] = offset + count
        sent.rows += count


@asynccontextmanager
async def sending(client: Mapping[str, Any]) -> AsyncIterator[Sender]:
    """Yield a sender with a producer of its own; nothing of it is sent once this has ended."""
    producer = AIOKafkaProducer(**PRODUCER, **client)
    try:
        async with asyncio.timeout(_START_SECONDS):
            await producer.start()
        yield Sender(producer)
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
    except BaseException:
        await _abandon(producer)
        raise


async def _abandon(producer: AIOKafkaProducer) -> None:
    """End a producer without sending what it still has, however long that takes.

    Its `stop()` flushes first, for as long as the broker is away, and a limit on that wait
    would leave its sender alive: batches of now would follow newer ones of the next producer.
    So the sender is cancelled; it then waits for its requests under way, which fail at once
    when their connections close, or when they have just connected again, in the next turn.
    The client goes last: without its metadata task a failed request would wait for ever.
    """
    sender = producer._sender.sender_task  # noqa: SLF001 - aiokafka 0.14 has no public way
    if sender is not None:
        sender.cancel()
        while not sender.done():
            for connection in list(producer.client._conns.values()):  # noqa: SLF001 - as above
                connection.close()
            await asyncio.wait({sender}, timeout=0.1)
    await producer.client.close()
    producer._closed = True  # noqa: SLF001 - or it warns that nobody stopped it
