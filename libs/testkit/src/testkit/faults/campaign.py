"""`make faults SEED=n CYCLES=m`: cycle after cycle, each with a fault, until one is enough.

A cycle's fault and commands follow from seed and number alone, so that a cycle can be run again
by itself (CYCLE=k). Reports of several runs come together in build/faults.json.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from testkit.faults.cycle import Result, run_cycle
from testkit.faults.disk import small_disks
from testkit.faults.drill import DRILLS
from testkit.faults.ground import REPLICAS, Ground, ground
from testkit.faults.harm import FAULTS
from testkit.faults.plan import PLACES
from testkit.faults.report import Done, Report, code, table
from testkit.history import write_evidence

_REPORT = Path("build/faults.json")
_ONCE, _FORK = 2, 17
_TIME = 12  # slow is not broken: what follows can be judged all the same


def fault_of(seed: int, cycle: int) -> str:
    """Return the fault of a cycle: every second kills at a failpoint, each of them in turn.

    The others are drawn without repetition until each was there once, then anew.
    """
    if cycle % 2 == 0:
        return f"kill at {PLACES[(seed + cycle // 2) % len(PLACES)]}"
    others = [*(name for name in FAULTS if not name.startswith("kill at ")), *DRILLS]
    turn, place = divmod(cycle // 2, len(others))
    random.Random(f"{seed}/{turn}").shuffle(others)  # noqa: S311 - a replayable choice
    return others[place]


def seed_of(seed: int, cycle: int) -> int:
    """Return the seed of one cycle's commands and chances."""
    return random.Random(f"{seed}:{cycle}").getrandbits(48)  # noqa: S311 - a replayable choice


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and not done yet; return 1 if anything was violated on this code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cycles", type=int, default=20, help="so many of this seed, in all")
    parser.add_argument("--cycle", type=int, help="this one alone, again if it was done")
    parser.add_argument("--report", type=Path, default=_REPORT)
    parser.add_argument("--table", action="store_true", help="print the report as Markdown, end")
    asked = parser.parse_args(arguments)
    if asked.table:
        sys.stdout.write(table(json.loads(asked.report.read_text())))
        return 0
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what is killed is said to be away
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    report = Report(asked.report, code())
    todo = [asked.cycle] if asked.cycle is not None else list(range(asked.cycles))
    if asked.cycle is None:
        todo = [cycle for cycle in todo if not report.has(asked.seed, cycle)]
    (asked.report.parent / "faults").mkdir(parents=True, exist_ok=True)
    if todo:
        asyncio.run(_run(asked.seed, todo, report, asked.report.parent / "faults"))
    done = report.of_seed(asked.seed)
    _say(f"{len(done)} cycles of seed {asked.seed}, {report.violated} violations: {asked.report}")
    all_done = all(report.has(asked.seed, cycle) for cycle in todo)
    return 0 if all_done and not report.violated else 1


async def _run(seed: int, todo: Sequence[int], report: Report, folder: Path) -> None:
    task = asyncio.current_task()
    assert task is not None
    # Ended gently, it ends what it has started.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began, lasted = time.monotonic(), 0
    async with ground(folder, small_disks) as made:
        await made.start(REPLICAS, {})
        _say(f"up after {time.monotonic() - began:.0f} s; logs are in {folder}")
        for left, cycle in _counting_down(todo):
            try:
                done, result = await _cycle(made, seed, cycle)
            except Exception as error:  # noqa: BLE001 - one cycle that breaks must not end a night's run
                _say(f"{seed}/{cycle} broke off, run it again: {type(error).__name__}: {error}")
                await _anew(made)
                continue
            report.add(done)
            lasted += 1
            pace = (time.monotonic() - began) / lasted
            _say(
                f"{seed}/{cycle} {done.fault}: {done.seconds:.1f} s, "
                f"{len(done.violations)} violations, {pace * left / 60:.0f} min to go"
            )
            if done.violations:
                _tell(done, result, folder / f"{seed}-{cycle}")
            if any(number != _TIME for number, _ in done.violations):
                await _anew(made)


async def _cycle(made: Ground, seed: int, cycle: int) -> tuple[Done, Result | None]:
    name = fault_of(seed, cycle)
    if name in DRILLS:
        return await _drill(made, seed, cycle, name), None
    result = await run_cycle(made, seed_of(seed, cycle), FAULTS[name])
    return (
        Done(
            seed=seed,
            cycle=cycle,
            fault=name,
            seconds=round(result.seconds, 2),
            commands=len(result.evidence.operations),
            records=len(result.evidence.log),
            violations=[(one.invariant, one.what) for one in result.violations],
            recoveries=[(one.what, round(one.seconds, 2)) for one in result.evidence.recoveries],
            places=list(result.notes.places),
            left_undone=list(result.notes.left_undone),
            load=round(os.getloadavg()[0], 1),
        ),
        result,
    )


async def _drill(made: Ground, seed: int, cycle: int, name: str) -> Done:
    began = time.monotonic()
    problems = await DRILLS[name](made, seed_of(seed, cycle))
    made.tail.raw.clear()  # some of it was passed over for good: nothing to repeat
    number = _FORK if name == "database restored" else _ONCE
    return Done(
        seed, cycle, name, round(time.monotonic() - began, 2), 0, 0,
        violations=[(number, problem) for problem in problems],
        load=round(os.getloadavg()[0], 1),
    )  # fmt: skip


def _tell(done: Done, result: Result | None, folder: Path) -> None:
    if result is not None:
        write_evidence(result.evidence, folder)
    for number, what in done.violations:
        _say(f"  invariant {number}: {what}")
    _say(f"  history, log and tables: {folder}; services' logs: {folder.parent}")
    _say(f"  this cycle alone: make faults SEED={done.seed} CYCLE={done.cycle}")


async def _anew(made: Ground) -> None:
    """Start the services again on healed tables, so that one cycle's damage is not the next's."""
    await made.stop()
    await asyncio.to_thread(made.stack.up, services=())
    await made.heal()
    await made.start(REPLICAS, {})


def _counting_down(todo: Sequence[int]) -> Iterator[tuple[int, int]]:
    for nth, cycle in enumerate(todo, start=1):
        yield len(todo) - nth, cycle


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
