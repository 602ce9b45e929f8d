"""What gauges show: read every few seconds by the service itself, however often it is asked."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import asyncpg
import psutil
from aiokafka import TopicPartition

from servicekit.errors import TransientError
from servicekit.hearing import quarantine
from servicekit.observing import metrics
from servicekit.observing.log import logger
from servicekit.saying.relay_cursor import Window

if TYPE_CHECKING:
    from servicekit.hearing.consumer import Consumer
    from servicekit.process.running import Running
    from servicekit.tx import Database, Tx

_EVERY_SECONDS = 5.0
_LOOP_SECONDS = 0.25
_READ_SECONDS = 4.0
_MOST_ROWS = 100_000
_log = logger(__name__)
_DATABASE: tuple[metrics.GaugeName, ...] = (
    "relay_backlog", "relay_oldest", "relay_held", "quarantine_records",
    "timers_due", "timers_working", "timers_failing", "timers_late",
)  # fmt: skip


class Gauges:
    """Reads everything a running service shows, and measures how long its event loop is held."""

    def __init__(self, running: "Running", databases: Mapping[str, "Database"]) -> None:
        """`databases` by the name of their pool."""
        self._running = running
        self._databases = databases
        self._process = psutil.Process()
        self._sent = 0
        self._still: dict[TopicPartition, tuple[int, float]] = {}

    async def run(self) -> None:
        """Show until cancelled."""
        metrics.show("process_started", [(self._process.create_time(), {})])
        while True:
            try:
                await self._show()
            except Exception as error:  # noqa: BLE001 - a figure must not end a service that works
                _log.error("gauges_failed", exc_info=error)
            await self._measure_loop()

    async def _show(self) -> None:
        self._show_process()
        self._show_relay()
        self._show_consumers()
        await self._show_database()
        health = await self._running.health()
        metrics.show("ready", [(float(not health.missing), {})])

    async def _measure_loop(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _EVERY_SECONDS
        longest = 0.0
        while (before := loop.time()) < until:
            await asyncio.sleep(_LOOP_SECONDS)
            longest = max(longest, loop.time() - before - _LOOP_SECONDS)
        metrics.show("event_loop_lag", [(longest, {})])

    def _show_process(self) -> None:
        metrics.show("process_memory", [(self._process.memory_info().rss, {})])
        pools = [(name, database.pool) for name, database in self._databases.items()]
        used = [(p.get_size() - p.get_idle_size(), {"pool": name}) for name, p in pools]
        metrics.show("database_connections", used)
        most = [(p.get_max_size(), {"pool": name}) for name, p in pools]
        metrics.show("database_connections_most", most)

    def _show_relay(self) -> None:
        relay = self._running.relay
        metrics.add("relay_sent", relay.sent - self._sent)
        self._sent = relay.sent
        metrics.show("relay_state", [(1, {"state": relay.state.partition(":")[0]})])

    def _show_consumers(self) -> None:
        now, consumers = time.monotonic(), self._running.consumers
        metrics.show("caught_up", [(float(self._running.timers.opened.is_set()), {})])
        ticks = [(now - c.polling.ticked_at, {"group": c.group}) for c in consumers]
        metrics.show("consumer_tick_age", ticks)
        states = [
            (count, {"group": consumer.group, "state": state})
            for consumer in consumers
            for state, count in Counter(lane.state for lane in consumer.lanes.values()).items()
        ]
        metrics.show("consumer_partitions", states)
        lags = {
            (consumer.group, topic): value
            for consumer in consumers
            for topic, value in self._lags(consumer)
        }
        labelled = [(v, {"group": group, "topic": topic}) for (group, topic), v in lags.items()]
        metrics.show("consumer_lag", [(lag, labels) for (lag, _), labels in labelled])
        metrics.show("consumer_oldest", [(age, labels) for (_, age), labels in labelled])

    def _lags(self, consumer: "Consumer") -> Iterator[tuple[str, tuple[int, float]]]:
        """Yield (topic, (records not applied, age of the oldest)) of each assigned topic."""
        topics: dict[str, tuple[int, float]] = {}
        for tp, lane in consumer.lanes.items():
            end, position = consumer.end_of(tp), lane.next_offset
            lag = 0 if end is None or position is None else max(0, end - position)
            age = self._age(tp, position or 0, lane.oldest_at) if lag else 0.0
            if not lag:
                self._still.pop(tp, None)
            lag_so_far, oldest = topics.get(tp.topic, (0, 0.0))
            topics[tp.topic] = (lag_so_far + lag, max(oldest, age))
        yield from topics.items()

    def _age(self, tp: TopicPartition, position: int, oldest_at: float | None) -> float:
        """Return a partition's age: of the record at hand, else since it stands still."""
        seen, since = self._still.get(tp, (-1, 0.0))
        if seen != position:
            since = time.time()
            self._still[tp] = (position, since)
        return max(0.0, time.time() - min(since, oldest_at or since))

    async def _show_database(self) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS), self._running.database.transaction() as tx:
                backlog, oldest = await read_backlog(tx)
                timers = await _read_timers(tx)
                held = await tx.conn.fetch(
                    "SELECT topic, count(*) AS rows FROM kit.outbox_held GROUP BY topic"
                )
                kept = await quarantine.counts(tx)
        except (TransientError, TimeoutError, asyncpg.PostgresError):
            for name in _DATABASE:  # nothing is better than figures of some time ago
                metrics.show(name, [])
            return
        metrics.show("relay_backlog", [(backlog, {})])
        metrics.show("relay_oldest", [(oldest, {})])
        metrics.show("relay_held", [(row["rows"], {"topic": row["topic"]}) for row in held])
        metrics.show(
            "quarantine_records",
            [
                (count, {"reason_class": reason, "state": state})
                for (reason, state), count in kept.items()
            ],
        )
        names: tuple[metrics.GaugeName, ...] = (
            "timers_due", "timers_working", "timers_failing", "timers_late",
        )  # fmt: skip
        for name in names:
            column = name.removeprefix("timers_")
            metrics.show(name, [(float(row[column]), {"kind": row["kind"]}) for row in timers])


async def read_backlog(tx: "Tx") -> tuple[int, float]:
    """Return how many rows of the outbox are not sent (100,000 at most), and the oldest's age."""
    cursor = await tx.conn.fetchrow(
        """
        SELECT snapshot_from::text AS since, snapshot_to::text AS until, last_seq
          FROM kit.relay_cursors
        """
    )
    window = Window("1:1:", None, 0)
    if cursor is not None:
        window = Window(cursor["since"], cursor["until"], cursor["last_seq"])
    row = await tx.conn.fetchrow(
        """
        SELECT count(*) AS rows, min(uuid_extract_timestamp(event_id)) AS said_at
          FROM (SELECT event_id
                  FROM kit.outbox
                 WHERE (txid >= $1::text::xid8 OR txid = ANY($2::text[]::xid8[]))
                   AND ($3::text IS NULL OR seq > $4
                        OR NOT pg_visible_in_snapshot(txid, $3::text::pg_snapshot))
                 LIMIT $5) AS unsent
        """,
        *window.unseen,
        window.until,
        window.last_seq,
        _MOST_ROWS,
    )
    if row is None or row["said_at"] is None:
        return 0, 0.0
    return row["rows"], max(0.0, (tx.now - row["said_at"]).total_seconds())


async def _read_timers(tx: "Tx") -> list[asyncpg.Record]:
    return await tx.conn.fetch(
        """
        SELECT kind,
               count(*) FILTER (WHERE idle AND due_at <= $1) AS due,
               count(*) FILTER (WHERE NOT idle) AS working,
               count(*) FILTER (WHERE attempts > 0) AS failing,
               coalesce(extract(epoch FROM $1 - min(due_at) FILTER (WHERE idle AND due_at <= $1)),
                        0) AS late
          FROM (SELECT kind, due_at, attempts,
                       claimed_until IS NULL OR claimed_until <= clock_timestamp() AS idle
                  FROM kit.timers) AS t
         GROUP BY kind
        """,
        tx.now,
    )
