"""From a commit in one service to the commit in the next: outbox, relay, broker, slice."""

import asyncio
import time
from pathlib import Path

import asyncpg
import httpx
from bench_consume import SCRIPT, TABLES
from frame import Goal, Pair, bench
from surroundings import Surroundings

EVENTS_PER_SECOND = 500
PER_COMMIT = 10
SECONDS = 10.0
WARM_UP_SECONDS = 2.0
_TALKER = Path(__file__).with_name("talker.py")


async def latencies(around: Surroundings) -> list[float]:
    """Return milliseconds from commit to being applied of each event, shortest first."""
    await around.migrate("profile", TABLES)
    await around.migrate("scheduling", TABLES)
    conn = await around.connect("scheduling")
    await conn.execute("TRUNCATE applied")
    committed: dict[str, float] = {}
    async with (
        around.process(_TALKER, "profile"),
        around.process(SCRIPT, "scheduling", "kernel", "timed"),
        httpx.AsyncClient(base_url=f"http://{around.stack.address('profile')}") as talker,
    ):
        await around.ready("profile")
        await around.ready("scheduling")
        began = time.monotonic()
        while (now := time.monotonic()) < began + SECONDS:
            answer = (await talker.post("/say", params={"count": PER_COMMIT})).json()
            if now > began + WARM_UP_SECONDS:
                committed |= dict.fromkeys(answer["people"], answer["committed_at"])
            pause = PER_COMMIT / EVENTS_PER_SECOND - (time.monotonic() - now)
            await asyncio.sleep(max(pause, 0))
        rows: list[asyncpg.Record] = []
        async with asyncio.timeout(30):
            while len(rows) < len(committed):
                await asyncio.sleep(0.5)
                rows = await conn.fetch(
                    "SELECT person_id, extract(epoch FROM applied_at)::float8 AS at FROM applied"
                    " WHERE person_id = ANY($1::uuid[])",
                    list(committed),
                )
    await conn.close()
    return sorted(1000 * (row["at"] - committed[str(row["person_id"])]) for row in rows)


@bench(
    "kernel.latency_p50",
    unit="ms, commit -> applied in the next service, at 500 events/s",
    goal=Goal(30, "at_most"),
    limit_is="none: outbox, relay, broker and slice",
)
async def latency_p50(around: Surroundings) -> Pair:
    """The event in the middle."""
    found = await latencies(around)
    return Pair(found[len(found) // 2])


@bench(
    "kernel.latency_p99",
    unit="ms, the same",
    goal=Goal(150, "at_most"),
    limit_is="none",
)
async def latency_p99(around: Surroundings) -> Pair:
    """One event of a hundred is later."""
    found = await latencies(around)
    return Pair(found[len(found) * 99 // 100])
