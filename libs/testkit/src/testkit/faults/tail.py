"""Reads every topic of the network as it grows, as the superuser and past all proxies."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from devstack.stack import Stack
from testkit.history import Logged

_FETCH_MS = 500
Ends = dict[TopicPartition, int]


class Tail:
    """The log so far: what earlier cycles wrote is forgotten at `begin`."""

    def __init__(self, stack: Stack) -> None:
        """Nothing is read yet."""
        self.records: list[Logged] = []
        self.raw: dict[tuple[str, int, int], ConsumerRecord] = {}
        """The records of the cycle as they came, by place; for repeating them."""
        self.next: Ends = {}
        self._stack = stack
        self._reader: _Reader | None = None

    async def begin(self) -> None:
        """Start a cycle: what is in Kafka now is history."""
        self.records, self.raw = [], {}
        self.next = await self.ends()

    async def ends(self) -> Ends:
        """Return where each partition ends now."""
        async with self._reading() as reader:
            return await reader.ends()

    async def read(self, within: float = 20.0) -> None:
        """Read on to where each partition ends now.

        Raises:
            TimeoutError: Kafka took too long.
        """
        async with asyncio.timeout(within), self._reading() as reader:
            ends = await reader.ends()
            for record in await reader.between(self.next, ends):
                self.raw[record.topic, record.partition, record.offset] = record
                self.records.append(logged(record))
            self.next = ends

    async def close(self) -> None:
        """Let the connection go; the next call makes a new one."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.stop()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator["_Reader"]:
        """Yield the connection, which is not kept when something went wrong with it."""
        if self._reader is None:
            self._reader = _Reader(self._stack.kafka_login())
            await self._reader.start()
        try:
            yield self._reader
        except BaseException:
            await self.close()
            raise


class _Reader:
    """Two consumers: one that fetches keeps the metadata of what it fetches, and no other topic's.

    Asked for the ends of all, it would learn of them again one by one, for ten seconds.
    """

    def __init__(self, login: Any) -> None:
        self._all, self._kafka = (
            AIOKafkaConsumer(
                bootstrap_servers=login["bootstrap"],
                security_protocol=login["security"],
                sasl_mechanism=login["mechanism"],
                sasl_plain_username=login["username"],
                sasl_plain_password=login["password"],
                enable_auto_commit=False,
                auto_offset_reset="earliest",
            )
            for _ in range(2)
        )

    async def start(self) -> None:
        await self._all.start()
        await self._kafka.start()

    async def stop(self) -> None:
        await self._all.stop()
        await self._kafka.stop()

    async def ends(self) -> Ends:
        cluster = await self._all._client.fetch_all_metadata()  # noqa: SLF001 - for all topics
        partitions = [
            TopicPartition(topic, number)
            for topic in cluster.topics(exclude_internal_topics=True)
            for number in cluster.partitions_for_topic(topic) or ()
        ]
        found: Ends = await self._all.end_offsets(partitions)
        return found

    async def between(self, starts: Ends, ends: Ends) -> Sequence[ConsumerRecord]:
        wanted = {tp: end for tp, end in ends.items() if end > starts.get(tp, 0)}
        if not wanted:
            return []
        self._kafka.assign(list(wanted))
        for tp in wanted:
            self._kafka.seek(tp, starts.get(tp, 0))
        found: list[ConsumerRecord] = []
        while any([await self._kafka.position(tp) < end for tp, end in wanted.items()]):
            for records in (await self._kafka.getmany(timeout_ms=_FETCH_MS)).values():
                found += records
        return found


def logged(record: ConsumerRecord) -> Logged:
    """Return a record as evidence, whatever is in it."""
    headers = {name: value for name, value in record.headers if value is not None}

    def attribute(name: str) -> str | None:
        value = headers.get(f"ce_{name}")
        return None if value is None else value.decode(errors="replace")

    sequence = attribute("sequence")
    return Logged(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        event_id=_plain_id(attribute("id")),
        type=attribute("type"),
        subject=attribute("subject"),
        sequence=int(sequence) if sequence and sequence.isdigit() else None,
        source=attribute("source"),
        causationid=attribute("causationid"),
        data=_json(record.value),
        digest=digest_of(record.value),
    )


def digest_of(value: bytes | None) -> str:
    """Return the SHA-256 of a value's bytes; empty for null."""
    return "" if value is None else hashlib.sha256(value).hexdigest()


def _plain_id(text: str | None) -> str | None:
    try:
        return None if text is None else str(UUID(text))
    except ValueError:
        return text


def _json(value: bytes | None) -> dict[str, Any] | None:
    try:
        data = json.loads(value or b"null")
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
