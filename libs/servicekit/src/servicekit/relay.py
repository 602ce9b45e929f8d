"""From the outbox to Kafka: every row once in order, duplicates only after a crash.

Rows are read in snapshot windows: visible now and not visible at the last window's end, ordered
by seq. A cursor over seq alone loses rows whose transaction commits late, and one over
(txid, seq) reorders them (docs/adr/0004). The cursor moves only after Kafka has acknowledged.
Rows for a topic that Kafka does not take yet are put aside, so that they hold nobody else up.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from servicekit import backoff, failpoint
from servicekit.log import logger
from servicekit.relay_cursor import Cursor, ForeignCursorError, LostEpochError
from servicekit.tx import TRANSIENT_DRIVER_ERRORS

if TYPE_CHECKING:
    from servicekit.tx import Connection

PAGE = 2_000  # rows sent before the cursor moves; a crash repeats at most this many
HELD_SECONDS = 5.0  # between looks whether Kafka takes a held topic now
_STANDBY_SECONDS = 1.0  # between tries for the lock
_ACK_SECONDS = 30.0  # idempotent batches never expire by themselves, so the wait must
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_IDLE_FIRST, _IDLE_MOST = 0.005, 0.1  # seconds between looks; a commit in this process wakes it
# An idle relay still begins a window this often: behind an old snapshot every look would pass
# again over the rows sent since the oldest transaction of that time began.
_WINDOW_SECONDS = 60.0
_RESTORED = (
    "stopped: the database was restored from elsewhere; end every writer, run UPDATE kit.outbox "
    "SET txid = DEFAULT and DELETE FROM kit.relay_cursors on it, and start again: what the outbox "
    "keeps is sent once more, and consumers drop what they have (docs/adr/0004)"
)
_log = logger(__name__)


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
        self._held: set[str] = set()
        self._known: set[str] = set()  # topics that this session's producer has found
        self._release_at = 0.0
        self._window_at = 0.0

    @property
    def held(self) -> list[str]:
        """The topics that Kafka does not take (yet); their events wait in kit.outbox_held."""
        return sorted(self._held)

    def wake(self) -> None:
        """Look at the outbox now: something was committed."""
        self._wake.set()

    def close(self) -> None:
        """End after the page at hand."""
        self._closing.set()
        self._wake.set()

    async def run(self) -> None:
        """Send until closed; any failure ends the producer and starts again from the cursor.

        On a database that was restored from another cluster it sends nothing and says so in
        `state` until it is closed: nobody but an operator can tell what was sent.
        """
        attempt = 0
        while not self._closing.is_set():
            before = self.sent
            try:
                await self._session()
            except ForeignCursorError:
                self.state = _RESTORED
                _log.error("relay_stopped", reason=_RESTORED)
                await self._closing.wait()
            except (KafkaError, LostEpochError, *TRANSIENT_DRIVER_ERRORS) as error:
                attempt = 1 if self.sent > before else attempt + 1
                self.state = f"retrying: {type(error).__name__}"
                _log.warning("relay_retried", attempt=attempt, error=type(error).__name__)
                await self._pause(backoff.delay(attempt))
            except Exception as error:  # noqa: BLE001 - a relay that ended would end the service
                attempt += 1
                self.state = f"failing: {type(error).__name__}, see the log"
                _log.error("relay_failed", attempt=attempt, exc_info=error)
                await self._pause(backoff.delay(attempt))

    async def _session(self) -> None:
        conn = await self._connect()
        try:
            cursor = Cursor(conn, self._name)
            if not await self._lock(cursor):
                return
            await cursor.take_over()
            await failpoint.reach("relay.took_over")
            self._held = set(await cursor.held_topics())
            _log.info("relay_started", epoch=cursor.epoch, held=self.held)
            async with self._producing() as producer:
                await self._send_all(cursor, producer)
        finally:
            conn.terminate()

    async def _lock(self, cursor: Cursor) -> bool:
        """Stand by until the lock is ours; False when closed before."""
        while not self._closing.is_set():
            if await cursor.lock():
                return True
            self.state = "standing by"
            self._held.clear()  # the relay at work knows
            await self._pause(_STANDBY_SECONDS)
        return False

    @asynccontextmanager
    async def _producing(self) -> AsyncIterator[AIOKafkaProducer]:
        """Yield a producer of this session's own; nothing of it is sent once this has ended."""
        self._known.clear()
        producer = AIOKafkaProducer(**self._producer_arguments)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await producer.start()
            yield producer
            async with asyncio.timeout(_STOP_SECONDS):
                await producer.stop()
        except BaseException as error:
            self.state = f"ending the producer: {type(error).__name__}"
            await _abandon(producer)
            raise

    async def _send_all(self, cursor: Cursor, producer: AIOKafkaProducer) -> None:
        idle = _IDLE_FIRST
        self._window_at = self._release_at = 0.0
        while not self._closing.is_set():
            self._wake.clear()
            await self._release_held(cursor, producer)
            sent = await self._send_window(cursor, producer)
            self.state = "running"
            idle = _IDLE_FIRST if sent else min(idle * 2, _IDLE_MOST)
            if not sent:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), idle)

    async def _send_window(self, cursor: Cursor, producer: AIOKafkaProducer) -> int:
        """Deal with what became visible since the last window; return how many rows that were."""
        now = asyncio.get_running_loop().time()
        if now < self._window_at and not await cursor.has_news():
            return 0
        self._window_at = now + _WINDOW_SECONDS
        window = await cursor.open_window()
        await failpoint.reach("relay.window_opened")
        total, last_seq = 0, window.last_seq
        while rows := await cursor.page(window, last_seq, PAGE):
            await failpoint.reach("relay.page_read")
            held = await self._send_page(producer, rows)
            await failpoint.reach("relay.page_acked")
            last_seq = rows[-1]["seq"]
            total += len(rows)
            await cursor.move(window, last_seq, [r["seq"] for r in rows if r["topic"] in held])
            await failpoint.reach("relay.cursor_moved")
            if new := held - self._held:
                self._held |= new
                _log.warning("relay_topics_held", topics=sorted(new))
        await cursor.close_window()
        await failpoint.reach("relay.window_closed")
        return total

    async def _send_page(self, producer: AIOKafkaProducer, rows: list[asyncpg.Record]) -> set[str]:
        """Send the rows whose topics take them; return the topics whose rows must be put aside.

        A topic with rows put aside gets no newer ones before them.
        """
        topics = {row["topic"] for row in rows}
        held = topics & self._held
        held |= topics - held - await self._found(producer, topics - held)
        return held | await self._send(producer, [row for row in rows if row["topic"] not in held])

    async def _release_held(self, cursor: Cursor, producer: AIOKafkaProducer) -> None:
        """Every few seconds send what was put aside for topics that are there by now."""
        now = asyncio.get_running_loop().time()
        if not self._held or now < self._release_at:
            return
        self._release_at = now + HELD_SECONDS
        for topic in sorted(await self._found(producer, self._held)):
            while rows := await cursor.held_page(topic, PAGE):
                if self._closing.is_set() or await self._send(producer, rows):
                    break
                await cursor.release(topic, rows[-1]["seq"])
            else:
                self._held.discard(topic)
                _log.info("relay_topic_released", topic=topic)

    async def _found(self, producer: AIOKafkaProducer, topics: set[str]) -> set[str]:
        """Return which of these topics there are for us.

        It asks for everything we may see: unlike asking for one topic that is not there, which
        the client repeats until its request timeout, that is one quick answer, and silence can't
        be taken for the absence of a topic.
        """
        if not topics <= self._known:
            async with asyncio.timeout(_ACK_SECONDS):
                metadata = await producer.client.fetch_all_metadata()
            self._known |= {t for t in topics if metadata.partitions_for_topic(t)}
        return topics & self._known

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> set[str]:
        """Send rows in order and wait for every acknowledgement; return topics we may not write."""
        async with asyncio.timeout(_ACK_SECONDS):
            acks = [
                await producer.send(
                    row["topic"],
                    key=row["record_key"],
                    value=row["record_value"],
                    headers=list(zip(row["header_names"], row["header_values"], strict=True)),
                )
                for row in rows
            ]
            answers = await asyncio.gather(*acks, return_exceptions=True)
        refused = set()
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, TopicAuthorizationFailedError):
                refused.add(row["topic"])
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self.sent += 1
        self._known -= refused
        return refused

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """End a producer without sending what it still has, however long that takes.

    Its `stop()` flushes first, for as long as the broker is away, and a limit on that wait
    would leave its sender alive: batches of now would follow newer ones of the next producer.
    So the sender is cancelled; it then waits for its requests under way, which fail at once
    when their connections close, or when they have just connected again, in the next turn.
    The client goes last: without its metadata task a failed request would wait for ever.
    """
    sender = producer._sender.sender_task  # noqa: SLF001 - aiokafka 0.14 has no public way
    if sender is not None:
        sender.cancel()
        while not sender.done():
            for connection in list(producer.client._conns.values()):  # noqa: SLF001 - as above
                connection.close()
            await asyncio.wait({sender}, timeout=0.1)
    await producer.client.close()
    producer._closed = True  # noqa: SLF001 - or it warns that nobody stopped it
