"""A service that is asked to stop does so in time, whatever it is doing, and loses nothing."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGSTOP

import asyncpg
import pytest

from oncomentor_client.errors import ClientError
from oncomentor_client.publisher import RowOutcome
from oncomentor_client.session import Via
from testkit.eventually import eventually
from testkit.network import Center, Network
from testkit.world import Row, a_mentee

LIMIT_SECONDS = 10.0
PEOPLE = 150


async def publish_whatever_happens(center: Center, rows: list[Row]) -> list[RowOutcome]:
    """Publish over HTTP, and again while the service is away, as a center's own job would."""
    while True:
        try:
            return [result.outcome for result in await center.publish(*rows, via=Via.HTTP)]
        except ClientError:
            await asyncio.sleep(0.2)


@asynccontextmanager
async def frozen_broker(network: Network, *, frozen: bool) -> AsyncIterator[None]:
    if frozen:
        await asyncio.to_thread(network.stack.kill_part, "kafka", SIGSTOP)
    try:
        yield
    finally:
        if frozen:
            await asyncio.to_thread(network.stack.kill_part, "kafka", SIGCONT)


async def count(network: Network, database: str, sql: str, *arguments: object) -> int:
    conn = await asyncpg.connect(network.stack.superuser_dsn(database))
    try:
        found: int = await conn.fetchval(sql, *arguments)
        return found
    finally:
        await conn.close()


def events_of(network: Network, part: str) -> list[str]:
    """Return the names of what the part has logged since its last start."""
    log = network.stack.home.log(part)
    return [json.loads(line)["event"] for line in log.read_text().splitlines() if line[:1] == "{"]


@pytest.mark.parametrize("part", ["profile", "matching"])
@pytest.mark.parametrize("broker", ["up", "frozen"])
async def test_a_stop_under_load_takes_less_than_ten_seconds_and_loses_nothing(
    whole: Network, part: str, broker: str
) -> None:
    center = await whole.center()
    programme = await whole.programme()
    rows = [a_mentee(f"{part}-{broker}-{number}", programme) for number in range(PEOPLE)]
    people = [str(center.person_id(f"{part}-{broker}-{number}")) for number in range(PEOPLE)]

    async def some_taken_in() -> bool:
        sql = "SELECT count(*) FROM kit.subject_sequences WHERE subject = ANY($1)"
        return await count(whole, "profile", sql, people) > PEOPLE // 10

    publishing = asyncio.create_task(publish_whatever_happens(center, rows))
    await eventually(some_taken_in, within=30, every=0.02)
    async with frozen_broker(whole, frozen=broker == "frozen"):
        began = time.monotonic()
        await asyncio.to_thread(whole.stack.stop_part, part)
        seconds = time.monotonic() - began
        ended = events_of(whole, part)
    await asyncio.to_thread(whole.stack.start_part, part)
    outcomes = await publishing

    assert seconds < LIMIT_SECONDS
    assert "stopped" in ended
    assert len(outcomes) == PEOPLE
    assert set(outcomes) <= {RowOutcome.ACCEPTED, RowOutcome.UNCHANGED}

    async def all_heard() -> bool:
        heard = "SELECT count(*) FROM people WHERE person_id = ANY($1::text[]::uuid[])"
        return await count(whole, "matching", heard, people) == PEOPLE

    await eventually(all_heard, within=40, every=0.2)
    said = """
        SELECT count(*) FROM kit.subject_sequences
         WHERE topic = 'profile.profile' AND subject = ANY($1) AND sequence = 1
    """
    assert await count(whole, "profile", said, people) == PEOPLE
