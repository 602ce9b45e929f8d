"""Listening to a topic: every record comes out, understood or not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Literal, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from pydantic import ValidationError

from oncomentor_client.broker import login, start, stop, translated
from oncomentor_client.credentials import Credentials
from oncomentor_contracts.envelope import Envelope, EnvelopeError, from_headers
from oncomentor_contracts.event import Event
from oncomentor_contracts.events import BY_TYPE

Start = Literal["beginning", "latest"] | datetime
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_START_SECONDS = 20.0
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Received:
    """One record. `event` is None where it isn't understood, and `fault` says why."""

    topic: str
    partition: int
    offset: int
    at: datetime
    key: bytes | None
    value: bytes | None
    envelope: Envelope | None
    event: Event | None
    fault: str | None = None


class Subscriber:
    """An async iterator over a topic, in order per subject; it waits for ever for the next record.

    Without a group it reads every partition from `start` and remembers nothing. With a group it
    goes on where the group stopped (`start` is for the first time): a record counts as done when
    the next one is asked for, so after a crash the last one comes again.
    """

    def __init__(
        self,
        credentials: Credentials,
        topic: str,
        *,
        start: Start = "latest",
        group: str | None = None,
    ) -> None:
        """Nothing is opened yet; a group of a center must begin with `<institution id>.`."""
        self._access = credentials.kafka
        self._topic = topic
        self._start = start
        self._group = group
        self._consumer: AIOKafkaConsumer | None = None
        self._ends: dict[TopicPartition, int] = {}
        self._done: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        """Log in and take position.

        Raises:
            UnreachableError: the broker doesn't answer; try again later.
            RefusedError: the login or the right to read is missing, or there is no such topic.
        """
        self._consumer = AIOKafkaConsumer(
            self._topic,
            **login(self._access),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="latest" if self._start == "latest" else "earliest",
            fetch_max_wait_ms=200,
            request_timeout_ms=15_000,
        )
        await start(self._consumer, self._access, self._topic)
        try:
            with translated(self._access, self._topic):
                await self._take_position()
        except BaseException:
            await stop(self._consumer)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remember the position of the group and log out."""
        try:
            await self._commit()
        finally:
            await stop(self._opened())

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Yield the records one by one."""
        while True:
            for one in await self.fetch(_POLL_SECONDS):
                yield one
                self._done[TopicPartition(one.topic, one.partition)] = one.offset + 1
            await self._commit()

    async def fetch(self, wait_seconds: float) -> Sequence[Received]:
        """Return what has arrived since the last call, waiting so long when it is nothing."""
        with translated(self._access, self._topic):
            slices = await self._opened().getmany(timeout_ms=int(wait_seconds * 1000))
        records = [record for records in slices.values() for record in records]
        records.sort(key=lambda record: record.timestamp)
        return [understood(record) for record in records]

    async def backlog(self) -> Sequence[Received]:
        """Return what was there when the subscription was opened, and was not fetched yet.

        More may come with it, when it arrived meanwhile.
        """
        found: list[Received] = []
        while not await self._is_past_ends():
            found += await self.fetch(_POLL_SECONDS)
        return found

    async def _is_past_ends(self) -> bool:
        consumer = self._opened()
        with translated(self._access, self._topic):
            positions = {one: await consumer.position(one) for one in self._ends}
        return all(positions[one] >= end for one, end in self._ends.items())

    async def _take_position(self) -> None:
        consumer = self._opened()
        async with asyncio.timeout(_START_SECONDS):
            while self._group is None and not consumer.assignment():  # noqa: ASYNC110 - the driver has no event
                await asyncio.sleep(0.02)
        if self._group is not None:
            return  # assigned by the group, later
        partitions = list(consumer.assignment())
        self._ends = await consumer.end_offsets(partitions)
        if isinstance(self._start, datetime):
            await self._seek_to(self._start, partitions)
        elif self._start == "latest":
            for partition, end in self._ends.items():
                consumer.seek(partition, end)

    async def _seek_to(self, instant: datetime, partitions: Sequence[TopicPartition]) -> None:
        consumer = self._opened()
        millisecond = (instant - _EPOCH) // timedelta(milliseconds=1)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, millisecond))
        for partition in partitions:
            first = found.get(partition)
            consumer.seek(partition, self._ends[partition] if first is None else first.offset)

    async def _commit(self) -> None:
        done, self._done = self._done, {}
        if self._group is None or not done:
            return
        with translated(self._access, self._topic):
            await self._opened().commit(done)

    def _opened(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError(
                "enter the subscriber first: `async with Subscriber(...) as records`"
            )
        return self._consumer


def understood(record: ConsumerRecord) -> Received:
    """Return the record with its event; what can't be read comes with the reason instead."""
    envelope, event, fault = _parsed(record)
    return Received(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        at=_EPOCH + timedelta(milliseconds=record.timestamp),
        key=record.key,
        value=record.value,
        envelope=envelope,
        event=event,
        fault=fault,
    )


def _parsed(record: ConsumerRecord) -> tuple[Envelope | None, Event | None, str | None]:
    try:
        envelope = from_headers(record.headers)
    except EnvelopeError as error:
        return None, None, str(error)
    kind = BY_TYPE.get(envelope.type)
    if kind is None:
        return envelope, None, f"the type {envelope.type} is not known to this release"
    try:
        return envelope, kind.received(envelope, record.value), None
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) for item in error.errors()[:3])
        return envelope, None, f"the data breaks the contract of {envelope.type} at {places}"
    except ValueError as error:
        return envelope, None, str(error)
