"""Where a relay stands in its outbox: every statement a relay makes.

Each method is one statement, so it happens wholly or not at all without a transaction to end
over a connection that may have died. One connection holds the lock and makes the statements:
whoever lost the lock can't move the cursor either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

if TYPE_CHECKING:
    import asyncpg

    from servicekit.tx import Connection

LOCK = 0x0CC0_0002  # advisory lock per database: one relay sends, others stand by
PAGE = 2_000  # rows sent at once
_PAGE_BYTES = 32 * 1024 * 1024  # that a page's values can make at most
Positions = Mapping[TopicPartition, int]
"""The offset that follows what the relay knows of each partition."""


class LostEpochError(Exception):
    """Another relay has taken over, or the cursor was taken away."""


class ForeignCursorError(Exception):
    """The cursor was made on another PostgreSQL cluster; its snapshots mean nothing on this one."""


@dataclass(frozen=True, slots=True)
class Window:
    """What became visible between two snapshots; rows up to `last_seq` have been dealt with.

    Without `until` it is open: whatever becomes visible after `since`.
    """

    since: str
    until: str | None
    last_seq: int

    @property
    def unseen(self) -> tuple[str, list[str]]:
        """Transactions that `since` does not show: all from the first on, and those in the list."""
        _, first, in_progress = self.since.split(":")
        return first, [xid for xid in in_progress.split(",") if xid]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a window in the order in which they are to be sent."""

    rows: Sequence["asyncpg.Record"]
    is_last: bool

    @property
    def last_seq(self) -> int:
        """Where the page ends."""
        last: int = self.rows[-1]["seq"] if self.rows else 0
        return last


class Cursor:
    """One relay's place in the outbox of one database.

    Raises:
        TimeoutError: (every method) PostgreSQL did not answer within the connection's limit.
    """

    def __init__(self, conn: "Connection", relay: str) -> None:
        """Work through `conn`, whose session also holds the lock."""
        self.conn = conn
        self.epoch = 0
        self.window = Window("1:1:", None, 0)
        self._relay = relay

    async def lock(self) -> bool:
        """Try to become the relay of this database; the lock lives as long as the connection."""
        locked: bool = await self.conn.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)
        return locked

    async def take_over(self) -> None:
        """Begin an epoch: the cursor moves for us alone from now on.

        Raises:
            ForeignCursorError: new transaction ids may lie below the cursor's snapshots, and
                their rows would count as sent.
        """
        # A cursor that a crash of PostgreSQL took back repeats rows, which consumers drop; and
        # pages in seq order need no sort, whatever the planner thinks of their number.
        await self.conn.execute("SET synchronous_commit = off; SET enable_sort = off")
        row = await self.conn.fetchrow(
            """
            INSERT INTO kit.relay_cursors AS c
                   (relay, snapshot_from, last_seq, epoch, system_identifier)
            VALUES ($1, '1:1:', 0, 1, (SELECT system_identifier FROM pg_control_system()))
            ON CONFLICT (relay) DO UPDATE SET epoch = c.epoch + 1
             WHERE c.system_identifier = excluded.system_identifier
            RETURNING epoch, snapshot_from::text AS since, snapshot_to::text AS until, last_seq
            """,
            self._relay,
        )
        if row is None:
            raise ForeignCursorError
        self.epoch = row["epoch"]
        self.window = Window(row["since"], row["until"], row["last_seq"])

    async def look(self) -> Window | None:
        """Return the window that was left unfinished, or one up to what is visible now.

        None when nothing has become visible. Nothing is written until rows have been sent.
        """
        since, until, last_seq = self.window.since, self.window.until, self.window.last_seq
        row = await self.conn.fetchrow(
            """
            SELECT pg_current_snapshot()::text AS until,
                   CASE WHEN $5 THEN (
                       SELECT min(seq + 0) - 1  -- not by walking the index on seq
                         FROM kit.outbox
                        WHERE txid >= $3::text::xid8 OR txid = ANY($4::text[]::xid8[])
                   ) END AS last_seq
              FROM kit.relay_cursors
             WHERE relay = $1 AND epoch = $2
            """,
            self._relay,
            self.epoch,
            *self.window.unseen,
            until is None,
        )
        if row is None:
            raise LostEpochError
        if until is not None:
            return Window(since, until, last_seq)
        if row["last_seq"] is None:
            return None
        return Window(since, row["until"], row["last_seq"])

    async def page(self, window: Window, after: int) -> Page:
        """Return the window's next rows: `PAGE` of them, or as many as make `_PAGE_BYTES`."""
        rows = await self.conn.fetch(
            """
            SELECT seq, topic, subject, sequence, headers, record_value
              FROM (SELECT *, sum(octet_length(record_value)) OVER (ORDER BY seq ROWS
                              BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
                      FROM (SELECT seq, topic, subject, sequence, headers, record_value
                              FROM kit.outbox
                             WHERE seq > $1
                               AND (txid >= $2::text::xid8 OR txid = ANY($3::text[]::xid8[]))
                               AND pg_visible_in_snapshot(txid, $4::text::pg_snapshot)
                             ORDER BY seq
                             LIMIT $5) AS next) AS counted
             WHERE coalesce(bytes_before, 0) < $6
            """,
            after,
            *window.unseen,
            window.until,
            PAGE,
            _PAGE_BYTES,
        )
        is_cut = sum(len(row["record_value"] or b"") for row in rows) >= _PAGE_BYTES
        return Page(rows, len(rows) < PAGE and not is_cut)

    async def move(
        self, window: Window, page: Page, positions: Positions, held: Sequence[int]
    ) -> None:
        """Have dealt with the window up to the end of `page`: sent, or, for `held`, put aside."""
        moved = replace(window, last_seq=page.last_seq)
        if page.is_last:
            moved = Window(window.until or window.since, None, 0)
        found = await self.conn.fetchval(
            """
            WITH moved AS (
                UPDATE kit.relay_cursors
                   SET snapshot_from = $3::text::pg_snapshot, snapshot_to = $4::text::pg_snapshot,
                       last_seq = $5
                 WHERE relay = $1 AND epoch = $2
                RETURNING relay
            ), placed AS (
                INSERT INTO kit.relay_positions (topic, partition, next_offset)
                SELECT * FROM unnest($6::text[], $7::int[], $8::bigint[])
                 WHERE EXISTS (SELECT FROM moved)
                ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
            ), put_aside AS (
                INSERT INTO kit.outbox_held (seq, topic, subject, sequence, headers, record_value)
                SELECT seq, topic, subject, sequence, headers, record_value
                  FROM kit.outbox
                 WHERE seq = ANY($9::bigint[]) AND EXISTS (SELECT FROM moved)
                ON CONFLICT DO NOTHING
            )
            SELECT count(*) FROM moved
            """,
            self._relay,
            self.epoch,
            moved.since,
            moved.until,
            moved.last_seq,
            *_columns(positions),
            held,
        )
        if found != 1:
            raise LostEpochError
        self.window = moved

    async def held_topics(self) -> list[str]:
        """Return the topics that have rows put aside."""
        rows = await self.conn.fetch("SELECT DISTINCT topic FROM kit.outbox_held")
        return [row["topic"] for row in rows]

    async def held_page(self, topic: str) -> Sequence["asyncpg.Record"]:
        """Return the first rows put aside of a topic, in order."""
        return await self.conn.fetch(
            """
            SELECT seq, topic, subject, sequence, headers, record_value
              FROM kit.outbox_held
             WHERE topic = $1
             ORDER BY seq
             LIMIT $2
            """,
            topic,
            _HELD_PAGE,
        )

    async def release(self, topic: str, last_seq: int, positions: Positions) -> None:
        """Forget the topic's rows up to `last_seq`: Kafka has them now."""
        await self.conn.execute(
            """
            WITH released AS (DELETE FROM kit.outbox_held WHERE topic = $1 AND seq <= $2)
            INSERT INTO kit.relay_positions (topic, partition, next_offset)
            SELECT * FROM unnest($3::text[], $4::int[], $5::bigint[])
            ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
            """,
            topic,
            last_seq,
            *_columns(positions),
        )

    async def place(self, positions: Positions) -> None:
        """Know the partitions up to these offsets."""
        await self.conn.execute(
            """
            INSERT INTO kit.relay_positions (topic, partition, next_offset)
            SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])
            ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
            """,
            *_columns(positions),
        )

    async def positions(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """Return how far the topics' partitions are known."""
        rows = await self.conn.fetch(
            "SELECT topic, partition, next_offset FROM kit.relay_positions WHERE topic = ANY($1)",
            topics,
        )
        return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


_HELD_PAGE = 200  # rows of one topic, each a megabyte at most


def _columns(positions: Positions) -> tuple[list[Any], ...]:
    return (
        [tp.topic for tp in positions],
        [tp.partition for tp in positions],
        list(positions.values()),
    )
