"""One relay session: a lock, an epoch, a producer. It ends with the first failure."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from servicekit import failpoint
from servicekit.observing import trace
from servicekit.observing.log import logger
from servicekit.saying import record_headers
from servicekit.saying.housekeeping import Housekeeping
from servicekit.saying.relay_cursor import Cursor, Page, Positions, Window
from servicekit.saying.relay_sender import Sender, Sent
from servicekit.saying.relay_watch import Ranges, Watch

if TYPE_CHECKING:
    import asyncpg

LOOK_SECONDS = 5.0  # between looks whether Kafka takes a held topic now, and who else wrote to ours
_IDLE_FIRST, _IDLE_MOST = 0.005, 0.1  # seconds between looks; a commit in this process wakes it
_log = logger(__name__)


@dataclass(slots=True)
class Progress:
    """What a relay's sessions tell and are told, one after the other."""

    state: str = "starting"
    sent: int = 0
    held: set[str] = field(default_factory=set)  # topics whose rows wait in kit.outbox_held
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Flight:
    """A page on its way to Kafka."""

    page: Page
    answer: "asyncio.Task[Sent]"


class Session:
    """Sends windows, page after page; the next one is read and encoded while one is on its way."""

    def __init__(
        self,
        progress: Progress,
        cursor: Cursor,
        sender: Sender,
        watch: Watch,
        housekeeping: Housekeeping,
    ) -> None:
        """Work with what this session alone has; `progress` outlives it."""
        self._progress = progress
        self._cursor = cursor
        self._sender = sender
        self._watch = watch
        self._housekeeping = housekeeping
        self._looked_at: set[str] = set()  # topics whose records this session has looked at
        self._look_at = 0.0
        self._flight: _Flight | None = None

    async def run(self) -> None:
        """Send until closed.

        Raises:
            RestoredError: Kafka has a record of ours that this database does not know.
        """
        self._progress.held = set(await self._cursor.held_topics())
        _log.info("relay_started", epoch=self._cursor.epoch, held=sorted(self._progress.held))
        await self._look_at_topics(await self._sender.all_topics())
        try:
            await self._send_windows()
        finally:
            if self._flight is not None:
                self._flight.answer.cancel()

    async def _send_windows(self) -> None:
        idle = _IDLE_FIRST
        while not self._progress.closing.is_set():
            self._progress.wake.clear()
            await self._look_around()
            window = await self._cursor.look()
            self._progress.state = "running"
            if window is not None:
                await self._send_window(window)
                idle = _IDLE_FIRST
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._progress.wake.wait(), idle)
            idle = min(idle * 2, _IDLE_MOST)

    async def _send_window(self, window: Window) -> None:
        """Send a window's pages; the cursor follows each once Kafka has it."""
        await failpoint.reach("relay.window_opened")
        after, is_last = window.last_seq, False
        while not is_last and not self._progress.closing.is_set():
            page = await self._cursor.page(window, after)
            await failpoint.reach("relay.page_read")
            after, is_last = page.last_seq, page.is_last
            await self._find({row["topic"] for row in page.rows})
            batches = self._sender.encode(page.rows, self._progress.held)
            before, sent = self._flight, await self._landed()
            # A topic that refused the page before gets nothing of this one either.
            answer = _traced(page.rows, self._sender.send(batches.without(self._progress.held)))
            self._flight = _Flight(page, _task(answer))
            if before is not None and sent is not None:
                await self._move(window, before.page, sent)
        last, sent = self._flight, await self._landed()
        self._flight = None
        if last is not None and sent is not None:
            await self._move(window, last.page, sent)
            if is_last:
                await failpoint.reach("relay.window_closed")

    async def _landed(self) -> Sent | None:
        """Wait until Kafka has the page on its way; None when there is none."""
        if self._flight is None:
            return None
        sent = await self._flight.answer
        await failpoint.reach("relay.page_acked")
        self._progress.sent += sent.rows
        self._hold(sent.refused)
        return sent

    async def _move(self, window: Window, page: Page, sent: Sent) -> None:
        """Move the cursor past a page that landed; then look at what lay among its records."""
        held = self._progress.held
        strange, positions = self._strange(sent)
        aside = [row["seq"] for row in page.rows if row["topic"] in held] if held else []
        await self._cursor.move(window, page, positions, aside)
        await failpoint.reach("relay.cursor_moved")
        await self._examine(strange, sent.positions)

    def _strange(self, sent: Sent) -> tuple[Ranges, Positions]:
        """Return what lies among our records in state topics, and what is known without a look."""
        strange = {tp: r for tp, r in sent.strange.items() if self._watch.is_state(tp.topic)}
        return strange, {tp: end for tp, end in sent.positions.items() if tp not in strange}

    async def _examine(self, strange: Ranges, ends: Positions) -> None:
        """Look at what others wrote, and know its partitions up to these ends."""
        if strange:
            await self._watch.look(strange)
            await self._cursor.place({tp: ends[tp] for tp in strange})

    def _hold(self, topics: set[str]) -> None:
        if new := topics - self._progress.held:
            self._progress.held |= new
            _log.warning("relay_topics_held", topics=sorted(new))

    async def _find(self, topics: set[str]) -> None:
        """Hold the topics that are not there; look at those that are new."""
        wanted = topics - self._progress.held
        found = await self._sender.found(wanted)
        self._hold(wanted - found)
        if new := found - self._looked_at:
            await self._look_at_topics({topic: self._sender.counts[topic] for topic in new})

    async def _look_at_topics(self, counts: Mapping[str, int]) -> bool:
        """Look, once a session, at all that lies in these topics behind what we know of them.

        Those that we may not read are held; False where there is one.
        """
        ours = {topic: count for topic, count in counts.items() if self._watch.owns(topic)}
        known = await self._cursor.positions(list(ours))
        ends = await self._watch.catch_up(ours, known)
        self._sender.ends |= ends
        await self._cursor.place({tp: end for tp, end in ends.items() if known.get(tp) != end})
        refused = ours.keys() - {tp.topic for tp in ends}
        self._hold(refused)
        self._looked_at |= counts.keys() - refused
        return not refused

    async def _look_around(self) -> None:
        """Every few seconds: release held topics, see who else wrote to our states, keep house."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        await self._release_held()
        strange = await self._watch.moved(self._sender.ends)
        ends = {tp: end for tp, (_, end) in strange.items()}
        await self._examine(strange, ends)
        self._sender.ends |= ends
        await self._housekeeping.keep(self._cursor.conn)

    async def _release_held(self) -> None:
        """Send what was put aside for topics that are there by now."""
        for topic in sorted(await self._sender.found(set(self._progress.held))):
            if not await self._look_at_topics({topic: self._sender.counts[topic]}):
                continue
            while rows := await self._cursor.held_page(topic):
                sent = await self._sender.send(self._sender.encode(rows, set()))
                if sent.refused:
                    break
                strange, positions = self._strange(sent)
                await self._cursor.release(topic, rows[-1]["seq"], positions)
                await self._examine(strange, sent.positions)
                self._progress.sent += sent.rows
                if self._progress.closing.is_set():
                    return
            else:
                self._progress.held.discard(topic)
                _log.info("relay_topic_released", topic=topic)


async def _traced(rows: Sequence["asyncpg.Record"], sending: Coroutine[Any, Any, Sent]) -> Sent:
    causes = (record_headers.traceparent(row["headers"]) for row in rows)
    with trace.batch("relay page", SpanKind.PRODUCER, causes):
        return await sending


def _task(sending: Coroutine[Any, Any, Sent]) -> "asyncio.Task[Sent]":
    task = asyncio.create_task(sending)
    # Whoever ended the session has another error to tell.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
