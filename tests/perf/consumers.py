"""The consumers that are measured, each in a process of its own: the kernel's and the bare one.

`python consumers.py kernel bulk|each|saying|timed` runs a service of the kernel, `python consumers.py
limit plain|saying START` the limit loop from the offsets START (JSON, one per partition). Both
write the same projection into the database of the service `scheduling`.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from oncomentor_contracts.event import Event
from oncomentor_contracts.profile import ProfileChanged
from oncomentor_contracts.scheduling import AvailabilityChanged
from oncomentor_contracts.topics import PROFILE_PROFILE
from servicekit import kafka
from servicekit.observing import log
from servicekit.process import serving
from servicekit.service import Service
from servicekit.settings import Settings
from servicekit.subscription import Bulk, Handler, Subscription
from servicekit.tx import Tx

if TYPE_CHECKING:
    from servicekit.tx import Pool

SLICE = 2_000
PARTITIONS = 4
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
    await tx.conn.execute(UPSERT, *columns(events, [event.raw.decode() for event in events]))
    return []


async def project_one(event: ProfileChanged, tx: Tx) -> Sequence[Event]:
    """Keep one state."""
    return await project([event], tx)


async def project_and_say(events: Sequence[ProfileChanged], tx: Tx) -> Sequence[Event]:
    """Keep the states of a slice, and say one event for each."""
    await project(events, tx)
    return [said_of(event) for event in events]


async def note_time(events: Sequence[ProfileChanged], tx: Tx) -> Sequence[Event]:
    """Note when each state was applied, by this machine's clock."""
    await tx.conn.execute(
        """
        INSERT INTO applied (person_id, applied_at)
        SELECT person_id, clock_timestamp() FROM unnest($1::uuid[]) AS person_id
        ON CONFLICT DO NOTHING
        """,
        [event.person_id for event in events],
    )
    return []


def said_of(event: ProfileChanged) -> AvailabilityChanged:
    """Return what is said of one state."""
    return AvailabilityChanged.model_construct(
        person_id=event.person_id,
        institution_id=event.institution_id,
        time_zone=event.profile.time_zone,
        weekly_hours=event.profile.weekly_hours,
    )


HANDLERS: dict[str, Handler | Bulk] = {
    "bulk": Bulk(project),
    "each": project_one,
    "saying": Bulk(project_and_say),
    "timed": Bulk(note_time),
}


class Limit:
    """The bare parts: one task a partition, so that one parses while another one commits."""

    def __init__(self, settings: Settings, pool: "Pool", *, saying: bool) -> None:
        """Read as this service, write through this pool."""
        self._settings = settings
        self._pool = pool
        self._saying = saying

    async def run(self, start: Sequence[int]) -> None:
        """Consume each partition from its offset until cancelled."""
        async with AIOKafkaConsumer(
            **kafka.client_arguments(self._settings), enable_auto_commit=False
        ) as consumer:
            partitions = [TopicPartition(PROFILE_PROFILE.name, nth) for nth in range(PARTITIONS)]
            consumer.assign(partitions)
            for tp, offset in zip(partitions, start, strict=True):
                consumer.seek(tp, offset)
            async with asyncio.TaskGroup() as tasks:
                for tp in partitions:
                    tasks.create_task(self._partition(consumer, tp))

    async def _partition(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        validate = ProfileChanged.__pydantic_validator__.validate_json
        async with self._pool.acquire() as conn:
            while True:
                found = await consumer.getmany(tp, timeout_ms=100, max_records=SLICE)
                records = found.get(tp)
                if not records:
                    continue
                events = [validate(record.value) for record in records]
                bodies = [record.value.decode() for record in records]
                arguments = *columns(events, bodies), tp.topic, tp.partition, records[-1].offset + 1
                if not self._saying:
                    await conn.execute(LIMIT_UPSERT, *arguments)
                    continue
                rows = [
                    ("scheduling.availability", record.key, said_of(event).data(), _HEADERS)
                    for record, event in zip(records, events, strict=True)
                ]
                async with conn.transaction():
                    await conn.execute(LIMIT_UPSERT, *arguments)
                    await conn.copy_records_to_table("limit_outbox", records=rows)


_HEADERS = b"x" * 400  # as many bytes as an envelope has


def main() -> None:
    """Run what the arguments name until a signal comes."""
    settings = Settings()  # from the environment
    log.configure("scheduling", "info")
    if sys.argv[1] == "kernel":
        subscription = Subscription(PROFILE_PROFILE, {ProfileChanged: HANDLERS[sys.argv[2]]})
        service = Service(
            name="scheduling",
            settings=settings,
            subscriptions=[subscription],
            migrations=Path(),
        )
        asyncio.run(serving.run(service))
    else:
        asyncio.run(_limit(settings, json.loads(sys.argv[3]), saying=sys.argv[2] == "saying"))


async def _limit(settings: Settings, start: Sequence[int], *, saying: bool) -> None:
    serving.tune_garbage_collection()  # it is faster with it, as the kernel is
    dsn = settings.dsn(settings.database_worker_user, settings.database_worker_password_file)
    async with asyncpg.create_pool(dsn, min_size=PARTITIONS, max_size=PARTITIONS) as pool:
        await Limit(settings, pool, saying=saying).run(start)


if __name__ == "__main__":
    main()
