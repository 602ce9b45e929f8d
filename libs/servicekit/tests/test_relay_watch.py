"""What others wrote to our compacted topics: the last record of a key has its highest sequence."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord, TopicPartition
from libs.servicekit.tests.relay_bench import Bench

from devstack.stack import Stack
from oncomentor_contracts.event import Event
from oncomentor_contracts.profile import ProfileChanged, ProfileDeleted
from oncomentor_contracts.topics import PROFILE_PROFILE
from servicekit import kafka
from servicekit.saying import relay_cursor, relay_session
from servicekit.saying.relay_watch import Watch
from servicekit.tx import Database
from testkit.eventually import eventually
from testkit.postgres import Templates

Record: TypeAlias = ConsumerRecord[Any, Any]


@pytest.fixture
def bench(
    stack: Stack,
    templates: Templates,
    database_name: str,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    monkeypatch.setattr(relay_session, "LOOK_SECONDS", 0.2)
    return Bench(stack, templates.dsn(database_name), database)


def a_profile(person: UUID, version: int) -> ProfileChanged:
    return ProfileChanged.model_validate(
        {
            "person_id": person,
            "institution_id": "harbor-demo",
            "version": version,
            "profile": {
                "profession": "medical_oncologist",
                "languages": ["en"],
                "time_zone": "Europe/Lisbon",
                "modalities": ["virtual"],
                "state": "active",
            },
            "changed_at": "2026-01-05T09:00:00Z",
        }
    )


async def say(bench: Bench, *events: Event) -> None:
    async with bench.database.transaction() as tx:
        await tx.say(events)


async def lying(bench: Bench, person: UUID) -> list[Record]:
    """Return a person's records, as they lie in the topic."""
    login = kafka.client_arguments(bench.settings)
    found: list[Record] = []
    async with AIOKafkaConsumer(
        PROFILE_PROFILE.named(), auto_offset_reset="earliest", **login
    ) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [record for record in records if record.key == str(person).encode()]
    return found


def sequences(records: Sequence[Record]) -> list[int]:
    return [int(dict(record.headers)["ce_sequence"]) for record in records]


async def lie(bench: Bench, person: UUID, *wanted: int) -> list[Record]:
    records = await lying(bench, person)
    assert sequences(records) == list(wanted)
    return records


async def write_late(bench: Bench, record: Record) -> None:
    """Do what a relay does that was frozen with this record in its hands."""
    async with AIOKafkaProducer(**kafka.client_arguments(bench.settings)) as producer:
        await producer.send_and_wait(
            record.topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            partition=record.partition,
        )


async def test_an_older_state_written_last_is_followed_by_the_newest_again(bench: Bench) -> None:
    person = uuid4()
    async with bench.running(bench.relay()):
        await say(bench, a_profile(person, 1), a_profile(person, 2))
        first, second = await eventually(lambda: lie(bench, person, 1, 2))
        await write_late(bench, first)
        records = await eventually(lambda: lie(bench, person, 1, 2, 1, 3))
    assert records[-1].value == second.value


async def test_a_person_brought_back_by_a_late_record_is_deleted_again(bench: Bench) -> None:
    person = uuid4()
    async with bench.running(bench.relay()):
        await say(bench, a_profile(person, 1), ProfileDeleted(person_id=person))
        first, _ = await eventually(lambda: lie(bench, person, 1, 2))
        await write_late(bench, first)
        records = await eventually(lambda: lie(bench, person, 1, 2, 1, 3))
    assert records[-1].value is None
    assert dict(records[-1].headers)["ce_type"] == ProfileDeleted.TYPE.encode()


async def test_what_was_written_while_no_relay_ran_is_mended_by_the_next(bench: Bench) -> None:
    person, other = uuid4(), uuid4()
    async with bench.running(bench.relay()):
        await say(bench, a_profile(person, 1), a_profile(person, 2), a_profile(other, 1))
        first, _ = await eventually(lambda: lie(bench, person, 1, 2))
    await write_late(bench, first)
    async with bench.running(bench.relay()):
        await eventually(lambda: lie(bench, person, 1, 2, 1, 3))
    assert sequences(await lying(bench, other)) == [1]


async def leave_a_late_record(bench: Bench, person: UUID) -> None:
    """Say a person's states 1 and 2, and have 1 written once more while no relay runs."""
    async with bench.running(bench.relay()):
        await say(bench, a_profile(person, 1), a_profile(person, 2))
        first, _ = await eventually(lambda: lie(bench, person, 1, 2))
    await write_late(bench, first)


async def is_left_at(bench: Bench, person: UUID, *wanted: int) -> None:
    """Wait for these sequences, then for whatever the relay would say of them besides."""
    await eventually(lambda: lie(bench, person, *wanted))
    await say(bench, a_profile(other := uuid4(), 1))
    await eventually(lambda: lie(bench, other, 1))
    await lie(bench, person, *wanted)


async def test_a_late_record_that_a_newer_one_follows_anyway_needs_no_mending(bench: Bench) -> None:
    await leave_a_late_record(bench, person := uuid4())
    await say(bench, a_profile(person, 3))
    async with bench.running(bench.relay()):
        await is_left_at(bench, person, 1, 2, 1, 3)


async def test_a_state_said_while_a_late_record_is_mended_is_not_taken_for_a_deletion(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_a_late_record(bench, person := uuid4())
    mend: Any = Watch._mend

    async def mend_a_little_later(*arguments: object) -> None:
        await say(bench, a_profile(person, 3))
        await mend(*arguments)

    monkeypatch.setattr(Watch, "_mend", mend_a_little_later)
    async with bench.running(bench.relay()):
        await is_left_at(bench, person, 1, 2, 1, 3)


async def test_a_state_that_is_put_aside_is_not_taken_for_a_deletion(bench: Bench) -> None:
    await leave_a_late_record(bench, person := uuid4())
    await say(bench, a_profile(person, 3))
    await bench.run_sql(
        """
        WITH gone AS (DELETE FROM kit.outbox WHERE sequence = 3 RETURNING *)
        INSERT INTO kit.outbox_held (seq, topic, subject, sequence, headers, record_value)
        SELECT seq, topic, subject, sequence, headers, record_value FROM gone
        """
    )
    async with bench.running(bench.relay()):
        await is_left_at(bench, person, 1, 2, 1, 3)


async def count_as_sent(bench: Bench) -> None:
    """Leave what was said as if Kafka had had it and compaction had taken it away again."""
    await bench.run_sql("UPDATE kit.relay_cursors SET snapshot_from = pg_current_snapshot()")


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_the_newest_state_is_said_again_though_compaction_took_it(
    bench: Bench, is_deleted: bool
) -> None:
    person = uuid4()
    async with bench.running(bench.relay()):
        await say(bench, a_profile(person, 1))
        (first,) = await eventually(lambda: lie(bench, person, 1))
    newest = ProfileDeleted(person_id=person) if is_deleted else a_profile(person, 2)
    await say(bench, newest)
    await count_as_sent(bench)
    await write_late(bench, first)
    async with bench.running(bench.relay()):
        records = await eventually(lambda: lie(bench, person, 1, 1, 3))
    assert records[-1].value == newest.data()
    assert dict(records[-1].headers)["ce_type"] == newest.TYPE.encode()


async def test_a_state_of_a_history_that_was_lost_is_left_alone_and_told_of(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    await leave_a_late_record(bench, person := uuid4())
    await bench.run_sql("UPDATE kit.subject_sequences SET sequence = 9 WHERE sequence = 2")
    async with bench.running(bench.relay()):
        await is_left_at(bench, person, 1, 2, 1)
    assert "relay_state_not_mended" in capsys.readouterr().out


async def test_what_lies_among_records_that_were_put_aside_is_mended_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, others = uuid4(), [uuid4() for _ in range(60)]
    async with bench.running(bench.relay()):
        await say(bench, a_profile(person, 1), a_profile(person, 2))
        first, _ = await eventually(lambda: lie(bench, person, 1, 2))
    await say(bench, *(a_profile(other, 1) for other in others))
    await bench.run_sql(
        f"""
        WITH gone AS (DELETE FROM kit.outbox WHERE subject <> '{person}' RETURNING *)
        INSERT INTO kit.outbox_held (seq, topic, subject, sequence, headers, record_value)
        SELECT seq, topic, subject, sequence, headers, record_value FROM gone
        """  # noqa: S608 - an id of ours
    )
    monkeypatch.setattr(relay_cursor, "_HELD_PAGE", 30)
    release = relay_cursor.Cursor.release

    async def release_and_be_written_into(*arguments: Any) -> None:
        await release(*arguments)
        monkeypatch.setattr(relay_cursor.Cursor, "release", release)
        await write_late(bench, first)

    monkeypatch.setattr(relay_cursor.Cursor, "release", release_and_be_written_into)
    # Only what lies between batches is looked at here, not what lies behind them all.
    monkeypatch.setattr(relay_session, "LOOK_SECONDS", 60.0)
    async with bench.running(bench.relay()):
        await eventually(lambda: lie(bench, person, 1, 2, 1, 3))


async def test_a_topic_that_may_be_written_and_not_read_stays_put_aside(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = uuid4()

    async def refused(*_: object) -> dict[TopicPartition, int]:
        return {}

    monkeypatch.setattr(Watch, "catch_up", refused)
    async with bench.running(bench.relay()) as relay:
        await say(bench, a_profile(person, 1))
        await asyncio.sleep(1)  # several looks
        assert PROFILE_PROFILE.named() in relay.held
        assert await lying(bench, person) == []
    monkeypatch.undo()
    async with bench.running(bench.relay()):
        await eventually(lambda: lie(bench, person, 1))
