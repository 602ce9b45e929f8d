"""The relay on a real database and a real broker: nothing lost, nothing overtaken."""

import asyncio
import random
from collections import defaultdict
from contextlib import AsyncExitStack, suppress
from signal import SIGCONT, SIGSTOP
from typing import Any

import asyncpg
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it forgets to say what it exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from libs.servicekit.tests.relay_bench import Bench, PlainConnection, a_receipt, has, is_in

from devstack.kafka_admin import client_config
from devstack.stack import Stack
from oncomentor_contracts.topics import EGRESS_RECEIPT, INGRESS_PROFILE
from servicekit.saying import relay_sender
from servicekit.saying.relay import Relay
from servicekit.tx import Database
from testkit.eventually import eventually
from testkit.postgres import Templates


class Counting(PlainConnection):
    """A connection that counts how often anybody asked it for a value or a row."""

    asked = 0

    async def fetchval(self, *arguments: Any, **named: Any) -> Any:
        type(self).asked += 1
        return await super().fetchval(*arguments, **named)

    async def fetchrow(self, *arguments: Any, **named: Any) -> Any:
        type(self).asked += 1
        return await super().fetchrow(*arguments, **named)


@pytest.fixture
def bench(stack: Stack, templates: Templates, database_name: str, database: Database) -> Bench:
    made = Bench(stack, templates.dsn(database_name), database)
    stack.provision([made.center])
    return made


async def test_concurrent_writers_lose_nothing_and_no_subject_is_reordered(bench: Bench) -> None:
    dice = random.Random(4)  # noqa: S311 - a workload
    said: dict[str, int] = defaultdict(int)

    async def write(writer: int) -> None:
        for nth in range(50):
            subjects = [f"subject-{n}" for n in dice.sample(range(12), dice.randint(1, 3))]
            with suppress(ZeroDivisionError):
                async with bench.database.transaction() as tx:
                    await tx.say([a_receipt(tx, bench.center, s) for s in subjects])
                    # later seqs commit before this one
                    await tx.conn.execute("SELECT pg_sleep($1)", dice.random() / 100)
                    if (nth + writer) % 7 == 0:
                        raise ZeroDivisionError
                for subject in subjects:
                    said[subject] += 1

    async with bench.running(bench.relay()) as relay:
        await asyncio.gather(*(write(writer) for writer in range(8)))

        async def all_sent() -> bool:
            return relay.sent >= sum(said.values())

        await eventually(all_sent)
        await bench.say("the last")
        await eventually(lambda: has(bench, "the last"))

    heard = await bench.heard()
    assert heard.pop("the last") == [1]
    assert heard == {subject: list(range(1, count + 1)) for subject, count in said.items()}


async def test_a_row_that_commits_after_later_ones_were_sent_is_sent_too(bench: Bench) -> None:
    async with bench.running(bench.relay()):
        async with bench.database.transaction() as tx:
            await tx.say([a_receipt(tx, bench.center, "early")])
            await bench.say("late")
            await eventually(lambda: has(bench, "late"))

        heard = await eventually(lambda: has(bench, "early"))

    assert heard == {"early": [1], "late": [1]}


async def test_a_crash_between_sending_and_moving_the_cursor_repeats_but_loses_nothing(
    bench: Bench, templates: Templates, database_name: str
) -> None:
    owner = await asyncpg.connect(templates.dsn(database_name, "test_owner"))
    await owner.execute(
        """
        CREATE FUNCTION kit.crash() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'gone' USING ERRCODE = '57P01'; END $$;
        CREATE TRIGGER crash BEFORE UPDATE ON kit.relay_cursors FOR EACH ROW
        WHEN (new.snapshot_from::text <> old.snapshot_from::text) EXECUTE FUNCTION kit.crash();
        """
    )
    await bench.say("a", "b", "a")

    async with bench.running(bench.relay()):
        await eventually(lambda: has(bench, "a", "b"))
    await owner.execute("DROP TRIGGER crash ON kit.relay_cursors")
    await owner.close()
    async with bench.running(bench.relay()):
        await bench.say("a", "the last")
        heard = await eventually(lambda: has(bench, "the last"))

    runs = len(heard["b"])
    assert runs >= 2
    assert heard["a"] == [1, 2] * runs + [3]


async def test_a_standby_waits_quietly_and_takes_over_when_the_first_ends(bench: Bench) -> None:
    class Standby(Counting):
        pass

    async with AsyncExitStack() as ended:
        first = await ended.enter_async_context(bench.running(bench.relay()))
        await eventually(lambda: is_in(first, "running"))
        started = asyncio.get_running_loop().time()
        async with bench.running(bench.relay(Standby)) as second:
            await eventually(lambda: is_in(second, "standing by"))
            second.wake()

            async def tried_three_times() -> bool:
                return Standby.asked >= 3

            await eventually(tried_three_times)
            waited = asyncio.get_running_loop().time() - started
            await ended.aclose()
            await eventually(lambda: is_in(second, "running"))
            await bench.say("after")
            heard = await eventually(lambda: has(bench, "after"))

    assert waited >= 1.9
    assert heard == {"after": [1]}


async def test_an_idle_relay_looks_and_writes_nothing(bench: Bench) -> None:
    class Idle(Counting):
        pass

    async def cursor() -> list[asyncpg.Record]:
        async with bench.database.transaction() as tx:
            return await tx.conn.fetch("SELECT ctid::text, * FROM kit.relay_cursors")

    async def at_rest() -> bool:
        async with bench.database.transaction() as tx:
            return bool(
                await tx.conn.fetchval(
                    "SELECT snapshot_to IS NULL AND last_seq = 0 FROM kit.relay_cursors"
                )
            )

    await bench.say("something")
    async with bench.running(bench.relay(Idle)) as relay:

        async def looked(times: int) -> bool:
            return relay.sent == 1 and Idle.asked >= times

        await eventually(lambda: looked(3))
        await eventually(at_rest)
        before, asked = await cursor(), Idle.asked
        await eventually(lambda: looked(asked + 10))
        after = await cursor()

    assert after == before


async def holds(relay: Relay, *topics: str) -> bool:
    return relay.held == list(topics)


async def test_a_topic_that_is_not_there_yet_holds_only_itself_and_follows_in_order(
    bench: Bench,
) -> None:
    later = bench.another_center()
    held = [EGRESS_RECEIPT.named(later)]

    async with bench.running(bench.relay()) as relay:
        await bench.say("x", "y", center=later)
        await bench.say("for one who is there")
        await eventually(lambda: has(bench, "for one who is there"))
        await eventually(lambda: holds(relay, *held))
        assert relay.state == "running"
        await bench.say("x", center=later)
        await bench.say("and more")
        await eventually(lambda: has(bench, "and more"))
    async with bench.running(bench.relay()) as relay:
        await eventually(lambda: is_in(relay, "running"))
        assert relay.held == held
        await asyncio.to_thread(bench.stack.provision, [later])
        await bench.say("x", center=later)
        await eventually(lambda: holds(relay))
        await bench.say("x", "the last", center=later)
        heard = await eventually(lambda: has(bench, "the last", center=later))

    assert heard == {"x": [1, 2, 3, 4], "y": [1], "the last": [1]}
    async with bench.database.transaction() as tx:
        assert await tx.conn.fetch("SELECT * FROM kit.outbox_held") == []


async def test_a_topic_that_may_be_seen_but_not_written_holds_only_itself(bench: Bench) -> None:
    not_ours = INGRESS_PROFILE.named(bench.center)
    await bench.run_sql(
        f"""
        INSERT INTO kit.outbox (said_on, topic, subject, sequence, event_id, headers)
        VALUES (now()::date, '{not_ours}', 'k', 1, gen_random_uuid(), '')
        """  # noqa: S608 - our own name
    )

    async with bench.running(bench.relay()) as relay:
        await bench.say("another")
        heard = await eventually(lambda: has(bench, "another"))
        await eventually(lambda: holds(relay, not_ours))
        await bench.say("one more")
        await eventually(lambda: has(bench, "one more"))
        state = relay.state

    assert heard == {"another": [1]}
    assert state == "running"


async def test_no_batch_overtakes_one_that_is_too_large_for_its_topic(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = EGRESS_RECEIPT.named(bench.center)
    monkeypatch.setitem(relay_sender.PRODUCER, "max_batch_size", 4_000)
    await asyncio.to_thread(limit, bench, receipts, 3_000)  # the last batch of a few is smaller

    async with bench.running(bench.relay()) as relay:
        await bench.say(*["x"] * 22)
        await eventually(lambda: holds(relay, receipts))
        await bench.say("x")
        await asyncio.to_thread(bench.stack.provision, [bench.center])  # gives back the limit
        await eventually(lambda: holds(relay))
        await bench.say("the last")
        heard = await eventually(lambda: has(bench, "the last"))

    assert heard == {"x": list(range(1, 24)), "the last": [1]}


def limit(bench: Bench, topic: str, size: int) -> None:
    """Let a topic take batches of `size` bytes at most, as an operator may have set it."""
    login = bench.stack.kafka_login()
    admin = AdminClient(client_config(login["bootstrap"], login["username"], login["password"]))
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    (changed,) = admin.incremental_alter_configs([resource]).values()
    changed.result(10)


async def test_a_cursor_from_another_cluster_stops_the_relay_until_the_operator_has_mended_it(
    bench: Bench,
) -> None:
    await bench.say("before the restore")
    async with bench.running(bench.relay()):
        await eventually(lambda: has(bench, "before the restore"))
    await bench.run_sql(
        """
        UPDATE kit.relay_cursors
           SET system_identifier = system_identifier + 1, snapshot_from = '99999999:99999999:'
        """,
        "UPDATE kit.outbox SET txid = '88888888'",
    )
    await bench.say("after the restore")

    async with bench.running(bench.relay()) as stopped:
        await eventually(
            lambda: is_in(stopped, "stopped: the database was restored (the cursor was made on")
        )
        stopped.wake()
    assert stopped.sent == 0
    await bench.run_sql("UPDATE kit.outbox SET txid = DEFAULT", "DELETE FROM kit.relay_cursors")
    async with bench.running(bench.relay()):
        heard = await eventually(lambda: has(bench, "after the restore"))

    assert heard == {"before the restore": [1, 1], "after the restore": [1]}


async def test_a_statement_that_gets_no_answer_is_given_up_and_tried_again(bench: Bench) -> None:
    async with bench.running(bench.relay(answer_seconds=0.3)) as relay:
        await eventually(lambda: is_in(relay, "running"))
        async with bench.database.transaction() as tx:
            await tx.conn.execute("LOCK TABLE kit.outbox IN ACCESS EXCLUSIVE MODE")
            await eventually(lambda: is_in(relay, "retrying: TimeoutError"), every=0.01)
        await bench.say("in the end")
        heard = await eventually(lambda: has(bench, "in the end"))

    assert heard == {"in the end": [1]}


async def test_a_producer_that_failed_never_sends_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_sender, "ACK_SECONDS", 1.0)
    monkeypatch.setitem(relay_sender.PRODUCER, "request_timeout_ms", 1000)

    async with bench.running(bench.relay()) as relay:
        await bench.say("s")
        await eventually(lambda: has(bench, "s"))
        bench.stack.kill_part("kafka", SIGSTOP)
        try:
            await bench.say("s")
            await eventually(lambda: is_in(relay, "retrying"), every=0.01)
            assert senders() == 0
            await bench.say("s")
        finally:
            bench.stack.kill_part("kafka", SIGCONT)
        await bench.say("the last")

        async def alone() -> dict[str, list[int]]:
            assert senders() == 1
            return await has(bench, "the last")

        heard = await eventually(alone)

    assert senders() == 0
    assert heard["s"][0] == 1
    assert heard["s"][-2:] == [2, 3]


def senders() -> int:
    """Count the producers at work in this process."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return names.count("Sender._sender_routine")
