"""A lane between a consumer that hands it records and a real database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.topics import INGRESS_RESPONSE, PROFILE_PROFILE, Topic
from servicekit.edge.ingress import HttpRecord
from servicekit.errors import TransientError
from servicekit.hearing.backlog import (
    MAX_HELD_BYTES,
    MAX_QUEUED_BYTES,
    MAX_SLICE,
    MAX_SLICE_BYTES,
    Backlog,
    Held,
    Judged,
    slice_size,
)
from servicekit.hearing.lane import Lane, Shared
from servicekit.hearing.position import Partition
from servicekit.hearing.verdict import Unreadable
from servicekit.subscription import Subscription
from servicekit.tx import Database, Tx
from testkit.eventually import eventually

MakeLane = Callable[..., Lane]


class Fetched:
    """What a lane asks of a consumer, remembered."""

    def __init__(self) -> None:
        self.paused: set[TopicPartition] = set()
        self.sought: list[int] = []
        self.start, self.end = 0, 100
        self.topic_id = "id"

    def pause(self, tp: TopicPartition) -> None:
        self.paused.add(tp)

    def resume(self, tp: TopicPartition) -> None:
        self.paused.discard(tp)

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.sought.append(offset)

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("t", 0)}

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, self.start)

    async def identify(self, _: str) -> str:
        return self.topic_id

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, self.end)


@pytest.fixture
def fetched() -> Fetched:
    return Fetched()


@pytest.fixture
async def make_lane(database: Database, fetched: Fetched) -> AsyncIterator[MakeLane]:
    made: list[Lane] = []

    def make(
        topic: Topic = INGRESS_RESPONSE,
        held: Held | None = None,
        *,
        partition: int = 0,
        on: Database = database,
    ) -> Lane:
        made.append(
            Lane(
                where=Partition("g", "t", partition, "id"),
                subscription=Subscription(topic, {}),
                consumer=fetched,
                shared=Shared(on, lambda: None, fetched.identify, held or Held()),
            )
        )
        return made[-1]

    yield make
    for lane in made:
        await lane.close()


def a_record(offset: int, size: int = 10) -> HttpRecord:
    return HttpRecord("t", b"", b"x" * size, [], 0, offset)


def a_state(offset: int, subject: str, sequence: int) -> HttpRecord:
    envelope = Envelope(
        id=uuid4(),
        source="/services/profile",
        type="newer.than.this.code",
        subject=subject,
        time=datetime(2026, 3, 2, tzinfo=UTC),
        sequence=sequence,
    )
    return HttpRecord("t", subject.encode(), b"{}", list(envelope.headers()), 0, offset)


async def until(probe: Callable[[], object]) -> None:
    async def ask() -> object:
        return probe()

    await eventually(ask)


def judged(offset: int, size: int = 10) -> Judged:
    return a_record(offset, size), Unreadable.because("none", ("data", "is of no matter"))


def a_backlog(held: Held | None = None) -> Backlog:
    return Backlog(held or Held(), foreign=True)


def test_a_slice_and_a_queue_are_bounded_in_bytes() -> None:
    backlog = a_backlog()
    megabytes = [judged(offset, 1024 * 1024) for offset in range(40)]

    while not backlog.is_full:
        backlog.add([megabytes[len(backlog)]])

    assert backlog.bytes == MAX_QUEUED_BYTES
    assert sum(len(r.value or b"") for r, _ in backlog.next_slice()) <= MAX_SLICE_BYTES
    backlog.drop(15)
    assert not backlog.is_low
    backlog.drop(1)
    assert backlog.is_low


def test_a_record_larger_than_a_slice_is_a_slice() -> None:
    backlog = a_backlog()
    backlog.add([judged(0, MAX_SLICE_BYTES + 1), judged(1)])

    assert [record.offset for record, _ in backlog.next_slice()] == [0]


def test_many_partitions_together_hold_no_more_than_the_process_may() -> None:
    held = Held()
    backlogs = [a_backlog(held) for _ in range(100)]

    for backlog in backlogs:
        while not backlog.is_full and not (held.too_much and not backlog):
            backlog.add([judged(len(backlog), 1024 * 1024)])

    assert held.bytes == MAX_HELD_BYTES
    assert not backlogs[-1].is_full  # one that holds nothing may always go on
    for backlog in backlogs:
        backlog.clear()
    assert (held.records, held.bytes) == (0, 0)


@given(st.lists(st.integers(0, 3 * MAX_SLICE_BYTES), min_size=1, max_size=30))
def test_a_slice_is_the_longest_that_one_transaction_may_hold(sizes: list[int]) -> None:
    count = slice_size(sizes, sum(sizes))

    assert 1 <= count <= len(sizes)
    assert count == 1 or sum(sizes[:count]) <= MAX_SLICE_BYTES
    assert count == len(sizes) or sum(sizes[: count + 1]) > MAX_SLICE_BYTES


@given(st.integers(1, 3 * MAX_SLICE))
def test_a_slice_takes_all_that_waits_up_to_its_limit(waiting: int) -> None:
    assert slice_size([1] * waiting, waiting) == min(waiting, MAX_SLICE)


async def test_a_lane_full_of_bytes_fetches_no_more_until_half_is_applied(
    make_lane: MakeLane, fetched: Fetched
) -> None:
    lane = make_lane()
    await until(lambda: lane.state == "running")

    lane.offer([a_record(offset, 4 * 1024 * 1024) for offset in range(9)])

    assert fetched.paused == {lane.tp}
    await until(lambda: lane.next_offset == 9)
    await until(lambda: not fetched.paused)


async def test_a_hole_is_believed_when_it_is_there_twice_and_not_across_a_failed_poll(
    make_lane: MakeLane, fetched: Fetched
) -> None:
    lane = make_lane()
    await until(lambda: lane.state == "running")

    assert not lane.offer([a_record(5)])
    lane.rewind()
    assert not lane.offer([a_record(5)])
    assert lane.offer([a_record(5)])

    assert fetched.sought == [0, 0, 0, 0]  # at the start, twice for the hole, for the rewind
    await until(lambda: lane.next_offset == 6)


async def test_a_hole_in_a_running_stream_is_believed_at_once(
    make_lane: MakeLane, fetched: Fetched
) -> None:
    lane = make_lane()
    await until(lambda: lane.state == "running")

    assert lane.offer([a_record(0), a_record(7)])
    assert lane.offer([a_record(20)])

    await until(lambda: lane.next_offset == 21)
    assert fetched.sought == [0]


async def test_records_on_their_way_when_it_sought_are_not_taken_for_a_hole(
    make_lane: MakeLane, fetched: Fetched
) -> None:
    lane = make_lane()
    await until(lambda: lane.state == "running")
    assert lane.offer([a_record(0)])
    await until(lambda: lane.next_offset == 1)

    lane.rewind()
    assert not lane.offer([a_record(5), a_record(6)])
    assert lane.offer([a_record(1), a_record(2)])

    await until(lambda: lane.next_offset == 3)


async def test_a_topic_made_again_under_a_running_lane_stops_it(
    make_lane: MakeLane, fetched: Fetched
) -> None:
    lane = make_lane()
    await until(lambda: lane.state == "running")
    assert lane.offer([a_record(0)])
    await until(lambda: lane.next_offset == 1)

    fetched.topic_id = "another"
    lane.doubt()

    await until(lambda: lane.state == "stopped")
    assert "was deleted and made again" in lane.reason
    assert not lane.offer([a_record(1)])


async def test_records_that_expired_under_a_running_lane_stop_it_and_are_not_skipped(
    make_lane: MakeLane, fetched: Fetched
) -> None:
    lane = make_lane()
    await until(lambda: lane.state == "running")

    fetched.start = 50
    lane.doubt()

    await until(lambda: lane.state == "stopped")
    assert "records 0 to 49 expired unread" in lane.reason


async def test_a_doubt_that_turns_out_unfounded_costs_a_look(
    make_lane: MakeLane, fetched: Fetched
) -> None:
    lane = make_lane()
    await until(lambda: lane.state == "running")
    assert lane.offer([a_record(0), a_record(1)])

    lane.doubt()

    await until(lambda: not fetched.paused)
    assert lane.state == "running"
    assert lane.offer([a_record(offset) for offset in range(lane.next_offset or 0, 3)])
    await until(lambda: lane.next_offset == 3)


async def test_a_fork_stops_its_partition_exactly_there(
    make_lane: MakeLane, database: Database
) -> None:
    lane = make_lane(PROFILE_PROFILE)
    await until(lambda: lane.state == "running")

    lane.offer([a_state(0, "s", 1), a_state(1, "other", 1), a_state(2, "s", 1), a_state(3, "s", 2)])
    await until(lambda: lane.state == "stopped")

    assert "subject s has two events with sequence 1, the second at offset 2" in lane.reason
    assert lane.next_offset == 2
    async with database.transaction() as tx:
        assert await tx.conn.fetchval("SELECT next_offset FROM kit.consumer_offsets") == 2
        assert await tx.conn.fetchval("SELECT count(*) FROM kit.applied_subjects") == 2


async def test_what_was_fetched_before_an_unreadable_record_is_applied(
    make_lane: MakeLane, fetched: Fetched
) -> None:
    lane = make_lane()
    await until(lambda: lane.state == "running")

    lane.offer([a_record(0), a_record(1)])
    lane.end_with("cannot be decoded")

    await until(lambda: lane.state == "stopped")
    assert (lane.next_offset, lane.trouble) == (2, "cannot be decoded")
    assert fetched.paused == {lane.tp}


@pytest.mark.parametrize(
    ("topic", "caught_up"), [(INGRESS_RESPONSE, True), (PROFILE_PROFILE, False)]
)
async def test_a_stopped_partition_of_states_is_not_caught_up(
    make_lane: MakeLane, topic: Topic, caught_up: bool
) -> None:
    lane = make_lane(topic)
    await until(lambda: lane.state == "running")

    lane.end_with("cannot be decoded")

    await until(lambda: lane.state == "stopped")
    assert lane.caught_up is caught_up


class Busy(Database):
    """A database whose transactions begin when they are let, or fail while it is away."""

    def __init__(self, like: Database) -> None:
        super().__init__(like.pool, source="/services/test", committed=lambda: None)
        self.free = asyncio.Event()
        self.free.set()
        self.is_away = False
        self.begun = 0

    @asynccontextmanager
    async def transaction(self, **_: object) -> AsyncIterator[Tx]:
        self.begun += 1
        if self.is_away:
            raise TransientError("PostgreSQL is away")
        await self.free.wait()
        async with super().transaction() as tx:
            yield tx


async def test_a_partition_that_is_tried_again_holds_up_no_other(
    make_lane: MakeLane, database: Database
) -> None:
    busy = Busy(database)
    tried, other = make_lane(on=busy), make_lane(partition=1)
    await until(lambda: tried.expected == other.expected == 0)
    busy.is_away = True

    assert tried.offer([a_record(0)])
    await until(lambda: tried.state == "retrying")
    assert other.offer([a_record(0), a_record(1)])
    await until(lambda: other.next_offset == 2)

    assert (tried.state, tried.next_offset) == ("retrying", 0)
    busy.is_away = False
    await until(lambda: tried.next_offset == 1)


async def test_the_next_slice_is_fetched_while_one_is_applied(
    make_lane: MakeLane, database: Database
) -> None:
    busy = Busy(database)
    lane = make_lane(on=busy)
    await until(lambda: lane.expected == 0)
    begun = busy.begun
    busy.free.clear()
    assert lane.offer([a_record(0)])
    await until(lambda: busy.begun > begun)

    assert lane.offer([a_record(1), a_record(2)])

    assert (lane.next_offset, lane.backlog) == (0, 3)
    busy.free.set()
    await until(lambda: lane.next_offset == 3)


async def test_a_log_that_ends_before_the_position_is_waited_for(
    make_lane: MakeLane, fetched: Fetched, database: Database
) -> None:
    async with database.transaction() as tx:
        await tx.conn.execute(
            "INSERT INTO kit.consumer_offsets VALUES ('g', 't', 0, 7, 'id', now())"
        )
    fetched.end = 5
    lane = make_lane(PROFILE_PROFILE)
    await until(lambda: lane.state == "retrying")
    assert not lane.caught_up

    fetched.end = 7

    await until(lambda: lane.caught_up)


async def test_one_centers_topic_in_trouble_holds_up_no_other_centers_work(
    make_lane: MakeLane, fetched: Fetched, database: Database
) -> None:
    async with database.transaction() as tx:
        await tx.conn.execute(
            "INSERT INTO kit.consumer_offsets VALUES ('g', 't', 0, 7, 'id', now())"
        )
    fetched.end = 5

    lane = make_lane(INGRESS_RESPONSE)

    await until(lambda: lane.state == "retrying")
    assert lane.caught_up


async def test_what_a_lane_held_is_given_back_when_it_is_closed(
    make_lane: MakeLane, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    lane = make_lane(held=held)
    await until(lambda: lane.expected == 0)
    applied = asyncio.Event()
    monkeypatch.setattr(lane, "_apply", lambda _: applied.wait())  # for good: it is cut off
    assert lane.offer([a_record(offset) for offset in range(50)])
    assert held.records == 50

    await lane.close(within=0.1)

    assert (held.records, held.bytes) == (0, 0)
    assert not lane.offer([a_record(50)])
