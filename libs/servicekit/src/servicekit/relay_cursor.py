"""Where a relay stands in its outbox: every statement a relay makes, each with a deadline.

Each method is one statement, so it happens wholly or not at all without a transaction to end
over a connection that may have died. One connection holds the lock and makes the statements:
whoever lost the lock can't move the cursor either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

    from servicekit.tx import Connection

LOCK = 0x0CC0_0002  # advisory lock per database: one relay sends, others stand by
DEADLINE_SECONDS = 30.0  # seconds; a connection that goes nowhere fails then instead of hanging


class LostEpochError(Exception):
    """Another relay has taken over, or the cursor was taken away."""


class ForeignCursorError(Exception):
    """The cursor was made on another PostgreSQL cluster; its snapshots mean nothing on this one."""


@dataclass(frozen=True, slots=True)
class Window:
    """What became visible between two snapshots; rows up to `last_seq` have been dealt with."""

    since: str
    until: str
    last_seq: int


class Cursor:
    """One relay's place in the outbox of one database.

    Raises:
        TimeoutError: (every method) PostgreSQL did not answer in 30 seconds.
    """

    def __init__(self, conn: "Connection", relay: str) -> None:
        """Work through `conn`, whose session also holds the lock."""
        self.epoch = 0
        self._conn = conn
        self._relay = relay

    async def lock(self) -> bool:
        """Try to become the relay of this database; the lock lives as long as the connection."""
        locked: bool = await self._conn.fetchval(
            "SELECT pg_try_advisory_lock($1)", LOCK, timeout=DEADLINE_SECONDS
        )
        return locked

    async def take_over(self) -> None:
        """Begin an epoch: the cursor moves for us alone from now on.

        Raises:
            ForeignCursorError: new transaction ids may lie below the cursor's snapshots, and
                their rows would count as sent.
        """
        epoch: int | None = await self._conn.fetchval(
            """
            INSERT INTO kit.relay_cursors AS c
                   (relay, snapshot_from, last_seq, epoch, system_identifier)
            VALUES ($1, '1:1:', 0, 1, (SELECT system_identifier FROM pg_control_system()))
            ON CONFLICT (relay) DO UPDATE SET epoch = c.epoch + 1
             WHERE c.system_identifier = excluded.system_identifier
            RETURNING epoch
            """,
            self._relay,
            timeout=DEADLINE_SECONDS,
        )
        if epoch is None:
            raise ForeignCursorError
        self.epoch = epoch

    async def has_news(self) -> bool:
        """Tell, without writing, whether there is a row to send or a window to finish.

        Raises:
            LostEpochError: the cursor is no longer ours.
        """
        news: bool | None = await self._conn.fetchval(
            """
            SELECT c.snapshot_to IS NOT NULL OR EXISTS (
                       SELECT FROM kit.outbox AS o
                        WHERE o.txid >= pg_snapshot_xmin(c.snapshot_from)
                          AND NOT pg_visible_in_snapshot(o.txid, c.snapshot_from))
              FROM kit.relay_cursors AS c
             WHERE c.relay = $1 AND c.epoch = $2
            """,
            self._relay,
            self.epoch,
            timeout=DEADLINE_SECONDS,
        )
        if news is None:
            raise LostEpochError
        return news

    async def open_window(self) -> Window:
        """Return the window that was left unfinished, or a new one up to what is visible now."""
        row = await self._conn.fetchrow(
            """
            UPDATE kit.relay_cursors
               SET snapshot_to = coalesce(snapshot_to, pg_current_snapshot())
             WHERE relay = $1 AND epoch = $2
            RETURNING snapshot_from::text AS since, snapshot_to::text AS until, last_seq
            """,
            self._relay,
            self.epoch,
            timeout=DEADLINE_SECONDS,
        )
        if row is None:
            raise LostEpochError
        return Window(row["since"], row["until"], row["last_seq"])

    async def page(self, window: Window, after: int, most: int) -> "list[asyncpg.Record]":
        """Return the window's next rows in the order in which they are to be sent."""
        return await self._conn.fetch(
            """
            SELECT seq, topic, record_key, record_value, header_names, header_values
              FROM kit.outbox
             WHERE seq > $1
               AND txid >= pg_snapshot_xmin($2::text::pg_snapshot)
               AND pg_visible_in_snapshot(txid, $3::text::pg_snapshot)
               AND NOT pg_visible_in_snapshot(txid, $2::text::pg_snapshot)
             ORDER BY seq
             LIMIT $4
            """,
            after,
            window.since,
            window.until,
            most,
            timeout=DEADLINE_SECONDS,
        )

    async def move(self, window: Window, last_seq: int, held: Sequence[int]) -> None:
        """Have dealt with the window up to `last_seq`: sent, or, for the rows `held`, put aside."""
        if not held:
            await self._change("last_seq = $3", last_seq)
            return
        moved = await self._conn.fetchval(
            """
            WITH moved AS (
                UPDATE kit.relay_cursors SET last_seq = $3
                 WHERE relay = $1 AND epoch = $2
                RETURNING relay
            ), put_aside AS (
                INSERT INTO kit.outbox_held (seq, said_on, topic, record_key, record_value,
                                             header_names, header_values)
                SELECT seq, said_on, topic, record_key, record_value, header_names, header_values
                  FROM kit.outbox
                 WHERE txid >= pg_snapshot_xmin($4::text::pg_snapshot)
                   AND seq = ANY($5::bigint[])
                   AND EXISTS (SELECT FROM moved)
                ON CONFLICT DO NOTHING
            )
            SELECT count(*) FROM moved
            """,
            self._relay,
            self.epoch,
            last_seq,
            window.since,
            held,
            timeout=DEADLINE_SECONDS,
        )
        if moved != 1:
            raise LostEpochError

    async def close_window(self) -> None:
        """Begin the next window where this one ends."""
        await self._change(
            "snapshot_from = coalesce(snapshot_to, snapshot_from), snapshot_to = NULL,"
            " last_seq = $3",
            0,
        )

    async def _change(self, change: str, last_seq: int) -> None:
        moved = await self._conn.execute(
            f"UPDATE kit.relay_cursors SET {change} WHERE relay = $1 AND epoch = $2",  # noqa: S608 - `change` is one of two constants above
            self._relay,
            self.epoch,
            last_seq,
            timeout=DEADLINE_SECONDS,
        )
        if moved != "UPDATE 1":
            raise LostEpochError

    async def held_topics(self) -> list[str]:
        """Return the topics that have rows put aside."""
        rows = await self._conn.fetch(
            "SELECT DISTINCT topic FROM kit.outbox_held", timeout=DEADLINE_SECONDS
        )
        return [row["topic"] for row in rows]

    async def held_page(self, topic: str, most: int) -> "list[asyncpg.Record]":
        """Return the first rows put aside of a topic, in order."""
        return await self._conn.fetch(
            """
            SELECT seq, topic, record_key, record_value, header_names, header_values
              FROM kit.outbox_held
             WHERE topic = $1
             ORDER BY seq
             LIMIT $2
            """,
            topic,
            most,
            timeout=DEADLINE_SECONDS,
        )

    async def release(self, topic: str, last_seq: int) -> None:
        """Forget the topic's rows up to `last_seq`: Kafka has them now."""
        await self._conn.execute(
            "DELETE FROM kit.outbox_held WHERE topic = $1 AND seq <= $2",
            topic,
            last_seq,
            timeout=DEADLINE_SECONDS,
        )
