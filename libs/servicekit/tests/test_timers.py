import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from oncomentor_contracts.event import Event
from servicekit import failpoint
from servicekit import timers as timers_module
from servicekit.claims import CLAIM, UPCOMING, Claim
from servicekit.errors import TransientError
from servicekit.failpoint import FailPoint
from servicekit.subscription import Effect, Job, Timer
from servicekit.timers import Timers
from servicekit.tx import Database, Tx
from testkit.eventually import eventually
from testkit.postgres import Templates

Perform = Callable[[Timer], Awaitable[object]]


async def note(tx: Tx, word: str) -> None:
    await tx.conn.execute("INSERT INTO heard (topic, subject, word) VALUES ('t', 's', $1)", word)


async def ring(timer: Timer, tx: Tx) -> Sequence[Event]:
    await note(tx, timer.key)
    return []


@asynccontextmanager
async def running(
    database: Database, *, job: Job = ring, effects: dict[str, Effect] | None = None
) -> AsyncIterator[Timers]:
    timers = Timers(database=database, jobs={"ring": job}, effects=effects or {})
    timers.opened.set()
    task = asyncio.create_task(timers.run())
    yield timers
    timers.close()
    await asyncio.wait_for(task, 10)


async def schedule(database: Database, key: str, *, kind: str = "ring", hours: int = 0) -> None:
    async with database.transaction() as tx:
        await tx.schedule(kind, key, datetime.now(UTC) + timedelta(hours=hours))


async def words(database: Database) -> list[str]:
    async with database.transaction() as tx:
        return [row["word"] for row in await tx.conn.fetch("SELECT word FROM heard ORDER BY nth")]


async def left(database: Database) -> int:
    async with database.transaction() as tx:
        count: int = await tx.conn.fetchval("SELECT count(*) FROM kit.timers")
        return count


async def gone(database: Database) -> bool:
    return await left(database) == 0


async def test_a_due_timer_fires_once_and_a_future_one_waits(database: Database) -> None:
    await schedule(database, "now")
    await schedule(database, "later", hours=1)

    async with running(database):

        async def one_left() -> bool:
            return await left(database) == 1

        await eventually(one_left)

    assert await words(database) == ["now"]


async def test_many_runners_do_each_timer_once(database: Database) -> None:
    keys = [f"key-{n:02}" for n in range(40)]
    for key in keys:
        await schedule(database, key)

    async with running(database), running(database), running(database):
        await eventually(lambda: gone(database))

    assert sorted(await words(database)) == keys


async def test_a_timer_set_again_by_its_own_job_fires_again(database: Database) -> None:
    async def again(timer: Timer, tx: Tx) -> Sequence[Event]:
        await note(tx, timer.key)
        if timer.version == 0:
            await tx.schedule(timer.kind, timer.key, tx.now)
        return []

    await schedule(database, "twice")

    async with running(database, job=again):
        await eventually(lambda: gone(database))

    assert await words(database) == ["twice", "twice"]


async def test_a_job_may_cancel_its_own_timer(database: Database) -> None:
    async def cancel(timer: Timer, tx: Tx) -> Sequence[Event]:
        await note(tx, timer.key)
        await tx.cancel(timer.kind, timer.key)
        return []

    await schedule(database, "once")

    async with running(database, job=cancel):
        await eventually(lambda: gone(database))

    assert await words(database) == ["once"]


async def test_a_job_that_fails_is_tried_again_and_keeps_nothing_of_the_failure(
    database: Database,
) -> None:
    async def third_time(timer: Timer, tx: Tx) -> Sequence[Event]:
        await note(tx, f"try {timer.attempts}")
        if timer.attempts < 2:
            raise ZeroDivisionError
        return []

    await schedule(database, "hard")

    async with running(database, job=third_time):
        await eventually(lambda: gone(database))

    assert await words(database) == ["try 2"]


async def test_a_timer_taken_by_somebody_else_rolls_our_work_back(database: Database) -> None:
    async def overtaken(timer: Timer, tx: Tx) -> Sequence[Event]:
        await note(tx, "ours")
        async with database.transaction() as other:
            await note(other, "theirs")
            await other.cancel(timer.kind, timer.key)
        return []

    await schedule(database, "race")

    async with running(database, job=overtaken):
        await eventually(lambda: gone(database))

    assert await words(database) == ["theirs"]


async def test_a_job_that_outlives_its_lease_is_done_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers_module, "_JOB_LEASE", timedelta(seconds=0.3))
    begun: list[str] = []

    async def long(timer: Timer, tx: Tx) -> Sequence[Event]:
        begun.append(timer.key)
        await asyncio.sleep(1.5)
        await note(tx, timer.key)
        return []

    await schedule(database, "long")

    async with running(database, job=long):
        await eventually(lambda: gone(database))

    assert begun == ["long"]
    assert await words(database) == ["long"]


def an_effect(
    perform: Perform, *, attempts: int = 3, concurrency: int = 4, lease_seconds: float = 60
) -> Effect:
    async def record(timer: Timer, result: object, tx: Tx) -> Sequence[Event]:
        await note(tx, f"{timer.key}: {result}")
        return []

    async def give_up(timer: Timer, error: Exception, tx: Tx) -> Sequence[Event]:
        await note(tx, f"{timer.key}: {type(error).__name__}")
        return []

    lease = timedelta(seconds=lease_seconds)
    return Effect(perform, record, give_up, attempts, concurrency, lease)


async def test_an_effect_is_performed_then_recorded(database: Database) -> None:
    async def send(timer: Timer) -> str:
        return "sent"

    await schedule(database, "mail", kind="send")

    async with running(database, effects={"send": an_effect(send)}):
        await eventually(lambda: gone(database))

    assert await words(database) == ["mail: sent"]


async def test_an_effect_is_given_up_after_its_attempts_or_at_a_refusal(database: Database) -> None:
    tries: list[str] = []

    async def send(timer: Timer) -> str:
        tries.append(timer.key)
        if timer.key == "busy":
            raise TransientError("later")
        raise PermissionError

    await schedule(database, "busy", kind="send")
    await schedule(database, "never", kind="send")

    async with running(database, effects={"send": an_effect(send, attempts=2)}):
        await eventually(lambda: gone(database))

    assert sorted(await words(database)) == ["busy: TransientError", "never: PermissionError"]
    assert sorted(tries) == ["busy", "busy", "never"]


async def test_an_effect_that_waits_for_its_turn_is_not_performed_twice(
    database: Database,
) -> None:
    performed: list[str] = []

    async def slowly(timer: Timer) -> str:
        performed.append(timer.key)
        await asyncio.sleep(0.4)  # how long the work takes: longer than its share of the lease
        return "sent"

    for key in ("a", "b", "c", "d"):
        await schedule(database, key, kind="send")

    effect = an_effect(slowly, concurrency=1, lease_seconds=1)
    async with (
        running(database, effects={"send": effect}),
        running(database, effects={"send": effect}),
    ):
        await eventually(lambda: gone(database))

    assert sorted(performed) == ["a", "b", "c", "d"]


async def test_an_effect_that_outlives_its_lease_is_broken_off_and_tried_again(
    database: Database,
) -> None:
    tries: list[int] = []

    async def hangs_once(timer: Timer) -> str:
        tries.append(timer.attempts)
        if timer.attempts == 0:
            await asyncio.Event().wait()
        return "sent"

    await schedule(database, "mail", kind="send")

    async with running(database, effects={"send": an_effect(hangs_once, lease_seconds=1)}):
        await eventually(lambda: gone(database))

    assert tries == [0, 1]
    assert await words(database) == ["mail: sent"]


async def test_what_went_out_is_recorded_later_and_does_not_go_out_again(
    database: Database,
) -> None:
    sent: list[str] = []
    refused = 0

    async def send(timer: Timer) -> str:
        sent.append(timer.key)
        return "sent"

    async def full(timer: Timer, result: object, tx: Tx) -> Sequence[Event]:
        nonlocal refused
        refused += 1
        if refused <= 5:  # longer than the lease, which the process takes up again itself
            raise TransientError("no space left on device")
        await note(tx, f"{timer.key}: {result}")
        return []

    await schedule(database, "mail", kind="send")

    effect = replace(an_effect(send, lease_seconds=0.3), record=full)
    async with running(database, effects={"send": effect}):
        await eventually(lambda: gone(database))

    assert sent == ["mail"]
    assert await words(database) == ["mail: sent"]


async def test_what_went_out_is_recorded_though_we_have_not_heard_yet_that_the_lease_is_renewed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    renewed, tried = asyncio.Event(), asyncio.Event()
    claim = Timers._claim

    async def heard_late(timers: Timers) -> tuple[list[Claim], float]:
        answer = await claim(timers)
        if sent and answer[0]:
            renewed.set()
            await tried.wait()
            await asyncio.sleep(0.1)  # long enough for its transaction to be refused
        return answer

    async def send(timer: Timer) -> str:
        sent.append(timer.key)
        return "sent"

    async def record(timer: Timer, result: object, tx: Tx) -> Sequence[Event]:
        await renewed.wait()
        await note(tx, f"{timer.key}: {result}")
        tried.set()
        return []

    monkeypatch.setattr(Timers, "_claim", heard_late)
    await schedule(database, "mail", kind="send")

    effect = replace(an_effect(send, lease_seconds=0.3), record=record)
    async with running(database, effects={"send": effect}):
        await eventually(lambda: gone(database))

    assert sent == ["mail"]
    assert await words(database) == ["mail: sent"]


async def test_what_went_out_and_can_not_be_recorded_is_given_up_and_does_not_go_out_again(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    went_out: list[str] = []

    async def perform(timer: Timer) -> object:
        went_out.append(timer.key)
        return None

    async def record(timer: Timer, result: object, tx: Tx) -> Sequence[Event]:
        raise ZeroDivisionError

    async def give_up(timer: Timer, error: Exception, tx: Tx) -> Sequence[Event]:
        await note(tx, type(error).__name__)
        return []

    await schedule(database, "one", kind="mail")

    async with running(database, effects={"mail": Effect(perform, record, give_up)}):
        await eventually(lambda: gone(database))

    assert went_out == ["one"]
    assert await words(database) == ["ZeroDivisionError"]
    assert "effect_not_recorded" in capsys.readouterr().out


async def test_what_went_out_is_recorded_though_the_process_is_ending(database: Database) -> None:
    went_out: list[str] = []
    tries = 0

    async def perform(timer: Timer) -> object:
        went_out.append(timer.key)
        return None

    async def record(timer: Timer, result: object, tx: Tx) -> Sequence[Event]:
        nonlocal tries
        tries += 1
        if tries < 3:
            working.close()
            raise TransientError("away for a moment")
        await note(tx, "recorded")
        return []

    async def never(timer: Timer, error: Exception, tx: Tx) -> Sequence[Event]:
        raise AssertionError

    await schedule(database, "one", kind="mail")

    async with running(database, effects={"mail": Effect(perform, record, never)}) as working:
        await eventually(lambda: gone(database))

    assert (went_out, await words(database)) == (["one"], ["recorded"])


async def test_a_timer_cancelled_and_set_anew_is_not_taken_for_the_old_one(
    database: Database,
) -> None:
    async def overtaken(timer: Timer, tx: Tx) -> Sequence[Event]:
        if timer.payload == {}:
            async with database.transaction() as other:
                await other.cancel(timer.kind, timer.key)
                await other.schedule(timer.kind, timer.key, other.now, {"nth": 2})
        await note(tx, f"{timer.payload.get('nth', 1)}")
        return []

    await schedule(database, "again")

    async with running(database, job=overtaken):
        await eventually(lambda: gone(database))

    assert await words(database) == ["2"]


async def schedule_many(database: Database, kind: str, number: int) -> None:
    """Set timers that were all due in the last hour; their keys tell their order."""
    async with database.transaction() as tx:
        await tx.conn.execute(
            """
            INSERT INTO kit.timers (kind, key, due_at, payload)
            SELECT $1, to_char(n, 'FM00000'), now() - interval '1 hour' + n * interval '1 ms', '{}'
              FROM generate_series(1, $2::int) AS n
             ORDER BY md5(n::text)
            """,
            kind,
            number,
        )


async def test_a_row_that_another_process_is_claiming_is_passed_over_not_waited_for(
    database: Database,
) -> None:
    await schedule_many(database, "ring", 10)

    async with database.transaction() as other:
        await other.conn.execute(
            "SELECT 1 FROM kit.timers WHERE key IN ('00001', '00002') FOR UPDATE"
        )
        async with running(database):

            async def two_left() -> bool:
                return await left(database) == 2

            await eventually(two_left, within=5)

    assert sorted(await words(database)) == [f"{n:05}" for n in range(3, 11)]


async def test_what_is_due_longest_begins_first(database: Database) -> None:
    begun: list[str] = []

    async def send(timer: Timer) -> str:
        begun.append(timer.key)
        await asyncio.sleep(0)
        return "sent"

    await schedule_many(database, "send", 60)

    async with running(database, effects={"send": an_effect(send, concurrency=4)}):
        await eventually(lambda: gone(database))

    assert begun == sorted(begun)


@pytest.mark.parametrize("place", ["effect.performed", "effect.recorded"])
async def test_an_effect_cut_off_before_its_record_is_performed_again_with_the_same_key(
    database: Database, monkeypatch: pytest.MonkeyPatch, place: FailPoint
) -> None:
    performed: list[str] = []

    async def send(timer: Timer) -> str:
        performed.append(timer.key)
        return f"nth {len(performed)}"

    async def crash_once(reached: FailPoint) -> None:
        if reached == place and len(performed) == 1:
            raise asyncio.CancelledError  # nothing after it runs, as in a process that was killed

    monkeypatch.setattr(failpoint, "hook", crash_once)
    await schedule(database, "mail-1", kind="send")
    effect = an_effect(send, concurrency=1, lease_seconds=1)

    async with (
        running(database, effects={"send": effect}),
        running(database, effects={"send": effect}),
    ):
        await eventually(lambda: gone(database))

    assert performed == ["mail-1", "mail-1"]
    assert await words(database) == ["mail-1: nth 2"]


class Together:
    """Work that each kind does once as many are at it as may be; counts who was at it together."""

    def __init__(self, bounds: Mapping[str, int]) -> None:
        self.bounds = bounds
        self.most: Counter[str] = Counter()
        self.begun: list[str] = []
        self._now: Counter[str] = Counter()
        self._full = {kind: asyncio.Event() for kind in bounds}

    async def work(self, kind: str) -> None:
        self.begun.append(kind)
        self._now[kind] += 1
        self.most[kind] = max(self.most[kind], self._now[kind])
        if self._now[kind] == self.bounds[kind]:
            self._full[kind].set()
        await self._full[kind].wait()
        self._now[kind] -= 1

    async def ring(self, timer: Timer, tx: Tx) -> Sequence[Event]:
        await self.work("ring")
        return []

    async def send(self, timer: Timer) -> str:
        await self.work(timer.kind)
        return "sent"


async def test_ten_thousand_due_at_once_are_worked_off_a_few_at_a_time_beside_other_kinds(
    database: Database,
) -> None:
    together = Together({"ring": 3, "mail": 5, "hook": 1})
    await schedule_many(database, "ring", 10_000)
    await schedule_many(database, "mail", 10_000)
    await schedule(database, "alone", kind="hook")  # due last of all
    effects = {
        "mail": an_effect(together.send, concurrency=5),
        "hook": an_effect(together.send, concurrency=2),
    }
    async with running(database, job=together.ring, effects=effects) as timers:
        working = 0

        async def enough() -> bool:
            nonlocal working
            working = max(working, len(timers._working))
            begun = Counter(together.begun)
            return min(begun["ring"], begun["mail"]) > 300

        await eventually(enough, within=60, every=0.001)

    assert together.most == together.bounds
    assert 0 < working <= 3 + 5 + 2
    assert together.begun.index("hook") < 20
    assert await left(database) > 10_000


async def test_a_claim_reads_as_many_rows_as_it_takes_however_many_are_due(
    database: Database, database_name: str, templates: Templates
) -> None:
    await schedule_many(database, "ring", 10_000)
    await schedule_many(database, "mail", 10_000)
    owner = await asyncpg.connect(templates.dsn(database_name, "test_owner"))
    await owner.execute("ANALYZE kit.timers")  # what the planner knows once autovacuum came by
    await owner.close()
    kinds, leases = ["ring", "mail"], [timedelta(seconds=10)] * 2

    async with database.transaction() as tx:
        for sql, arguments in (
            (CLAIM, (kinds, leases, [3, 4], tx.now)),
            (UPCOMING, (kinds,)),
        ):
            for mode in ("force_custom_plan", "force_generic_plan"):
                await tx.conn.execute(f"SET LOCAL plan_cache_mode = {mode}")
                text = await tx.conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *arguments)
                nodes = list(plan_nodes(json.loads(text)[0]["Plan"]))
                read = [n for n in nodes if n.get("Relation Name") == "timers"]

                assert any(node.get("Index Name") == "timers_due" for node in read)
                assert all(rows_read(node) <= 30 for node in read)


def plan_nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from plan_nodes(below)


def rows_read(node: dict[str, Any]) -> float:
    """All rows that a node of an executed plan looked at."""
    each: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return each * float(node["Actual Loops"])
