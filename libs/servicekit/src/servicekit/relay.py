"""From the outbox to Kafka: every row once in order, duplicates only after a crash.

Rows are read in snapshot windows: visible now and not visible at the last window's end, ordered
by seq. A cursor over seq alone loses rows whose transaction commits late, and one over
(txid, seq) reorders them (docs/adr/0004). The cursor moves only after Kafka has acknowledged.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from servicekit import backoff
from servicekit.log import logger
from servicekit.tx import TRANSIENT_DRIVER_ERRORS

if TYPE_CHECKING:
    from servicekit.tx import Connection

PAGE = 2_000  # rows sent before the cursor moves; a crash repeats at most this many
_LOCK = 0x0CC0_0002  # advisory lock per database: one relay sends, others stand by
_ACK_SECONDS = 30.0  # idempotent batches never expire by themselves, so the wait must
_IDLE_FIRST, _IDLE_MOST = 0.005, 0.1  # seconds between looks; a commit in this process wakes it
_log = logger(__name__)


class _LostEpochError(Exception):
    """Another relay has taken over."""


class Relay:
    """Sends one database's outbox; one at a time over all processes, by an advisory lock."""

    def __init__(
        self,
        *,
        name: str,
        connect: Callable[[], Awaitable["Connection"]],
        producer: dict[str, Any],
    ) -> None:
        """`connect` opens the session that holds the lock; `producer` are the client's arguments."""
        self.state = "starting"
        self.sent = 0
        self._name = name
        self._connect = connect
        self._producer_arguments = producer
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()

    def wake(self) -> None:
        """Look at the outbox now: something was committed."""
        self._wake.set()

    def close(self) -> None:
        """End after the page at hand."""
        self._closing.set()
        self._wake.set()

    async def run(self) -> None:
        """Send until closed; any failure ends the producer and starts again from the cursor."""
        attempt = 0
        while not self._closing.is_set():
            before = self.sent
            try:
                await self._session()
            except (KafkaError, _LostEpochError, *TRANSIENT_DRIVER_ERRORS) as error:
                attempt = 1 if self.sent > before else attempt + 1
                self.state = f"retrying: {type(error).__name__}"
                _log.warning("relay_retried", attempt=attempt, error=type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), backoff.delay(attempt))

    async def _session(self) -> None:
        conn = await self._connect()
        try:
            while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                self.state = "standing by"
                if self._closing.is_set():
                    return
                await self._idle(1.0)
            epoch = await self._take_over(conn)
            producer = AIOKafkaProducer(**self._producer_arguments)
            await producer.start()
            try:
                await self._send_all(conn, producer, epoch)
            finally:
                with suppress(KafkaError, TimeoutError):
                    await asyncio.wait_for(producer.stop(), 5)
        finally:
            conn.terminate()

    async def _take_over(self, conn: "Connection") -> int:
        """Return our epoch; rows of the cursor written under an older one are refused."""
        epoch: int = await conn.fetchval(
            """
            INSERT INTO kit.relay_cursors AS c
                   (relay, snapshot_from, last_seq, epoch, system_identifier)
            VALUES ($1, '1:1:', 0, 1, (SELECT system_identifier FROM pg_control_system()))
            ON CONFLICT (relay) DO UPDATE SET epoch = c.epoch + 1
            RETURNING epoch
            """,
            self._name,
        )
        _log.info("relay_started", epoch=epoch)
        return epoch

    async def _send_all(self, conn: "Connection", producer: AIOKafkaProducer, epoch: int) -> None:
        idle = _IDLE_FIRST
        while not self._closing.is_set():
            self._wake.clear()
            sent = await self._send_window(conn, producer, epoch)
            self.state = "running"
            idle = _IDLE_FIRST if sent else min(idle * 2, _IDLE_MOST)
            if not sent:
                await self._idle(idle)

    async def _send_window(self, conn: "Connection", producer: AIOKafkaProducer, epoch: int) -> int:
        """Send what became visible since the last window, page by page; return how many rows."""
        opened = await conn.fetchrow(
            """
            UPDATE kit.relay_cursors
               SET snapshot_to = coalesce(snapshot_to, pg_current_snapshot())
             WHERE relay = $1 AND epoch = $2
               AND (snapshot_to IS NOT NULL
                    OR snapshot_from::text <> pg_current_snapshot()::text)
            RETURNING snapshot_from::text AS since, snapshot_to::text AS until, last_seq
            """,
            self._name,
            epoch,
        )
        if opened is None:
            return 0
        total, last_seq = 0, opened["last_seq"]
        while rows := await conn.fetch(
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
            last_seq,
            opened["since"],
            opened["until"],
            PAGE,
        ):
            await self._send_page(producer, rows)
            last_seq = rows[-1]["seq"]
            total += len(rows)
            await self._move(conn, epoch, "last_seq = $3", last_seq)
        await self._move(
            conn,
            epoch,
            "snapshot_from = coalesce(snapshot_to, snapshot_from), snapshot_to = NULL, last_seq = $3",
            0,
        )
        return total

    async def _send_page(self, producer: AIOKafkaProducer, rows: list[asyncpg.Record]) -> None:
        acks = [
            await producer.send(
                row["topic"],
                key=row["record_key"],
                value=row["record_value"],
                headers=list(zip(row["header_names"], row["header_values"], strict=True)),
            )
            for row in rows
        ]
        await asyncio.wait_for(asyncio.gather(*acks), _ACK_SECONDS)
        self.sent += len(rows)

    async def _move(self, conn: "Connection", epoch: int, change: str, last_seq: int) -> None:
        moved = await conn.execute(
            f"UPDATE kit.relay_cursors SET {change} WHERE relay = $1 AND epoch = $2",  # noqa: S608 - `change` is one of two constants above
            self._name,
            epoch,
            last_seq,
        )
        if moved != "UPDATE 1":
            raise _LostEpochError

    async def _idle(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
