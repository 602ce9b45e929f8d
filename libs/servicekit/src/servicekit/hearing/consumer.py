"""One consumer group: FastStream hands it records, it hands them to the partitions' lanes."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber

from servicekit import backoff, failpoint
from servicekit.errors import TransientError
from servicekit.hearing import raw
from servicekit.hearing.lane import Lane, Shared
from servicekit.hearing.polling import Polling
from servicekit.hearing.position import Partition
from servicekit.kafka import topic_ids
from servicekit.observing.log import logger
from servicekit.settings import Settings
from servicekit.subscription import Subscription

_CHUNK = 400  # records fetched and judged at a time, while they are warm: some 10 ms of work
_COMMIT_EVERY_SECONDS = 1.0
_COMMIT_SECONDS = 5.0
_WATCH_SECONDS = 15.0  # between looks whether topics are still the same and polls get through
_STOP_SECONDS = 3.0  # for the slices at hand; longer ones are rolled back and read again
_LAST_COMMIT_SECONDS = 1.0
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
        shared: Shared,
    ) -> None:
        """Take the subscriptions of fixed topics, or exactly one of a template."""
        self.group = group
        self.lanes: dict[TopicPartition, Lane] = {}
        self.polling = Polling(group, self.lanes)
        self.assigned = asyncio.Event()
        self._subscriptions = subscriptions
        self._settings = settings
        self._shared = shared
        self._subscriber: BatchSubscriber | None = None
        self._committed: dict[TopicPartition, int] = {}
        self._assigning: asyncio.Task[None] | None = None
        self._committer: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    def register(self, broker: KafkaBroker) -> None:
        """Subscribe through FastStream, raw and unacknowledged: commits are ours to make."""
        topics = [s.topic.name for s in self._subscriptions if not s.topic.is_template]
        templates = [s.topic for s in self._subscriptions if s.topic.is_template]
        subscriber = broker.subscriber(
            *topics,
            pattern=raw.pattern(templates[0]) if templates else None,
            group_id=self.group,
            batch=True,
            max_records=_CHUNK,
            batch_timeout_ms=10,
            fetch_max_wait_ms=100,
            auto_offset_reset="none",  # where to begin is the offset row's to say, always
            ack_policy=AckPolicy.MANUAL,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            listener=self,
            parser=raw.parser(lambda: self._kafka),
            decoder=raw.decode,
        )
        subscriber(self._take)
        self._subscriber = subscriber

    def start(self) -> None:
        """Begin to poll with care and to tell Kafka where we are; the broker has been started."""
        self.polling.attach(self._kafka)
        self._committer = asyncio.create_task(self._keep_committing())
        self._watch = asyncio.create_task(self._keep_watch())

    async def stop(self) -> None:
        """Let every lane finish its slice, then tell Kafka where we are; takes 5 seconds at most."""
        for task in (self._assigning, self._committer, self._watch):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(lane.close(_STOP_SECONDS) for lane in self.lanes.values()))
        if self._committer is not None:
            await self._commit_offsets(within=_LAST_COMMIT_SECONDS)

    async def cut(self) -> None:
        """Close the connections of a consumer that could not leave its group in time."""
        if self._subscriber is not None and self._subscriber.consumer is not None:
            kafka = self._subscriber.consumer
            if kafka._fetcher is not None:  # noqa: SLF001 - its own stop() waits for a broker first; there is none where it could not start
                await kafka._fetcher.close()  # noqa: SLF001 - as above
            await kafka._client.close()  # noqa: SLF001 - the same

    def end_of(self, tp: TopicPartition) -> int | None:
        """Return where the partition ended when it was last fetched from; None if not known."""
        if self._subscriber is None or self._subscriber.consumer is None:
            return None
        kafka = self._subscriber.consumer
        end: int | None = kafka.highwater(tp) if tp in kafka.assignment() else None
        return end

    @property
    def troubles(self) -> list[str]:
        """What keeps this group from its work; empty when all is well."""
        found = [lane.trouble for lane in self.lanes.values() if lane.trouble]
        if self.polling.fault:
            found.append(f"{self.group}: {self.polling.fault}")
        if not self.assigned.is_set():
            found.append(f"{self.group}: partitions not assigned")
        elif not self.caught_up:
            found.append(f"{self.group}: not caught up")
        return found

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
        self.polling.attach(self._kafka)
        if assigned:
            self._kafka.pause(*assigned)
        for tp in assigned:
            self._kafka.seek(tp, 0)  # or aiokafka looks for a committed offset, and misses it
        # A consumer that is closed does not say that its partitions are gone.
        await self.on_partitions_revoked(list(self.lanes))
        self._assigning = asyncio.create_task(self._open_lanes(set(assigned)))

    async def _open_lanes(self, assigned: set[TopicPartition]) -> None:
        """Open what can be opened, again and again until that is all."""
        waiting = {tp for tp in assigned if self._subscription_of(tp.topic)}
        if foreign := sorted({tp.topic for tp in assigned - waiting}):
            _log.warning("topics_ignored", group=self.group, topics=foreign)
        attempt = 0
        while waiting := waiting - set(self.lanes):
            try:
                await self._open_known(waiting)
            except TransientError as error:
                attempt += 1
                _log.warning("topics_not_described", group=self.group, error=str(error))
            except Exception as error:  # noqa: BLE001 - or the group would stand still for good
                attempt += 1
                _log.error("lanes_not_opened", group=self.group, exc_info=error)
            if waiting - set(self.lanes):
                await asyncio.sleep(backoff.delay(attempt))
        self.assigned.set()
        _log.info("partitions_assigned", group=self.group, partitions=len(assigned))
        self._shared.progressed()

    async def _open_known(self, waiting: set[TopicPartition]) -> None:
        topics = {tp.topic for tp in waiting}
        ids = await topic_ids(self._settings, topics)
        for tp in sorted(waiting):
            subscription = self._subscription_of(tp.topic)
            if subscription and ids.get(tp.topic):
                self.lanes[tp] = Lane(
                    where=Partition(self.group, tp.topic, tp.partition, ids[tp.topic]),
                    subscription=subscription,
                    consumer=self._kafka,
                    shared=self._shared,
                )
        if absent := topics - set(ids):
            raise TransientError(f"not there or not ours to read: {', '.join(sorted(absent))}")

    async def _take(self, records: Any) -> None:
        # Any, since FastStream builds a validator from the annotation. It hands over partition
        # after partition, each in order.
        for (topic, partition), run in groupby(records, attrgetter("topic", "partition")):
            tp = TopicPartition(topic, partition)
            while chunk := list(islice(run, _CHUNK)):
                lane = self.lanes.get(tp)
                if lane is None or not lane.offer(chunk):
                    break  # what follows the refused ones is fetched again with them
                await asyncio.sleep(0)  # others' commits, and the heartbeat, come in between

    async def _keep_committing(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_EVERY_SECONDS)
            with self._going_on():
                await self._commit_offsets(within=_COMMIT_SECONDS)

    async def _keep_watch(self) -> None:
        """Notice a topic that was deleted and made again though its offsets still fit.

        And a consumer that does not mend by itself, while the broker answers.
        """
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            with self._going_on(), suppress(TransientError):
                ids = await topic_ids(self._settings, {tp.topic for tp in self.lanes})
                for tp, lane in self.lanes.items():
                    if lane.where.topic_id != ids.get(tp.topic, lane.where.topic_id):
                        lane.doubt()
                if self.polling.is_stuck:
                    await self._join_anew(self.polling.fault)
                elif self._kafka._fetcher.error_future.done():  # noqa: SLF001 - polls give nothing then, and no error
                    await self._join_anew("aiokafka fetches no more")

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Log what nobody expects: without its watch a group could stand still for good."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - see above
            _log.error("watch_failed", group=self.group, exc_info=error)

    async def _join_anew(self, reason: str) -> None:
        """Join the group with another consumer in place of this one."""
        if self._subscriber is None:
            return
        _log.warning("group_joined_anew", group=self.group, reason=reason)
        await self.on_partitions_revoked(list(self.lanes))
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._subscriber.stop()
        for attempt in itertools.count(1):
            await self.cut()
            try:
                await self._subscriber.start()
            except Exception as error:  # noqa: BLE001 - whatever it is, without a consumer nothing is heard
                self.polling.note(error)
                await asyncio.sleep(backoff.delay(attempt))
            else:
                return

    async def _commit_offsets(self, *, within: float) -> None:
        offsets = {
            tp: lane.next_offset
            for tp, lane in self.lanes.items()
            if lane.next_offset is not None and self._committed.get(tp) != lane.next_offset
        }
        if not offsets:
            return
        try:
            await failpoint.reach("offsets.commit")
            async with asyncio.timeout(within):
                await self._kafka.commit(offsets)
            await failpoint.reach("offsets.committed")
        except (IllegalStateError, CommitFailedError):
            return  # a rebalance is under way; the next one says the same and more
        except (KafkaError, TimeoutError) as error:
            self.polling.note(error)
            return
        self._committed.update(offsets)

    def _subscription_of(self, topic: str) -> Subscription | None:
        for subscription in self._subscriptions:
            if subscription.topic.name == topic or subscription.topic.institution_in(topic):
                return subscription
        return None

    @property
    def _kafka(self) -> AIOKafkaConsumer:
        if self._subscriber is None or self._subscriber.consumer is None:
            raise LookupError("the consumer has not been started")
        return self._subscriber.consumer
