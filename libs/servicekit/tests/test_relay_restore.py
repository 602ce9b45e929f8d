"""A database that went back to an earlier time: nothing is sent until an operator has spoken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from libs.servicekit.tests.relay_bench import Bench, has, is_in

from devstack.stack import Stack
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.profile import ProfileDeleted
from servicekit import kafka
from servicekit.errors import StartupError
from servicekit.saying import reconcile
from servicekit.saying import relay as relay_module
from servicekit.saying.reconcile import Reconciled, Sent, Waiting, plan
from servicekit.saying.relay_cursor import Cursor
from servicekit.saying.relay_history import History
from servicekit.saying.relay_watch import Seen
from servicekit.tx import Database
from testkit.eventually import eventually
from testkit.postgres import Templates

NO_TIME = uuid4()  # unlike an event's own ids


@pytest.fixture
def bench(stack: Stack, templates: Templates, database_name: str, database: Database) -> Bench:
    made = Bench(stack, templates.dsn(database_name), database)
    stack.provision([made.center])
    return made


class Copy:
    """A copy of a database as it was, with the same source and topics."""

    def __init__(self, bench: Bench, templates: Templates, name: str, database: Database) -> None:
        self.bench = Bench(bench.stack, templates.dsn(name), database, source=bench.source)
        self.bench.center = bench.center

    async def reconcile(self) -> Reconciled:
        conn = await asyncpg.connect(self.bench.dsn)
        try:
            return await reconcile.reconcile(
                conn,
                name="profile",
                source=self.bench.source,
                client=kafka.client_arguments(self.bench.settings),
            )
        finally:
            await conn.close()


@asynccontextmanager
async def copy(bench: Bench, templates: Templates, database_name: str) -> AsyncIterator[Copy]:
    name = f"{database_name}_backup"
    admin = await asyncpg.connect(templates.dsn("postgres", "postgres"))
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database_name
    )
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {database_name}")
    await admin.close()
    async with asyncpg.create_pool(templates.dsn(name), min_size=0) as pool:
        yield Copy(bench, templates, name, Database(pool, source="-", committed=lambda: None))
    await templates.drop(name)


async def test_a_restored_database_says_nothing_until_it_is_reconciled_and_then_follows_on(
    bench: Bench, templates: Templates, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_STOPPED_SECONDS", 0.2)
    async with bench.running(bench.relay()):
        await bench.say("s", "s", "old")
        await eventually(lambda: has(bench, "old"))
    await bench.say("s")  # waits in the backup, and is sent before the disaster
    async with copy(bench, templates, database_name) as restored:
        async with bench.running(bench.relay()):
            await bench.say("s", "lost")
            await eventually(lambda: has(bench, "lost"))
        before = await bench.heard()

        again = restored.bench
        await again.say("s", "lost", "new")  # with sequences that Kafka has already
        async with again.running(again.relay()) as relay:
            await eventually(lambda: is_in(relay, "stopped: the database was restored"))
            assert (relay.sent, await bench.heard()) == (0, before)
            done = await restored.reconcile()
            await eventually(lambda: is_in(relay, "running"))
            await again.say("s")
            heard = await eventually(lambda: has(bench, "new"))
            heard = await eventually(lambda: counted(bench, "s", 6))

    assert before == {"s": [1, 2, 3, 4], "old": [1], "lost": [1]}
    assert done == Reconciled(unknown=2, raised=2, dropped=1, renumbered=2)
    assert heard == {"s": [1, 2, 3, 4, 5, 6], "old": [1], "lost": [1, 2], "new": [1]}


async def test_counters_are_raised_above_what_the_relay_had_looked_at_before(
    bench: Bench, templates: Templates, database_name: str
) -> None:
    async with bench.running(bench.relay()):
        await bench.say("s", "s", "s")
        await eventually(lambda: counted(bench, "s", 3))
    await bench.run_sql("UPDATE kit.subject_sequences SET sequence = 1 WHERE subject = 's'")
    done = await Copy(bench, templates, database_name, bench.database).reconcile()
    async with bench.running(bench.relay()):
        await bench.say("s")
        heard = await eventually(lambda: counted(bench, "s", 4))
    assert done == Reconciled(unknown=0, raised=1, dropped=0, renumbered=0)
    assert heard["s"] == [1, 2, 3, 4]


async def counted(bench: Bench, subject: str, times: int) -> dict[str, list[int]]:
    heard = await bench.heard()
    return heard if len(heard[subject]) >= times else {}


async def test_a_relay_at_work_is_not_reconciled(
    bench: Bench, templates: Templates, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "TRIES", 3)
    own = Copy(bench, templates, database_name, bench.database)
    async with bench.running(bench.relay()) as relay:
        await eventually(lambda: is_in(relay, "running"))
        with pytest.raises(StartupError, match="is at work"):
            await own.reconcile()


SUBJECTS = st.sampled_from(["a", "b", "c"])


@given(st.lists(SUBJECTS), st.dictionaries(SUBJECTS, st.integers(1, 9)), st.data())
def test_what_waits_follows_densely_behind_what_kafka_has(
    subjects: list[str], highest: dict[str, int], data: st.DataObject
) -> None:
    counts = {subject: data.draw(st.integers(0, 9)) for subject in "abc"}
    waiting: list[Waiting] = []
    for seq, subject in enumerate(subjects):
        counts[subject] += 1
        waiting.append((seq, "t", subject, counts[subject], UUID(int=seq)))
    known = [row for row in waiting if row[2] in highest and data.draw(st.booleans())]
    sent = Sent({row[4] for row in known}, {("t", s): n for s, n in highest.items()})

    made = plan(waiting, sent)

    for subject, count in highest.items():
        rows = [row for row in waiting if row[2] == subject]
        left = [row for row in rows if row[0] not in made.dropped]
        sequences = [made.renumbered.get(row[0], row[3]) for row in left]
        assert sequences == list(range(count + 1, count + 1 + len(left)))
        assert made.last["t", subject] == count + len(left)
        assert all(row in left or row[0] <= max(k[0] for k in known) for row in rows)
    assert not {row[0] for row in known} - set(made.dropped)
    assert all(waiting[seq][2] in highest for seq in (*made.dropped, *made.renumbered))


def seen(event_id: UUID) -> Seen:
    return Seen(TopicPartition("profile.profile", 0), 7, "s", 1, event_id)


async def test_only_what_the_outbox_would_still_hold_can_be_lost(database: Database) -> None:
    old, new = (seen(uuid7(datetime.now(UTC) - timedelta(days=days))) for days in (90, 0))

    async with database.transaction() as tx:
        unknown = await History(Cursor(tx.conn, "profile")).unknown([old, new, seen(NO_TIME)])

    assert unknown == [new, seen(NO_TIME)]


async def test_what_is_said_again_is_on_disk_before_it_can_be_sent(
    templates: Templates, database_name: str, database: Database
) -> None:
    async with database.transaction() as tx:
        await tx.say([ProfileDeleted(person_id=NO_TIME)])
    subject = {("profile.profile", str(NO_TIME)): 1}
    conn = await asyncpg.connect(templates.dsn(database_name))
    admin = await asyncpg.connect(templates.dsn(database_name, "postgres"))
    history = History(Cursor(conn, "profile"))
    try:
        await conn.execute("SET synchronous_commit = off")
        (row,) = (await history.said(subject)).values()
        before = await admin.fetchval("SELECT pg_current_wal_insert_lsn()")
        assert await history.say_again(row)
        flushed = await admin.fetchval("SELECT pg_current_wal_flush_lsn() > $1", before)
    finally:
        await conn.close()
        await admin.close()

    assert flushed


async def test_rows_put_aside_are_numbered_with_those_that_wait(
    bench: Bench, templates: Templates, database_name: str
) -> None:
    async with bench.running(bench.relay()):
        await bench.say("s", "s", "s")
        await eventually(lambda: counted(bench, "s", 3))
    await bench.say("s", "s")
    await bench.run_sql(
        """
        INSERT INTO kit.outbox_held (seq, topic, subject, sequence, headers, record_value)
        SELECT seq, topic, subject, sequence, headers, record_value
          FROM kit.outbox WHERE sequence IN (4, 5)
        """,
        "UPDATE kit.relay_cursors SET snapshot_from = pg_current_snapshot()",
    )
    await bench.say("s", "s")
    done = await Copy(bench, templates, database_name, bench.database).reconcile()
    async with bench.running(bench.relay()):
        heard = await eventually(lambda: counted(bench, "s", 7))

    assert done == Reconciled(unknown=0, raised=0, dropped=0, renumbered=0)
    assert sorted(heard["s"]) == [1, 2, 3, 4, 5, 6, 7]
