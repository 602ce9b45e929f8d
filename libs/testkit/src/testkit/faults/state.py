"""Reads what the databases hold at the end of a cycle, and empties the campaign's own tables."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from devstack.stack import Stack
from servicekit.saying import record_headers
from testkit.faults.tail import digest_of
from testkit.history import CursorMove, Heard, Kept, PositionMove, Said, Table

if TYPE_CHECKING:
    from servicekit.tx import Connection

TABLES: Mapping[str, Mapping[str, str]] = {
    "profile": {"members": "person_id"},
    "matching": {
        "people": "person_id",
        "hours": "person_id",
        "matches": "match_id",
        "declines": "match_id",
    },
    "scheduling": {
        "people": "person_id",
        "match_logs": "match_id",
        "pledges": "person_id",
        "links": "session_id",
        "sessions": "session_id",
    },
    "notification": {
        "match_logs": "match_id",
        "links": "session_id",
        "deliveries": "delivery_id",
    },
}
"""The tables that each service writes, and their keys."""
PROJECTIONS = {
    "matching": ("people", "hours"),
    "scheduling": ("people", "match_logs"),
    "notification": ("match_logs", "links"),
}
"""Those that are made from Kafka alone."""
_SHOWN = {
    "members": "version || ' ' || mark",
    "people": "version || ' ' || mark",
    "matches": "facts || ' ' || chain",
    "match_logs": "facts || ' ' || chain",
    "hours": "minutes::text",
    "pledges": "(minutes % 100000)::text",
    "declines": "string_agg(mark::text, ' ' ORDER BY mark::text)",
    "links": "string_agg(mark::text, ' ' ORDER BY mark::text)",
    "sessions": "string_agg(match_id::text, ' ' ORDER BY match_id)",
    "deliveries": "count(*)::text",
}
_GROUPED = ("declines", "links", "sessions", "deliveries")
_MOVES = ("position_moves", "cursor_moves")
_ALL = ("heard", *_SHOWN, *_MOVES)


@dataclass(frozen=True, slots=True)
class Marks:
    """Where a database's ever-growing tables stood when a cycle began."""

    outbox: int
    quarantine: int


@dataclass
class Books:
    """What the databases hold."""

    heard: list[Heard] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    position_moves: list[PositionMove] = field(default_factory=list)
    cursor_moves: list[CursorMove] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


class Access:
    """One connection to each database, as the superuser and past all proxies."""

    def __init__(self, stack: Stack) -> None:
        """Nothing is connected yet."""
        self._stack = stack
        self._open: dict[str, Connection] = {}

    @asynccontextmanager
    async def to(self, database: str) -> AsyncIterator["Connection"]:
        """Yield the database's connection; one on which something failed is not used again."""
        conn = self._open.pop(database, None)
        if conn is None or conn.is_closed():
            conn = await asyncpg.connect(self._stack.superuser_dsn(database), timeout=10)
        try:
            yield conn
        except BaseException:
            conn.terminate()
            raise
        self._open[database] = conn

    def close(self) -> None:
        """Let go of all of them."""
        for conn in self._open.values():
            conn.terminate()
        self._open.clear()


async def begin(access: Access, databases: Sequence[str]) -> dict[str, Marks]:
    """Empty the campaign's tables; return where the kernel's stand."""
    marks = {}
    for database in databases:
        async with access.to(database) as conn:
            await conn.execute(f"TRUNCATE {', '.join(_ALL)} RESTART IDENTITY")
            marks[database] = Marks(
                await conn.fetchval("SELECT coalesce(max(seq), 0) FROM kit.outbox"),
                await conn.fetchval("SELECT coalesce(max(quarantine_id), 0) FROM kit.quarantine"),
            )
    return marks


async def kept_subjects(access: Access, databases: Sequence[str]) -> set[str]:
    """Return the subjects of which something was ever quarantined or parked."""
    found: set[str] = set()
    for database in databases:
        async with access.to(database) as conn:
            rows = await conn.fetch("SELECT DISTINCT subject FROM kit.quarantine")
            found |= {row["subject"] for row in rows if row["subject"]}
    return found


async def read(access: Access, marks: Mapping[str, Marks]) -> Books:
    """Return everything that was written since the marks."""
    books = Books()
    for database, since in marks.items():
        async with access.to(database) as conn:
            books.heard += await _heard(conn, database)
            books.kept += await _kept(conn, database, since)
            books.said += await outbox_since(conn, database, since)
            books.position_moves += await _position_moves(conn, database)
            books.cursor_moves += await _cursor_moves(conn, database)
            for table in TABLES[database]:
                rows = await rows_of(conn, database, f"public.{table}")
                books.tables.append(Table(database, table, rows))
    return books


async def rows_of(conn: "Connection", database: str, table: str) -> dict[str, str]:
    """Return a table's rows as text by key."""
    name = table.rpartition(".")[2]
    key = TABLES[database][name]
    grouping = f"GROUP BY {key}" if name in _GROUPED else ""
    rows = await conn.fetch(
        f"SELECT {key}::text AS key, {_SHOWN[name]} AS value FROM {table} {grouping}"  # noqa: S608 - names from the tables above
    )
    return {row["key"]: row["value"] for row in rows}


async def outbox_since(conn: "Connection", database: str, since: Marks) -> list[Said]:
    """Return the outbox's rows since the mark."""
    rows = await conn.fetch(
        "SELECT seq, topic, subject, sequence, headers FROM kit.outbox WHERE seq > $1", since.outbox
    )
    found = []
    for row in rows:
        named = dict(record_headers.unpack(row["headers"], row["sequence"]))
        event_id, event_type = named["ce_id"].decode(), named["ce_type"].decode()
        found.append(
            Said(
                database,
                row["seq"],
                row["topic"],
                event_id,
                event_type,
                row["subject"],
                row["sequence"],
            )
        )
    return found


async def _heard(conn: "Connection", database: str) -> list[Heard]:
    rows = await conn.fetch("SELECT * FROM heard ORDER BY nth")
    return [
        Heard(
            database,
            row["nth"],
            row["topic"],
            str(row["event_id"]),
            row["subject"],
            row["sequence"],
            row["type"],
            row["process"],
            row["heard_at"].timestamp(),
        )
        for row in rows
    ]


async def _kept(conn: "Connection", database: str, since: Marks) -> list[Kept]:
    rows = await conn.fetch(
        """
        SELECT topic, partition, record_offset, record_value, reason_class, state
          FROM kit.quarantine WHERE quarantine_id > $1
        """,
        since.quarantine,
    )
    return [
        Kept(
            database,
            row["topic"],
            row["partition"],
            row["record_offset"],
            digest_of(row["record_value"]),
            row["reason_class"],
            row["state"],
        )
        for row in rows
    ]


async def _position_moves(conn: "Connection", database: str) -> list[PositionMove]:
    rows = await conn.fetch("SELECT * FROM position_moves ORDER BY nth")
    return [
        PositionMove(database, r["consumer"], r["topic"], r["partition"], r["before"], r["after"])
        for r in rows
    ]


async def _cursor_moves(conn: "Connection", database: str) -> list[CursorMove]:
    rows = await conn.fetch("SELECT * FROM cursor_moves ORDER BY nth")
    return [CursorMove(database, r["epoch_before"], r["epoch_after"]) for r in rows]
