"""Kafka to PostgreSQL: the kernel against the bare parts doing the same useful work."""

import itertools
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from frame import Goal, Pair, bench
from surroundings import Message, Surroundings, drained, offsets_since

from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.profile import ProfileChanged
from oncomentor_contracts.topics import PROFILE_PROFILE

if TYPE_CHECKING:
    from servicekit.tx import Connection

EVENTS = 100_000
TOPIC = PROFILE_PROFILE.name
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SCRIPT = Path(__file__).with_name("consumers.py")
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
CREATE TABLE public.applied (
    person_id uuid PRIMARY KEY,
    applied_at timestamptz NOT NULL
);
GRANT ALL ON public.people, public.limit_offsets, public.limit_outbox, public.applied
TO oncomentor_worker;
"""
_BARE = "bare getmany, pydantic-core, one unnest upsert with the offset row, 4 partitions at once"
_seeds = itertools.count(1)


def take_seed() -> int:
    """Return a seed that no other measurement of this run has."""
    return next(_seeds)


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


async def measured(around: Surroundings, kernel: str, limit: str = "plain") -> Pair:
    """Let the kernel and then the limit consume the same new records; return both rates."""
    await around.migrate("scheduling", TABLES)
    conn = await around.connect("scheduling")
    start = await around.ends(TOPIC)
    await around.fill(TOPIC, profiles(EVENTS, take_seed()))
    before = sum(start.values())
    ours = await _rate(around, conn, "kit.consumer_offsets", before, "kernel", kernel)
    rows = await conn.fetchval("SELECT count(*) FROM people")
    assert rows == EVENTS // 2, f"{rows} people were projected"
    offsets = json.dumps([start[tp] for tp in sorted(start)])
    bare = await _rate(around, conn, "limit_offsets", before, "limit", limit, offsets)
    await conn.close()
    return Pair(ours, bare)


async def _rate(
    around: Surroundings, conn: "Connection", table: str, before: int, *arguments: str
) -> float:
    await conn.execute(
        "TRUNCATE people, limit_offsets, limit_outbox, kit.applied_subjects, kit.outbox"
    )
    await conn.execute("CHECKPOINT")
    async with around.process(SCRIPT, "scheduling", *arguments):
        return (await drained(offsets_since(conn, table, TOPIC, before), EVENTS)).rate


@bench("kernel.consume_bulk", unit="events/s", goal=0.70, limit_is=_BARE)
async def consume_bulk(around: Surroundings) -> Pair:
    """A bulk handler that writes a projection."""
    return await measured(around, "bulk")


@bench(
    "kernel.consume_saying",
    unit="events/s",
    goal=0.70,
    limit_is=f"{_BARE}, and a COPY of one row for each",
)
async def consume_saying(around: Surroundings) -> Pair:
    """The same, and each event says one event."""
    return await measured(around, "saying", "saying")


@bench("kernel.consume_each", unit="events/s", goal=0.25, limit_is=_BARE)
async def consume_each(around: Surroundings) -> Pair:
    """A handler per event that writes the same projection."""
    return await measured(around, "each")


@bench(
    "kernel.consume_each_rate",
    unit="events/s",
    goal=Goal(5_000, "at_least"),
    limit_is="none: a floor for one process",
)
async def consume_each_rate(around: Surroundings) -> Pair:
    """How many events a second one process handles one by one."""
    return Pair((await measured(around, "each")).ours)
