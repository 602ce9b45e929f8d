"""From the outbox to Kafka: every row once in order, duplicates only after a crash.

Rows are read in snapshot windows: visible now and not visible at the last window's end, ordered
by seq. A cursor over seq alone loses rows whose transaction commits late, and one over
(txid, seq) reorders them (docs/adr/0004). The cursor moves only after Kafka has acknowledged.
Rows for a topic that Kafka does not take yet are put aside, so that they hold nobody else up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError

from servicekit import backoff, failpoint
from servicekit.observing import metrics
from servicekit.observing.log import logger
from servicekit.saying.housekeeping import Housekeeping
from servicekit.saying.relay_cursor import Cursor, ForeignCursorError, LostEpochError
from servicekit.saying.relay_history import History
from servicekit.saying.relay_sender import sending
from servicekit.saying.relay_session import Progress, Session
from servicekit.saying.relay_watch import RestoredError, Watch, reading
from servicekit.tx import TRANSIENT_DRIVER_ERRORS

if TYPE_CHECKING:
    from servicekit.tx import Connection

_STANDBY_SECONDS = 1.0  # between tries for the lock
_STOPPED_SECONDS = 5.0  # between looks whether an operator has reconciled the database
_log = logger(__name__)


class Relay:
    """Sends one database's outbox; one at a time over all processes, by an advisory lock."""

    def __init__(
        self,
        *,
        name: str,
        connect: Callable[[], Awaitable["Connection"]],
        client: Mapping[str, Any],
        source: str | None = None,
        keep_days: int = 7,
    ) -> None:
        """`connect` opens the session that holds the lock; `client` is how to reach Kafka.

        `source` is the CloudEvents source of what the database says, `/services/<name>`; rows
        are kept for `keep_days`.
        """
        self._progress = Progress()
        self._name = name
        self._connect = connect
        self._client = client
        self._source = source or f"/services/{name}"
        self._housekeeping = Housekeeping(keep_days)

    @property
    def state(self) -> str:
        """`running`, `standing by`, or what keeps it from sending."""
        return self._progress.state

    @property
    def sent(self) -> int:
        """How many rows Kafka has acknowledged since the process began."""
        return self._progress.sent

    @property
    def held(self) -> list[str]:
        """The topics that Kafka does not take (yet); their events wait in kit.outbox_held."""
        return sorted(self._progress.held)

    def wake(self) -> None:
        """Look at the outbox now: something was committed."""
        self._progress.wake.set()

    def close(self) -> None:
        """End after the page at hand."""
        self._progress.closing.set()
        self._progress.wake.set()

    async def run(self) -> None:
        """Send until closed; any failure ends the producer and starts again from the cursor.

        On a database that went back to an earlier time, or came from another cluster, it sends
        nothing and says so in `state`: nobody but an operator can tell what was said since.
        """
        attempt = 0
        while not self._progress.closing.is_set():
            before = self.sent
            try:
                await self._session()
            except (ForeignCursorError, RestoredError) as error:
                await self._stop(error)
            except (KafkaError, LostEpochError, *TRANSIENT_DRIVER_ERRORS) as error:
                attempt = 1 if self.sent > before else attempt + 1
                self._progress.state = f"retrying: {type(error).__name__}"
                metrics.add("relay_retries", 1)
                _log.warning("relay_retried", attempt=attempt, error=type(error).__name__)
                await self._pause(backoff.delay(attempt))
            except Exception as error:  # noqa: BLE001 - a relay that ended would end the service
                attempt += 1
                self._progress.state = f"failing: {type(error).__name__}, see the log"
                _log.error("relay_failed", attempt=attempt, exc_info=error)
                await self._pause(backoff.delay(attempt))

    async def _stop(self, error: ForeignCursorError | RestoredError) -> None:
        """Say why nothing is sent, and wait before looking whether it was mended."""
        what = str(error) or "the cursor was made on another PostgreSQL cluster"
        state = (
            f"stopped: the database was restored ({what}); nothing is sent until an operator runs "
            f"`oncomentor restore reconcile {self._name}` (docs/adr/0010)"
        )
        if self.state != state:
            _log.error("relay_stopped", reason=state)
        self._progress.state = state
        await self._pause(_STOPPED_SECONDS)

    async def _session(self) -> None:
        conn = await self._connect()
        try:
            cursor = Cursor(conn, self._name)
            if await self._lock(cursor):
                await cursor.take_over()
                await failpoint.reach("relay.took_over")
                await self._work(cursor)
        finally:
            conn.terminate()

    async def _lock(self, cursor: Cursor) -> bool:
        """Stand by until the lock is ours; False when closed before."""
        while not self._progress.closing.is_set():
            if await cursor.lock():
                return True
            self._progress.state = "standing by"
            self._progress.held.clear()  # the relay at work knows
            await self._pause(_STANDBY_SECONDS)
        return False

    async def _work(self, cursor: Cursor) -> None:
        async with AsyncExitStack() as stack:
            reader = await stack.enter_async_context(reading(self._client, self._source))
            sender = await stack.enter_async_context(sending(self._client))
            watch = Watch(reader, History(cursor), self._name)
            session = Session(self._progress, cursor, sender, watch, self._housekeeping)
            await session.run()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._progress.closing.wait(), seconds)
