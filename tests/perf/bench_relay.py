"""The outbox to Kafka, and events into the outbox, against the bare parts."""

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from uuid import UUID

import asyncpg
import bare_relay
from aiokafka import AIOKafkaProducer
from frame import Pair, bench
from surroundings import Surroundings, drained

from oncomentor_contracts.profile import ProfileChanged
from oncomentor_contracts.topics import MATCHING_MATCH, SCHEDULING_SESSION
from servicekit import kafka
from servicekit.saying.relay import Relay
from servicekit.tx import Database

EVENTS = 100_000
APPENDED = 20_000
SLICE = 2_000
SERVICE = "matching"
SOURCE = "/services/bench-relay"  # other benchmarks fill the same topics
LIMIT_TOPIC = SCHEDULING_SESSION.named()  # as wide; on its own the relay would look at it all
BODY = (
    '{{"person_id":"{0}","institution_id":"harbor-demo","version":{1},"profile":{{"profession":'
    '"medical_oncologist","languages":["en","pt"],"time_zone":"Europe/Lisbon","modalities":'
    '["virtual"],"weekly_hours":[{{"weekday":1,"starts":"08:00:00","ends":"12:00:00"}}],'
    '"state":"active"}},"changed_at":"2026-01-05T09:00:00Z"}}'
)


class Said(ProfileChanged):
    """A state of some 350 bytes, on a topic that the broker does not compact meanwhile."""

    TOPIC = MATCHING_MATCH


class Outbox:
    """A service's database, filled with events, and the way to Kafka."""

    def __init__(self, around: Surroundings, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.around = around
        self.pool = pool
        self.settings = around.settings(SERVICE)
        self.database = Database(pool, source=SOURCE, committed=lambda: None)

    async def say(self, events: Sequence[Said]) -> float:
        """Append events, a slice a transaction; return the seconds it took."""
        began = time.perf_counter()
        for first in range(0, len(events), SLICE):
            async with self.database.transaction() as tx:
                await tx.say(events[first : first + SLICE])
        return time.perf_counter() - began

    @asynccontextmanager
    async def superuser(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Yield a connection that may read everything."""
        conn = await asyncpg.connect(self.around.stack.superuser_dsn(self.settings.database_name))
        try:
            yield conn
        finally:
            await conn.close()


@asynccontextmanager
async def outbox(around: Surroundings) -> AsyncIterator[Outbox]:
    """Yield the service's outbox, migrated."""
    await around.migrate(SERVICE, bare_relay.TABLES)
    settings = around.settings(SERVICE)
    dsn = settings.dsn(settings.database_worker_user, settings.database_worker_password_file)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        yield Outbox(around, pool)


@cache
def profiles(count: int) -> list[Said]:
    """Return states of as many people, of some 350 bytes each."""
    dice = random.Random(4)  # noqa: S311 - a workload
    people = (UUID(int=dice.getrandbits(128), version=4) for _ in range(count))
    return [Said.model_validate_json(BODY.format(person, 1)) for person in people]


@bench(
    "relay.drain",
    unit="events/s",
    goal=0.70,
    limit_is="bare cursor read + create_batch producer",
)
async def drain(around: Surroundings) -> Pair:
    """Send 100,000 events of a backlog; the limit sends copies of the same rows."""
    async with outbox(around) as box:
        await box.say(profiles(EVENTS))
        gc.collect()
        gc.freeze()  # the events are of no account while rows are sent
        async with box.superuser() as conn:
            await conn.execute("TRUNCATE bare_outbox; UPDATE bare_cursor SET last_seq = 0")
            await conn.execute(
                """
                INSERT INTO bare_outbox
                SELECT seq, topic, subject, sequence, headers, record_value
                  FROM kit.outbox ORDER BY seq DESC LIMIT $1
                """,
                EVENTS,
            )
            await conn.execute("VACUUM ANALYZE bare_outbox, kit.outbox")
            await conn.execute("SET synchronous_commit = off")  # as the relay does
            limit = await _bare(box, conn)
        return Pair(await _relayed(box), limit)


async def _bare(box: Outbox, conn: "asyncpg.Connection[asyncpg.Record]") -> float:
    async with AIOKafkaProducer(
        **box.around.login("admin"),
        acks="all",
        enable_idempotence=True,
        max_batch_size=512 * 1024,
    ) as producer:
        await producer.partitions_for(LIMIT_TOPIC)
        began = time.perf_counter()
        sent = await bare_relay.drain(conn, producer, LIMIT_TOPIC)
        return sent / (time.perf_counter() - began)


async def _relayed(box: Outbox) -> float:
    settings = box.settings
    relay = Relay(
        name=SERVICE,
        source=SOURCE,
        client=kafka.client_arguments(settings),
        connect=lambda: asyncpg.connect(
            settings.dsn(settings.database_worker_user, settings.database_worker_password_file)
        ),
    )

    async def sent() -> int:
        return relay.sent

    task = asyncio.create_task(relay.run())
    try:
        return (await drained(sent, EVENTS)).rate
    finally:
        relay.close()
        await task


@bench(
    "outbox.append",
    unit="events/s",
    goal=0.30,
    limit_is="bare COPY of the finished rows",
)
async def append(around: Surroundings) -> Pair:
    """Say 20,000 events, 2,000 a transaction; the limit copies such rows, made before."""
    async with outbox(around) as box:
        events = profiles(APPENDED)
        ours = APPENDED / await box.say(events)
        async with box.superuser() as conn:
            await conn.execute("TRUNCATE bare_outbox")
            rows = await conn.fetch(
                "SELECT seq, topic, subject, sequence, headers, record_value FROM kit.outbox"
                " ORDER BY seq DESC LIMIT $1",
                APPENDED,
            )
            records = [tuple(row) for row in reversed(rows)]
            began = time.perf_counter()
            for first in range(0, len(records), SLICE):
                await conn.copy_records_to_table(
                    "bare_outbox", records=records[first : first + SLICE]
                )
            limit = APPENDED / (time.perf_counter() - began)
            await conn.execute("DELETE FROM kit.outbox")
            return Pair(ours, limit)
