"""The relay's limit: a bare cursor over a bare table, and a bare producer of whole batches.

It reads `seq > last`, sends each page as one batch a partition, and moves its cursor when all are
acknowledged; the next page is read and encoded meanwhile. It would lose rows that commit late, it
knows no epochs, no topics that are away and no database that went back.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from servicekit.saying.partition import partitions
from servicekit.saying.record_headers import unpack

if TYPE_CHECKING:
    import asyncpg
    from aiokafka import AIOKafkaProducer

    from servicekit.tx import Connection

TABLES = """
CREATE TABLE public.bare_outbox (
    seq bigint PRIMARY KEY,
    topic text NOT NULL,
    subject text NOT NULL,
    sequence bigint NOT NULL,
    headers bytea NOT NULL,
    record_value bytea
);
CREATE TABLE public.bare_cursor (last_seq bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO public.bare_cursor VALUES (0);
"""
PAGE = 2_000
PARTITIONS = 4


async def drain(conn: "Connection", producer: "AIOKafkaProducer", topic: str) -> int:
    """Send all rows behind the cursor; return how many that were."""
    total = 0
    flight: asyncio.Task[None] | None = None
    last = before = await conn.fetchval("SELECT last_seq FROM bare_cursor")
    while rows := await _page(conn, last):
        last = rows[-1]["seq"]
        batches = _batches(producer, rows)
        if flight is not None:
            await flight
        flight = asyncio.create_task(_send(producer, topic, batches))
        if last != before:
            await conn.execute("UPDATE bare_cursor SET last_seq = $1", before)
        before = last
        total += len(rows)
    if flight is not None:
        await flight
    await conn.execute("UPDATE bare_cursor SET last_seq = $1", last)
    return total


async def _page(conn: "Connection", last: int) -> Sequence["asyncpg.Record"]:
    return await conn.fetch(
        "SELECT seq, subject, sequence, headers, record_value FROM bare_outbox"
        " WHERE seq > $1 ORDER BY seq LIMIT $2",
        last,
        PAGE,
    )


Batch = list[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]


def _batches(producer: "AIOKafkaProducer", rows: Sequence["asyncpg.Record"]) -> list[object]:
    now = int(time.time() * 1000)
    made = [producer.create_batch() for _ in range(PARTITIONS)]
    keys = [row["subject"].encode() for row in rows]
    for key, partition, (_, _, sequence, headers, value) in zip(
        keys, partitions(keys, PARTITIONS), rows, strict=True
    ):
        made[partition].append(
            timestamp=now, key=key, value=value, headers=unpack(headers, sequence)
        )
    return list(made)


async def _send(producer: "AIOKafkaProducer", topic: str, batches: list[object]) -> None:
    acks = []
    for partition, batch in enumerate(batches):
        batch.close()  # type: ignore[attr-defined]
        acks.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*acks)
