"""One consumer group: FastStream hands it records, it hands them to the partitions' lanes."""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from oncomentor_contracts.topics import Topic
from servicekit import backoff
from servicekit.errors import TransientError
from servicekit.kafka import topic_ids
from servicekit.lane import MAX_SLICE, Lane
from servicekit.log import logger
from servicekit.position import Partition
from servicekit.settings import Settings
from servicekit.subscription import Subscription
from servicekit.tx import Database
from servicekit.verdict import Record

_COMMIT_EVERY_SECONDS = 1.0
_log = logger(__name__)


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """The lanes of one group, kept equal to what Kafka assigns.

    Offsets committed to Kafka are advice for lag monitors; the truth is `kit.consumer_offsets`.
    """

    def __init__(
        self,
        *,
        group: str,
        subscriptions: Sequence[Subscription],
        settings: Settings,
        database: Database,
        progressed: Callable[[], None],
    ) -> None:
        """Take the subscriptions of fixed topics, or exactly one of a template."""
        self.group = group
        self.lanes: dict[TopicPartition, Lane] = {}
        self.ticked_at = time.monotonic()
        self.assigned = asyncio.Event()
        self._subscriptions = subscriptions
        self._settings = settings
        self._database = database
        self._progressed = progressed
        self._subscriber: BatchSubscriber | None = None
        self._committed: dict[TopicPartition, int] = {}
        self._assigning: asyncio.Task[None] | None = None
        self._committer: asyncio.Task[None] | None = None

    def register(self, broker: KafkaBroker) -> None:
        """Subscribe through FastStream, raw and unacknowledged: commits are ours to make."""
        topics = [s.topic.name for s in self._subscriptions if not s.topic.is_template]
        templates = [s.topic for s in self._subscriptions if s.topic.is_template]
        subscriber = broker.subscriber(
            *topics,
            pattern=_pattern(templates[0]) if templates else None,
            group_id=self.group,
            batch=True,
            max_records=4 * MAX_SLICE,
            batch_timeout_ms=10,
            fetch_max_wait_ms=100,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            listener=self,
            parser=self._parse,
            decoder=_decode,
        )
        subscriber(self._take)
        self._subscriber = subscriber

    def start(self) -> None:
        """Begin to tell Kafka where we are, and that we are alive; the broker has been started."""
        self.ticked_at = time.monotonic()
        self._committer = asyncio.create_task(self._keep_committing())

    async def stop(self) -> None:
        """Let every lane finish its slice, then tell Kafka where we are."""
        for task in (self._assigning, self._committer):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(lane.close() for lane in self.lanes.values()))
        await self._commit_offsets()

    @property
    def stopped(self) -> list[str]:
        """Why partitions stand still that should not; empty when all is well."""
        return [lane.reason for lane in self.lanes.values() if lane.state == "stopped"]

    @property
    def caught_up(self) -> bool:
        """Whether all assigned partitions have applied what was there when they were assigned."""
        return self.assigned.is_set() and all(lane.caught_up for lane in self.lanes.values())

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Finish the slices at hand; the fence would refuse them once another owns the partition."""
        self.assigned.clear()
        if self._assigning is not None:
            self._assigning.cancel()
        gone = [self.lanes.pop(tp) for tp in revoked if tp in self.lanes]
        await asyncio.gather(*(lane.close() for lane in gone))

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Hold the partitions until each lane knows its position."""
        if assigned:
            self._kafka.pause(*assigned)
        self._assigning = asyncio.create_task(self._open_lanes(set(assigned)))

    async def _open_lanes(self, assigned: set[TopicPartition]) -> None:
        ids = await self._topic_ids({tp.topic for tp in assigned})
        for tp in sorted(assigned):
            self.lanes[tp] = Lane(
                where=Partition(self.group, tp.topic, tp.partition, ids.get(tp.topic, "")),
                subscription=self._subscription_of(tp.topic),
                database=self._database,
                consumer=self._kafka,
                progressed=self._progressed,
            )
        self.assigned.set()
        _log.info("partitions_assigned", group=self.group, partitions=len(assigned))
        self._progressed()

    async def _topic_ids(self, topics: set[str]) -> dict[str, str]:
        for attempt in itertools.count(1):
            try:
                return await topic_ids(self._settings, topics)
            except TransientError as error:
                _log.warning("topics_not_described", group=self.group, error=str(error))
                await asyncio.sleep(backoff.delay(attempt))
        raise AssertionError("unreachable: count() has no end")

    async def _take(self, records: Any) -> None:
        # Any, since FastStream builds a validator from the annotation.
        by_partition: dict[TopicPartition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[TopicPartition(record.topic, record.partition)].append(record)
        for tp, taken in by_partition.items():
            if lane := self.lanes.get(tp):
                lane.offer(taken)

    async def _keep_committing(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_EVERY_SECONDS)
            await self._commit_offsets()
            polling = self._subscriber.tasks if self._subscriber else ()
            if polling and not any(task.done() for task in polling):
                self.ticked_at = time.monotonic()

    async def _commit_offsets(self) -> None:
        offsets = {
            tp: lane.next_offset
            for tp, lane in self.lanes.items()
            if lane.next_offset is not None and self._committed.get(tp) != lane.next_offset
        }
        if not offsets:
            return
        with suppress(KafkaError):  # advice only: the next one says the same and more
            await self._kafka.commit(offsets)
            self._committed.update(offsets)

    async def _parse(self, records: tuple[Record, ...]) -> KafkaMessage:
        first = records[0]
        return KafkaAckableMessage(
            body=b"",
            headers={},
            raw_message=records,
            message_id=f"{first.topic}/{first.partition}/{first.offset}",
            correlation_id="",
            consumer=self._kafka,
        )

    def _subscription_of(self, topic: str) -> Subscription:
        for subscription in self._subscriptions:
            if subscription.topic.name == topic or subscription.topic.institution_in(topic):
                return subscription
        raise LookupError(topic)

    @property
    def _kafka(self) -> AIOKafkaConsumer:
        if self._subscriber is None or self._subscriber.consumer is None:
            raise LookupError("the consumer has not been started")
        return self._subscriber.consumer


async def _decode(message: KafkaMessage) -> object:
    return message.raw_message


def _pattern(topic: Topic) -> str:
    # FastStream reads braces as path parameters, so the pattern for the broker has none; what
    # it lets through beyond the contract's own pattern is told apart in `_subscription_of`.
    before, after = (part.replace(".", r"\.") for part in topic.name.split("{institution}"))
    return f"^{before}[a-z0-9-]+{after}$"
