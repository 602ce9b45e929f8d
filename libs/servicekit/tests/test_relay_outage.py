"""An hour without Kafka, in small: what is said meanwhile waits in PostgreSQL, not in memory."""

import gc
from signal import SIGCONT, SIGSTOP

import psutil
import pytest
from libs.servicekit.tests.relay_bench import Bench, a_receipt, has, is_in

from devstack.stack import Stack
from servicekit.saying import relay_cursor, relay_sender
from servicekit.tx import Database
from testkit.eventually import eventually
from testkit.postgres import Templates

EVENTS, AT_ONCE = 60_000, 1_000  # 50 MB of rows
MOST_GROWTH = 25 * 1024 * 1024


@pytest.fixture
def bench(stack: Stack, templates: Templates, database_name: str, database: Database) -> Bench:
    made = Bench(stack, templates.dsn(database_name), database)
    stack.provision([made.center])
    return made


def resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


async def test_what_is_said_while_kafka_is_away_takes_no_memory_and_is_sent_afterwards(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_sender, "ACK_SECONDS", 0.5)
    monkeypatch.setattr(relay_cursor, "PAGE", 500)

    async def say(first: int, count: int) -> None:
        async with bench.database.transaction() as tx:
            await tx.say(
                [a_receipt(tx, bench.center, f"s-{n}") for n in range(first, first + count)]
            )

    monkeypatch.setitem(relay_sender.PRODUCER, "request_timeout_ms", 500)

    async with bench.running(bench.relay()) as relay:
        await bench.say("before")
        await eventually(lambda: has(bench, "before"))
        bench.stack.kill_part("kafka", SIGSTOP)
        try:
            await say(0, AT_ONCE)
            await eventually(lambda: is_in(relay, "retrying"), every=0.01)
            before = resident()
            for first in range(AT_ONCE, EVENTS, AT_ONCE):
                await say(first, AT_ONCE)
            growth = resident() - before
        finally:
            bench.stack.kill_part("kafka", SIGCONT)
        monkeypatch.setattr(relay_sender, "ACK_SECONDS", 30.0)

        async def all_sent() -> bool:
            return relay.sent > EVENTS

        await eventually(all_sent, within=60)
        grown = resident() - before
    heard = await bench.heard()

    assert growth < MOST_GROWTH
    assert grown < MOST_GROWTH
    assert heard.keys() == {"before", *(f"s-{n}" for n in range(EVENTS))}
