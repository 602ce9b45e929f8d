"""A group's consumer through what aiokafka does and does not say."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from devstack.stack import Stack
from oncomentor_contracts.topics import PROFILE_PROFILE
from servicekit.edge.ingress import HttpRecord
from servicekit.hearing import consumer as consumer_module
from servicekit.hearing.consumer import Consumer
from servicekit.hearing.lane import Lane, Shared
from servicekit.hearing.polling import Polling
from servicekit.process.serving import _Unjoined
from servicekit.settings import Settings
from servicekit.subscription import Subscription
from servicekit.tx import Database
from testkit.eventually import eventually

TP = TopicPartition(PROFILE_PROFILE.name, 0)


class Fake:
    """A consumer that is assigned one partition, and remembers what is asked of it."""

    def __init__(self) -> None:
        self.resumed = 0

    def pause(self, *_: TopicPartition) -> None: ...
    def seek(self, *_: object) -> None: ...

    def resume(self, *_: TopicPartition) -> None:
        self.resumed += 1

    def assignment(self) -> set[TopicPartition]:
        return {TP}

    async def getmany(self, *_: object, **__: object) -> dict[TopicPartition, list[Any]]:
        return {}

    async def beginning_offsets(self, _: object) -> dict[TopicPartition, int]:
        return {TP: 0}

    async def end_offsets(self, _: object) -> dict[TopicPartition, int]:
        return {TP: 0}


@pytest.fixture
async def group(
    stack: Stack, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Consumer]:
    names = {
        name.removeprefix("ONCOMENTOR_").lower(): value
        for name, value in stack.service_environment("matching").items()
    }

    async def ids(*_: object) -> dict[str, str]:
        return {PROFILE_PROFILE.name: "id"}

    async def identify(_: str) -> str:
        return "id"

    monkeypatch.setattr(consumer_module, "topic_ids", ids)
    made = Consumer(
        group="test.network",
        subscriptions=[Subscription(PROFILE_PROFILE, {})],
        settings=Settings.model_validate(names),
        shared=Shared(database, lambda: None, identify),
    )
    yield made
    await made.stop()


def with_consumer(group: Consumer, kafka: Any) -> None:
    group._subscriber = SimpleNamespace(consumer=kafka)  # type: ignore[assignment]


async def opened(group: Consumer) -> Lane:
    await asyncio.wait_for(group.assigned.wait(), 5)

    async def running() -> bool:
        return group.lanes[TP].state == "running"

    await eventually(running)
    return group.lanes[TP]


async def test_a_lane_of_a_closed_consumer_is_not_taken_for_the_next_ones(group: Consumer) -> None:
    first, second = Fake(), Fake()
    with_consumer(group, first)
    await group.on_partitions_assigned([TP])
    before = await opened(group)
    with_consumer(group, second)  # and nobody said that the partition is gone
    await group.on_partitions_assigned([TP])
    after = await opened(group)

    assert after is not before
    assert second.resumed == 1


async def test_a_great_backlog_leaves_the_loop_to_others_all_the_while(group: Consumer) -> None:
    """The heartbeat is one of the others: it gets its turn after every few hundred records."""
    with_consumer(group, Fake())
    await group.on_partitions_assigned([TP])
    lane = await opened(group)
    records = [HttpRecord(TP.topic, b"s", b"{}", [], TP.partition, n) for n in range(4_000)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beating = asyncio.create_task(others())
    await group._take(records)
    beating.cancel()

    assert lane.expected == 4_000
    assert turns >= 4_000 // 400 - 1


async def test_a_consumer_that_could_not_start_can_be_cut_off(
    group: Consumer, unused_tcp_port: int
) -> None:
    kafka = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{unused_tcp_port}")
    with_consumer(group, kafka)
    with pytest.raises(KafkaConnectionError):
        await kafka.start()

    await group.cut()

    await kafka.stop()


async def test_a_group_without_lanes_still_hears_what_is_wrong_with_its_membership(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    kafka = Fake()

    async def fails(*_: object, **__: object) -> dict[TopicPartition, list[Any]]:
        raise KafkaError("coordination ended")

    monkeypatch.setattr(kafka, "getmany", fails)
    polling = Polling("test.network", {})
    polling.attach(kafka)
    for _ in range(12):
        assert await polling._poll() == {}
        now += 0.5

    assert polling.is_stuck


def test_a_loop_ends_though_a_resolver_gets_no_answer() -> None:
    async def ask() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(_Unjoined())
        assert await asyncio.to_thread(sum, [1, 2]) == 3
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        loop.run_in_executor(None, time.sleep, 30)

    began = time.monotonic()
    asyncio.run(ask())

    assert time.monotonic() - began < 5
