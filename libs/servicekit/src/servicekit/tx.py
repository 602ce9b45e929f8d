"""One PostgreSQL transaction and what a handler may do in it."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from oncomentor_contracts.event import Event
from servicekit.errors import TransientError
from servicekit.observing import trace
from servicekit.saying import outbox
from servicekit.saying.outbox import NO_CAUSE, Cause

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

TRANSIENT_DRIVER_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection was cut in the middle of an answer
    asyncpg.PostgresConnectionError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.TooManyConnectionsError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
)
"""What PostgreSQL or the way to it may recover from by itself."""


@dataclass(slots=True)
class Tx:
    """The open transaction a handler works in: its connection, its instant, its cause.

    Handlers read `now` instead of a clock, write state through `conn` (in `store.py` alone),
    set timers, and return the events to say. They cannot commit or publish.
    """

    conn: "Connection"
    now: datetime
    source: str = "/services/test"
    cause: Cause = NO_CAUSE
    wake: bool = False
    """Whether relay and timers should look once this is committed; too often does no harm."""
    cancelled: dict[tuple[str, str], datetime | None] = field(default_factory=dict)
    """Timers cancelled here and their leases: a job that cancels its own has not lost it."""

    async def say(self, events: Sequence[Event], cause: Cause | None = None) -> None:
        """Append events to the outbox (the kernel does this with what a handler returns)."""
        await outbox.append(self, [(event, cause or self.cause) for event in events])

    async def schedule(
        self, kind: str, key: str, due_at: datetime, payload: Mapping[str, Any] | None = None
    ) -> None:
        """Set or move the timer (kind, key); a job or effect of that kind takes it when due.

        A timer that is being worked on while it is set again fires again afterwards.
        """
        await self.conn.execute(
            """
            INSERT INTO kit.timers AS t (kind, key, due_at, payload, traceparent, correlationid,
                                         causationid)
            VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7)
            ON CONFLICT (kind, key) DO UPDATE
               SET due_at = excluded.due_at, payload = excluded.payload, attempts = 0,
                   version = t.version + 1, last_error = NULL,
                   traceparent = excluded.traceparent, correlationid = excluded.correlationid,
                   causationid = excluded.causationid
            """,
            kind,
            key,
            due_at,
            json.dumps(payload or {}),
            self.cause.traceparent,
            self.cause.correlationid,
            self.cause.causationid,
        )
        self.wake = True

    async def cancel(self, kind: str, key: str) -> None:
        """Take the timer (kind, key) away; nothing happens where there is none."""
        claimed_until: datetime | None = await self.conn.fetchval(
            "DELETE FROM kit.timers WHERE kind = $1 AND key = $2 RETURNING claimed_until", kind, key
        )
        self.cancelled.setdefault((kind, key), claimed_until)


class Database:
    """One role's connections to the service's database, and transactions on them."""

    def __init__(self, pool: "Pool", *, source: str, committed: Callable[[], None]) -> None:
        """Take the pool of one role; `committed` hears of commits that said or set something."""
        self.pool = pool
        self._source = source
        self._committed = committed

    @asynccontextmanager
    async def transaction(
        self, *, cause: Cause | None = None, institution_id: str | None = None
    ) -> AsyncIterator[Tx]:
        """Open a transaction that commits when the block ends and rolls back when it raises.

        `institution_id` binds row-level security to one center for this transaction alone.

        Raises:
            TransientError: PostgreSQL is away or asked to try again; the outcome of the commit
                itself may be unknown, so only repeat work that is fenced or keyed.
        """
        try:
            async with self.pool.acquire() as conn, conn.transaction():
                if institution_id is not None:
                    await conn.execute(
                        "SELECT set_config('app.institution', $1, true)", institution_id
                    )
                cause = cause or Cause(traceparent=trace.current())
                tx = Tx(conn, datetime.now(UTC), self._source, cause)
                yield tx
        except TRANSIENT_DRIVER_ERRORS as error:
            raise TransientError(f"PostgreSQL: {type(error).__name__}: {error}") from error

        if tx.wake:
            self._committed()
