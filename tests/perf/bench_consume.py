"""Kafka to PostgreSQL: the kernel against the bare parts doing the same useful work."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from frame import Pair, bench
from surroundings import Message, Surroundings, drained, offsets_since

from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.profile import ProfileChanged
from oncomentor_contracts.topics import PROFILE_PROFILE
from servicekit.subscription import Bulk, Handler, Subscription
from servicekit.tx import Tx

if TYPE_CHECKING:
    from servicekit.tx import Connection, Pool

EVENTS = 100_000
SLICE = 2_000
TOPIC = PROFILE_PROFILE.name
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TABLES = """
CREATE TABLE public.people (
    person_id uuid PRIMARY KEY,
    institution_id text NOT NULL,
    version bigint NOT NULL,
    body jsonb NOT NULL
);
CREATE TABLE public.limit_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
CREATE TABLE public.limit_outbox (
    topic text NOT NULL,
    record_key bytea NOT NULL,
    record_value bytea NOT NULL,
    headers bytea NOT NULL
);
GRANT ALL ON public.people, public.limit_offsets, public.limit_outbox TO oncomentor_worker;
"""
UPSERT = """
INSERT INTO people (person_id, institution_id, version, body)
SELECT person_id, institution_id, version, body::jsonb
  FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[])
         AS t (person_id, institution_id, version, body)
ON CONFLICT (person_id) DO UPDATE
   SET institution_id = excluded.institution_id, version = excluded.version, body = excluded.body
"""
LIMIT_UPSERT = f"""
WITH moved AS (
    INSERT INTO limit_offsets (topic, partition, next_offset) VALUES ($5, $6, $7)
    ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
)
{UPSERT}
"""  # noqa: S608 - constants


def columns(events: Sequence[ProfileChanged], bodies: Sequence[str]) -> tuple[list[object], ...]:
    """Return the upsert's arrays; of a person with several states the last one counts."""
    latest = {event.person_id: nth for nth, event in enumerate(events)}
    kept = [events[nth] for nth in latest.values()]
    return (
        list(latest),
        [event.institution_id for event in kept],
        [event.version for event in kept],
        [bodies[nth] for nth in latest.values()],
    )


async def project(events: Sequence[ProfileChanged], tx: Tx) -> Sequence[Event]:
    """Keep the states of a slice, in one statement."""
    bodies = [event.raw.decode() for event in events]
    await tx.conn.execute(UPSERT, *columns(events, bodies))
    return []


async def project_one(event: ProfileChanged, tx: Tx) -> Sequence[Event]:
    """Keep one state."""
    return await project([event], tx)


def profiles(count: int, seed: int) -> list[Message]:
    """Return states of `count / 2` people, twice each, of some 350 bytes, as the relay sends them."""
    dice = random.Random(seed)  # noqa: S311 - a workload
    people = [UUID(int=dice.getrandbits(128), version=4) for _ in range(count // 2)]
    body = (
        '{{"person_id":"{0}","institution_id":"harbor-demo","version":{1},"profile":{{"profession":'
        '"medical_oncologist","languages":["en","pt"],"time_zone":"Europe/Lisbon","modalities":'
        '["virtual"],"weekly_hours":[{{"weekday":1,"starts":"08:00:00","ends":"12:00:00"}}],'
        '"state":"active"}},"changed_at":"2026-01-05T09:00:00Z"}}'
    )
    envelope = Envelope(
        id=uuid7(NOW),
        source="/services/profile",
        type=ProfileChanged.TYPE,
        subject="",
        time=NOW,
        sequence=1,
        dataschema=ProfileChanged.dataschema(),
        traceparent=f"00-{'a1' * 16}-{'b2' * 8}-01",
        correlationid=str(uuid7(NOW)),
        causationid=str(uuid7(NOW)),
    )
    return [
        (
            str(person).encode(),
            body.format(person, sequence).encode(),
            envelope._replace(id=uuid7(NOW), subject=str(person), sequence=sequence).headers(),
        )
        for sequence in (1, 2)
        for person in people
    ]


class Limit:
    """The bare parts: one task a partition, so that one parses while another one commits."""

    def __init__(self, around: Surroundings, pool: "Pool", *, say: bool = False) -> None:
        self._around = around
        self._pool = pool
        self._say = say

    async def run(self, start: dict[TopicPartition, int]) -> None:
        """Consume until cancelled."""
        async with AIOKafkaConsumer(
            **self._around.login("scheduling"), enable_auto_commit=False, fetch_max_wait_ms=100
        ) as consumer:
            consumer.assign(list(start))
            for tp, offset in start.items():
                consumer.seek(tp, offset)
            async with asyncio.TaskGroup() as tasks:
                for tp in start:
                    tasks.create_task(self._partition(consumer, tp))

    async def _partition(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        validate = ProfileChanged.model_validate_json
        async with self._pool.acquire() as conn:
            while True:
                found = await consumer.getmany(tp, timeout_ms=100, max_records=SLICE)
                records = found.get(tp)
                if not records:
                    continue
                events = [validate(record.value) for record in records]
                bodies = [record.value.decode() for record in records]
                where = (tp.topic, tp.partition, records[-1].offset + 1)
                if not self._say:
                    await conn.execute(LIMIT_UPSERT, *columns(events, bodies), *where)
                    continue
                async with conn.transaction():
                    await conn.execute(LIMIT_UPSERT, *columns(events, bodies), *where)
                    rows = [("scheduling.availability", r.key, SAID, HEADERS) for r in records]
                    await conn.copy_records_to_table("limit_outbox", records=rows)


SAID = b""
HEADERS = b""


async def measured(around: Surroundings, handler: Handler | Bulk, *, say: bool, seed: int) -> Pair:
    """Let the kernel and then the limit consume the same new records; return both rates."""
    service = await around.service(
        "scheduling", TABLES, [Subscription(PROFILE_PROFILE, {ProfileChanged: handler})]
    )
    conn = await around.connect("scheduling")
    start = await around.ends(TOPIC)
    await around.fill(TOPIC, profiles(EVENTS, seed))
    ours = await _rate(conn, lambda: _serving(around, service), "kit.consumer_offsets", start)
    rows = await conn.fetchval("SELECT count(*) FROM people")
    assert rows == EVENTS // 2, f"{rows} people were projected"
    settings = service.settings
    dsn = settings.dsn(settings.database_worker_user, settings.database_worker_password_file)
    async with asyncpg.create_pool(dsn, min_size=4, max_size=4) as pool:
        limit = Limit(around, pool, say=say)
        bare = await _rate(conn, lambda: limit.run(dict(start)), "limit_offsets", start)
    await conn.close()
    return Pair(ours, bare)


async def _serving(around: Surroundings, service: object) -> None:
    async with around.serving(service):  # type: ignore[arg-type]  # what `service` made
        await asyncio.Event().wait()


async def _rate(
    conn: "Connection",
    run: Callable[[], Awaitable[None]],
    table: str,
    start: dict[TopicPartition, int],
) -> float:
    await conn.execute("TRUNCATE people, limit_offsets, limit_outbox, kit.applied_subjects")
    await conn.execute("CHECKPOINT")
    running = asyncio.ensure_future(run())
    try:
        return (await drained(offsets_since(conn, table, TOPIC, start), EVENTS)).rate
    finally:
        running.cancel()
        await asyncio.wait({running})


_seeds = iter(range(1, 10_000))


@bench(
    "kernel.consume_bulk",
    unit="events/s",
    goal=0.70,
    limit_is="bare getmany, pydantic-core, one unnest upsert with the offset row, 4 partitions",
)
async def consume_bulk(around: Surroundings) -> Pair:
    """A bulk handler that writes a projection."""
    return await measured(around, Bulk(project), say=False, seed=next(_seeds))


@bench(
    "kernel.consume_each",
    unit="events/s",
    goal=0.25,
    limit_is="the same as kernel.consume_bulk",
)
async def consume_each(around: Surroundings) -> Pair:
    """A handler per event that writes the same projection."""
    return await measured(around, project_one, say=False, seed=next(_seeds))
