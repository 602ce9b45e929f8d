"""Timers: rows that are due are claimed under a lease and worked on, jobs and effects alike.

The claim is a committed lease and not a held lock, so that a handler which sets a timer never
waits for the job that works on it. The row goes in the transaction of the work it stands for.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from oncomentor_contracts.event import Event
from servicekit import backoff, failpoint
from servicekit.claims import CLAIM, UPCOMING, Claim, TakenError, claim_of, finish
from servicekit.errors import TransientError
from servicekit.failpoint import FailPoint
from servicekit.observing import metrics, trace
from servicekit.observing.log import logger
from servicekit.subscription import Effect, Job
from servicekit.tx import Database, Tx

_JOBS_AT_ONCE = 3  # of each kind; every one holds a connection
_LEASE_SHARE = 0.8  # of its lease that an effect may take: the rest is for recording it
_JOB_LEASE = timedelta(seconds=10)  # a crashed process's jobs are taken up this much later
_LONGEST_SLEEP = 1.0  # seconds; timers that other processes set are seen this late at most
_LAST_TRIES_SECONDS = 0.1  # between tries to record what went out, while the process ends
_MOST_DELAY = 300.0  # seconds between tries of one timer
_log = logger(__name__)


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
        self._leases = dict.fromkeys(jobs, _JOB_LEASE) | {k: e.lease for k, e in effects.items()}
        self._free = dict.fromkeys(jobs, _JOBS_AT_ONCE) | {
            kind: effect.concurrency for kind, effect in effects.items()
        }
        self._working: set[asyncio.Task[None]] = set()
        self._claiming = asyncio.Lock()
        self._at_work: dict[tuple[str, str], Claim] = {}

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
                next_due = await self._begin_due()
                attempt = 0
            except TransientError as error:
                attempt += 1
                _log.warning("timers_retried", error=type(error).__name__, attempt=attempt)
                await self._sleep(backoff.delay(attempt))
                continue
            await self._sleep(next_due)
        if self._working:
            await asyncio.wait(self._working)

    async def _begin_due(self) -> float:
        """Claim and begin what is due; return seconds until there may be more."""
        async with self._claiming:
            claimed, next_due = await self._claim()
            for claim in claimed:
                this = claim.timer.kind, claim.timer.key
                if held := self._at_work.get(this):  # our own, whose lease ran out meanwhile
                    self._at_work[this] = replace(held, until=claim.until)
                    continue
                self._at_work[this] = claim
                self._free[claim.timer.kind] -= 1
                task = asyncio.create_task(self._work(claim))
                self._working.add(task)
                task.add_done_callback(self._working.discard)
        return next_due

    async def _claim(self) -> tuple[list[Claim], float]:
        """Return timers claimed now, the longest due first, and seconds until there may be more.

        As many of each kind as can begin. Leases are told by the database's clock, which all
        processes share; when a timer is due, by the clock that also set it.
        """
        kinds = [kind for kind, free in self._free.items() if free > 0]
        async with self._database.transaction() as tx:
            rows = await tx.conn.fetch(
                CLAIM,
                kinds,
                [self._leases[kind] for kind in kinds],
                [self._free[kind] for kind in kinds],
                tx.now,
            )
            upcoming: datetime | None = await tx.conn.fetchval(UPCOMING, kinds)
        until = _LONGEST_SLEEP if upcoming is None else (upcoming - tx.now).total_seconds()
        rows.sort(key=lambda row: row["due_at"])
        return [claim_of(row) for row in rows], min(max(until, 0.005), _LONGEST_SLEEP)

    async def _work(self, claim: Claim) -> None:
        kind, given = claim.timer.kind, claim.timer.cause.traceparent
        effect = self._effects.get(kind)
        outcome = "done"
        try:
            await failpoint.reach("timer.claimed")
            with trace.work(f"{'effect' if effect else 'job'} {kind}", given) as (_, traceparent):
                traced = claim.traced(traceparent)
                await (self._perform(traced, effect) if effect else self._do_job(traced))
            await failpoint.reach("timer.done")
        except TakenError:
            outcome = "taken"
            _log.info("timer_taken", kind=kind)
        except Exception as error:  # noqa: BLE001 - one timer's bug must not stop the others
            outcome = "postponed"
            await self._postpone(claim, error)
        finally:
            del self._at_work[kind, claim.timer.key]
        metrics.add("timers_worked", 1, kind=kind, outcome=outcome)
        self._free[kind] += 1
        self._wake.set()

    async def _do_job(self, claim: Claim) -> None:
        job = self._jobs[claim.timer.kind]
        await self._finish(claim, lambda tx: job(claim.timer, tx))

    async def _perform(self, claim: Claim, effect: Effect) -> None:
        timer = claim.timer
        try:
            async with asyncio.timeout(effect.lease.total_seconds() * _LEASE_SHARE):
                await failpoint.reach("effect.perform")
                result = await effect.perform(timer)
                await failpoint.reach("effect.performed")
        except (TransientError, TimeoutError) as error:
            failure = TransientError(str(error) or "it took longer than its lease")
            if timer.attempts + 1 < effect.attempts:
                raise failure from error
            await self._give_up(claim, effect, failure)
            return
        except Exception as error:  # noqa: BLE001 - the effect decides what a refusal means
            await self._give_up(claim, effect, error)
            return
        try:
            await self._record(claim, effect, result)
        except TakenError:
            raise
        except Exception as error:  # noqa: BLE001 - it went out; what can't be recorded must not go out again
            key = claim.timer.key
            _log.error("effect_not_recorded", kind=claim.timer.kind, key=key, exc_info=error)
            await self._give_up(claim, effect, error)

    async def _record(self, claim: Claim, effect: Effect, result: object) -> None:
        """Record what went out, again and again until the process ends.

        Another try of the timer would send it again; the lease keeps others from that meanwhile.
        """
        timer = claim.timer
        for attempt in itertools.count(1):
            try:
                await self._finish(claim, lambda tx: effect.record(timer, result, tx))
            except TransientError as error:
                _log.warning("record_retried", kind=timer.kind, error=str(error)[:200])
                if self._closing.is_set():
                    await asyncio.sleep(_LAST_TRIES_SECONDS)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), backoff.delay(attempt))
            else:
                return

    async def _finish(self, claim: Claim, work: Callable[[Tx], Awaitable[Sequence[Event]]]) -> None:
        """Do the work, say its events and take the timer away, in one transaction.

        Raises:
            TakenError: another process has the timer. That it is ourselves, who took it up again
                and have not heard of it yet, is ruled out: what went out would go out again.
        """
        cause = claim.timer.cause
        is_effect = claim.timer.kind in self._effects
        worked: FailPoint = "effect.recorded" if is_effect else "timer.worked"
        while True:
            held = claim
            try:
                async with self._database.transaction(cause=cause) as tx:
                    await tx.say(await work(tx), cause)
                    held = self._ours(claim)
                    await finish(tx, held)
                    await failpoint.reach(worked)
            except TakenError:
                async with self._claiming:
                    if self._ours(claim) == held:
                        raise
            else:
                return

    def _ours(self, claim: Claim) -> Claim:
        """Return the claim with the lease of now: while we work on it, we take it again."""
        return replace(claim, until=self._at_work[claim.timer.kind, claim.timer.key].until)

    async def _give_up(self, claim: Claim, effect: Effect, error: Exception) -> None:
        timer = claim.timer
        reason = str(error)[:200] if isinstance(error, TransientError) else None
        metrics.add("timers_worked", 1, kind=timer.kind, outcome="given_up")
        _log.warning(
            "effect_handed_back",
            kind=timer.kind,
            key=timer.key,
            attempts=timer.attempts + 1,
            error=type(error).__name__,
            reason=reason,
        )
        await self._finish(claim, lambda tx: effect.give_up(timer, error, tx))

    async def _postpone(self, claim: Claim, error: Exception) -> None:
        """Try the timer again later.

        The text of a TransientError is ours and names what is away; any other may quote data.
        """
        timer = claim.timer
        transient = isinstance(error, TransientError)
        attempts = timer.attempts + 1
        wait = backoff.delay(attempts, first=0.2, most=_MOST_DELAY)
        report = _log.warning if transient else _log.error
        report(
            "timer_postponed",
            kind=timer.kind,
            key=timer.key,
            attempts=attempts,
            wait_seconds=round(wait, 1),
            error=type(error).__name__,
            reason=str(error)[:200] if transient else None,
            exc_info=None if transient else error,
        )
        with suppress(TransientError):  # the lease runs out by itself
            async with self._database.transaction() as tx:
                await tx.conn.execute(
                    """
                    UPDATE kit.timers
                       SET claimed_until = NULL,
                           attempts = CASE WHEN version = $4 THEN $5 ELSE attempts END,
                           due_at = CASE WHEN version = $4 THEN $6 ELSE due_at END,
                           last_error = CASE WHEN version = $4 THEN $7 ELSE last_error END
                     WHERE kind = $1 AND key = $2 AND claimed_until = $3
                    """,
                    timer.kind,
                    timer.key,
                    self._ours(claim).until,
                    timer.version,
                    attempts,
                    tx.now + timedelta(seconds=wait),
                    type(error).__name__,
                )

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
