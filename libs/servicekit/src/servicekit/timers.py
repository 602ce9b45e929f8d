"""Timers: rows that are due are claimed under a lease and worked on, jobs and effects alike.

The claim is a committed lease and not a held lock, so that a handler which sets a timer never
waits for the job that works on it. The row goes in the transaction of the work it stands for.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from servicekit import backoff
from servicekit.errors import TransientError
from servicekit.log import logger
from servicekit.outbox import Cause
from servicekit.subscription import Effect, Job, Timer
from servicekit.tx import Database, Tx

_CLAIM = 20  # rows claimed at once
_JOBS_AT_ONCE = 4
_JOB_LEASE = timedelta(seconds=10)  # a crashed process's jobs are taken up this much later
_LONGEST_SLEEP = 1.0  # seconds; timers that other processes set are seen this late at most
_MOST_DELAY = 300.0  # seconds between tries of one timer
_log = logger(__name__)


class _TakenError(Exception):
    """Somebody else finished this timer while we worked on it; our work is rolled back."""


class Timers:
    """Works on due timers of the known kinds, once `opened` says that history is behind us."""

    def __init__(
        self, *, database: Database, jobs: Mapping[str, Job], effects: Mapping[str, Effect]
    ) -> None:
        """Nothing is claimed before `run`."""
        self.opened = asyncio.Event()
        self._database = database
        self._jobs = jobs
        self._effects = effects
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._job_slots = asyncio.Semaphore(_JOBS_AT_ONCE)
        self._slots = {kind: asyncio.Semaphore(e.concurrency) for kind, e in effects.items()}
        self._leases = dict.fromkeys(jobs, _JOB_LEASE) | {k: e.lease for k, e in effects.items()}
        self._working: dict[tuple[str, str], asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look for due timers now: one may have been set."""
        self._wake.set()

    def close(self) -> None:
        """Claim nothing more; what is being worked on is finished by `run`."""
        self._closing.set()
        self._wake.set()
        self.opened.set()

    async def run(self) -> None:
        """Work until closed."""
        await self.opened.wait()
        attempt = 0
        while not self._closing.is_set():
            self._wake.clear()
            try:
                claimed, next_due = await self._claim()
                attempt = 0
            except TransientError as error:
                attempt += 1
                _log.warning("timers_retried", error=type(error).__name__, attempt=attempt)
                await self._sleep(backoff.delay(attempt))
                continue
            for timer in claimed:
                self._begin(timer)
            await self._sleep(next_due)
        if self._working:
            await asyncio.wait(self._working.values())

    def _begin(self, timer: Timer) -> None:
        """Work on a timer, after we are done with it where it was set again or its lease ran out."""
        name = (timer.kind, timer.key)
        task = asyncio.create_task(self._work(timer, self._working.get(name)))
        self._working[name] = task
        task.add_done_callback(partial(self._end, name))

    def _end(self, name: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._working.get(name) is task:
            del self._working[name]

    async def _claim(self) -> tuple[list[Timer], float]:
        """Return timers claimed now, and seconds until there may be more."""
        if len(self._working) >= _CLAIM:
            return [], _LONGEST_SLEEP
        async with self._database.transaction() as tx:
            rows = await tx.conn.fetch(
                """
                UPDATE kit.timers AS t SET claimed_until = $3 + due.lease
                  FROM (SELECT kind, key, lease FROM kit.timers
                          JOIN unnest($1::text[], $2::interval[]) AS known (kind, lease)
                         USING (kind)
                         WHERE due_at <= $3 AND (claimed_until IS NULL OR claimed_until <= $3)
                         ORDER BY due_at
                         LIMIT $4
                           FOR UPDATE OF timers SKIP LOCKED) AS due
                 WHERE t.kind = due.kind AND t.key = due.key
                RETURNING t.kind, t.key, t.payload, t.attempts, t.version,
                          t.traceparent, t.correlationid, t.causationid
                """,
                [*self._leases],
                [*self._leases.values()],
                tx.now,
                _CLAIM - len(self._working),
            )
            upcoming: datetime | None = await tx.conn.fetchval(
                """
                SELECT min(greatest(due_at, coalesce(claimed_until, due_at))) FROM kit.timers
                 WHERE kind = ANY($1::text[])
                """,
                [*self._leases],
            )
        timers = [
            Timer(
                kind=row["kind"],
                key=row["key"],
                payload=json.loads(row["payload"]),
                attempts=row["attempts"],
                version=row["version"],
                cause=Cause(row["traceparent"], row["correlationid"], row["causationid"]),
            )
            for row in rows
        ]
        until = _LONGEST_SLEEP if upcoming is None else (upcoming - tx.now).total_seconds()
        return timers, min(max(until, 0.005), _LONGEST_SLEEP)

    async def _work(self, timer: Timer, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        effect = self._effects.get(timer.kind)
        slots = self._slots[timer.kind] if effect else self._job_slots
        async with slots:
            try:
                await (self._perform(timer, effect) if effect else self._do_job(timer))
            except _TakenError:
                _log.info("timer_taken", kind=timer.kind)
            except Exception as error:  # noqa: BLE001 - one timer's bug must not stop the others
                await self._postpone(timer, error)
        self._wake.set()

    async def _do_job(self, timer: Timer) -> None:
        async with self._database.transaction(cause=timer.cause) as tx:
            await tx.say(await self._jobs[timer.kind](timer, tx), timer.cause)
            await _finish(tx, timer)

    async def _perform(self, timer: Timer, effect: Effect) -> None:
        try:
            result = await effect.perform(timer)
        except TransientError as error:
            if timer.attempts + 1 < effect.attempts:
                raise
            await self._give_up(timer, effect, error)
            return
        except Exception as error:  # noqa: BLE001 - the effect decides what a refusal means
            await self._give_up(timer, effect, error)
            return
        async with self._database.transaction(cause=timer.cause) as tx:
            await tx.say(await effect.record(timer, result, tx), timer.cause)
            await _finish(tx, timer)

    async def _give_up(self, timer: Timer, effect: Effect, error: Exception) -> None:
        _log.warning("effect_given_up", kind=timer.kind, key=timer.key, error=type(error).__name__)
        async with self._database.transaction(cause=timer.cause) as tx:
            await tx.say(await effect.give_up(timer, error, tx), timer.cause)
            await _finish(tx, timer)

    async def _postpone(self, timer: Timer, error: Exception) -> None:
        """Try the timer again later; the error's text may quote data, so only its type is kept."""
        transient = isinstance(error, TransientError)
        tried = replace(timer, attempts=timer.attempts + 1)
        wait = backoff.delay(tried.attempts, first=0.2, most=_MOST_DELAY)
        report = _log.warning if transient else _log.error
        report(
            "timer_postponed",
            kind=timer.kind,
            key=timer.key,
            attempts=tried.attempts,
            wait_seconds=round(wait, 1),
            error=type(error).__name__,
            exc_info=None if transient else error,
        )
        with suppress(TransientError):  # the lease runs out by itself
            async with self._database.transaction() as tx:
                await tx.conn.execute(
                    """
                    UPDATE kit.timers
                       SET attempts = $4, due_at = $5, claimed_until = NULL, last_error = $6
                     WHERE kind = $1 AND key = $2 AND version = $3
                    """,
                    timer.kind,
                    timer.key,
                    timer.version,
                    tried.attempts,
                    datetime.now(UTC) + timedelta(seconds=wait),
                    type(error).__name__,
                )

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)


async def _finish(tx: Tx, timer: Timer) -> None:
    """Take the timer away; one that was set again meanwhile stays and fires again.

    Raises:
        _TakenError: it is gone: another process did the same work and committed first.
    """
    version = await tx.conn.fetchval(
        "SELECT version FROM kit.timers WHERE kind = $1 AND key = $2 FOR UPDATE",
        timer.kind,
        timer.key,
    )
    if version is None and (timer.kind, timer.key) in tx.timers_cancelled:
        return
    if version is None:
        raise _TakenError
    if version == timer.version:
        await tx.cancel(timer.kind, timer.key)
