"""Making the outbox's days ahead, dropping them behind, and forgetting what nobody asks for."""

import time
from typing import TYPE_CHECKING

import asyncpg

from servicekit.observing.log import logger

if TYPE_CHECKING:
    from servicekit.tx import Connection

_EVERY_SECONDS = 600.0
_DAYS_AHEAD = 2
# Longer than ingress topics keep a record (7 days) plus the longest outage that we bear (14): what
# Kafka may still bring again is known to have been applied.
_INBOX_DAYS = 30
_SWEEP = 5_000  # rows of the inbox at once
_log = logger(__name__)


class Housekeeping:
    """What whoever holds the relay's lock does beside sending, every ten minutes."""

    def __init__(self, keep_days: int) -> None:
        """Keep sent rows of the outbox for so many whole days, for audits and restores."""
        self._keep_days = keep_days
        self._next_at = 0.0

    async def keep(self, conn: "Connection") -> None:
        """Make and drop days, sweep the inbox; a table that is busy waits for the next time."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + _EVERY_SECONDS
        try:
            made = await conn.fetchval("SELECT kit.make_outbox_days($1)", _DAYS_AHEAD)
            dropped = await conn.fetchval("SELECT kit.drop_outbox_days($1)", self._keep_days)
            swept = await self._sweep(conn)
        except asyncpg.LockNotAvailableError:
            _log.info("housekeeping_put_off")
            return
        if made or dropped or swept:
            _log.info("housekeeping_done", made=made, dropped=dropped, swept=swept)

    async def _sweep(self, conn: "Connection") -> int:
        total = 0
        while True:
            swept: int = await conn.fetchval(
                """
                WITH old AS (
                    SELECT ctid FROM kit.inbox
                     WHERE received_at < now() - make_interval(days => $1)
                     LIMIT $2
                ), gone AS (DELETE FROM kit.inbox USING old WHERE inbox.ctid = old.ctid RETURNING 1)
                SELECT count(*) FROM gone
                """,
                _INBOX_DAYS,
                _SWEEP,
            )
            total += swept
            if swept < _SWEEP:
                return total
