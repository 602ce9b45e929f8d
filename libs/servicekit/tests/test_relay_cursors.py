"""Three ways to read an outbox under the same writers: two popular ones, and ours.

Each reader is asked again and again while writers commit late and out of order. `seq > last` loses
what commits behind it; `(txid, seq)` sends a subject's rows in the order in which their
transactions took an id, which is before they took the subject's lock. Ours does neither.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg
import pytest
from libs.servicekit.tests.relay_bench import a_receipt

from oncomentor_contracts.receipt import ReceiptAccepted
from servicekit.saying import relay_cursor
from servicekit.saying.relay_cursor import Cursor
from servicekit.tx import Database, Tx
from testkit.postgres import Templates

WRITERS, TRANSACTIONS, SUBJECTS, MOST_ROUNDS = 8, 25, 6, 20
Read = Callable[[], Awaitable[list[tuple[str, int]]]]
"""Return the (subject, sequence) of what is to be sent next."""


@dataclass
class Log:
    """What a reader would have sent."""

    rows: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, rows: list[tuple[str, int]]) -> None:
        for subject, sequence in rows:
            self.rows[subject].append(sequence)

    def lost(self, said: dict[str, int]) -> bool:
        return any(set(self.rows[s]) != set(range(1, n + 1)) for s, n in said.items())

    def reordered(self) -> bool:
        return any(sequences != sorted(sequences) for sequences in self.rows.values())


def by_seq(conn: "asyncpg.Connection[asyncpg.Record]") -> Read:
    last = 0

    async def read() -> list[tuple[str, int]]:
        nonlocal last
        rows = await conn.fetch(
            "SELECT seq, subject, sequence FROM kit.outbox WHERE seq > $1 ORDER BY seq", last
        )
        last = rows[-1]["seq"] if rows else last
        return [(row["subject"], row["sequence"]) for row in rows]

    return read


def by_txid(conn: "asyncpg.Connection[asyncpg.Record]") -> Read:
    last = (0, 0)

    async def read() -> list[tuple[str, int]]:
        nonlocal last
        rows = await conn.fetch(
            """
            SELECT txid::text::bigint AS txid, seq, subject, sequence FROM kit.outbox
             WHERE (txid::text::bigint, seq) > ($1, $2)
               AND txid < pg_snapshot_xmin(pg_current_snapshot())
             ORDER BY txid, seq
            """,
            *last,
        )
        last = (rows[-1]["txid"], rows[-1]["seq"]) if rows else last
        return [(row["subject"], row["sequence"]) for row in rows]

    return read


def by_window(cursor: Cursor) -> Read:
    async def read() -> list[tuple[str, int]]:
        window = await cursor.look()
        if window is None:
            return []
        page = await cursor.page(window, window.last_seq)
        assert page.is_last
        await cursor.move(window, page, {}, [])
        return [(row["subject"], row["sequence"]) for row in page.rows]

    return read


async def write(database: Database, dice: random.Random, said: dict[str, int]) -> None:
    """Say things in transactions that take an id, wait, take locks, wait, and commit."""
    for _ in range(TRANSACTIONS):
        subjects = [f"subject-{n}" for n in dice.sample(range(SUBJECTS), dice.randint(1, 2))]
        async with database.transaction() as tx:
            await tx.conn.execute("SELECT pg_current_xact_id()")
            await asyncio.sleep(dice.random() / 100)
            await tx.say([receipt(tx, subject) for subject in subjects])
            await asyncio.sleep(dice.random() / 100)
        for subject in subjects:
            said[subject] += 1


def receipt(tx: Tx, subject: str) -> ReceiptAccepted:
    return a_receipt(tx, "relay-center", subject)


async def follow(read: Read, log: Log, ended: asyncio.Event) -> None:
    """Read until the writers have ended, and once more."""
    while not ended.is_set():
        log.add(await read())
        await asyncio.sleep(0.002)
    log.add(await read())


async def test_both_naive_cursors_fail_under_a_load_that_ours_bears(
    database: Database, templates: Templates, database_name: str
) -> None:
    connections = [await asyncpg.connect(templates.dsn(database_name)) for _ in range(3)]
    cursor = Cursor(connections[2], "test")
    await cursor.take_over()
    readers = [by_seq(connections[0]), by_txid(connections[1]), by_window(cursor)]
    naive, popular, ours = logs = [Log(), Log(), Log()]
    said: dict[str, int] = defaultdict(int)
    dice = random.Random(7)  # noqa: S311 - a workload

    for _ in range(MOST_ROUNDS):
        ended = asyncio.Event()
        following = [
            asyncio.create_task(follow(read, log, ended))
            for read, log in zip(readers, logs, strict=True)
        ]
        await asyncio.gather(*(write(database, dice, said) for _ in range(WRITERS)))
        ended.set()
        await asyncio.gather(*following)
        assert not ours.lost(said)
        assert not ours.reordered()
        if naive.lost(said) and popular.reordered():
            break

    assert naive.lost(said)
    assert popular.reordered()
    for conn in connections:
        await conn.close()


async def test_a_page_ends_where_its_values_make_too_many_bytes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_cursor, "_PAGE_BYTES", 1)
    async with database.transaction() as tx:
        await tx.say([a_receipt(tx, "page-center", f"s{nth}") for nth in range(3)])
    async with database.pool.acquire() as conn:
        cursor = Cursor(conn, "profile")
        await cursor.take_over()
        window = await cursor.look()
        assert window is not None
        sizes, after, is_last = [], window.last_seq, False
        while not is_last:
            page = await cursor.page(window, after)
            await cursor.move(window, page, {}, [])
            sizes.append(len(page.rows))
            after, is_last = page.last_seq, page.is_last

        assert sizes == [1, 1, 1, 0]
        assert await cursor.look() is None
