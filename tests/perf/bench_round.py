"""Cohort rounds on synthetic people: time, memory, what floors and staying together cost."""

import asyncio
import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from frame import Goal, Pair, bench
from market import parted, synthetic

from matching_service.engine.cohort import Cohort, Solution, Terms
from matching_service.engine.columns import F64, I32
from matching_service.engine.round import solve
from matching_service.engine.scan import FIRST, Market, best_lines

NEEDS_STACK = False
MENTORS, MENTEES = 20_000, 80_000
FLOOR = 0.9
_BEST = 32
_BROKEN = 0.01
_TICK_SECONDS = 0.01
_market = cache(synthetic)


def cohort_of(market: Market) -> Cohort:
    """Return who takes part: one to five seats each, one mentor wanted."""
    open_of = np.unpackbits(market.mentors.open.view(np.uint8), bitorder="little")
    mentors, mentees = np.flatnonzero(open_of), np.flatnonzero(market.mentees.open)
    seats = np.random.default_rng(1).integers(1, 6, len(open_of), np.int32)[mentors]
    return Cohort(market, mentees, mentors, np.ones(len(mentees), np.int32), seats)


def _best(cohort: Cohort) -> tuple[F64, I32]:
    return best_lines(cohort.market, cohort.mentees, _BEST)


@cache
def _compiled() -> None:
    """Have everything compiled, or read from disk, before it is timed."""
    cohort = cohort_of(_market(256, 1000, 1).market)
    for floor in (0, FLOOR):
        solve(cohort, Terms(floor=floor), _best(cohort))


def _held(floor: float) -> tuple[Solution, float]:
    """Return the proved best of the cohort, and the seconds from people to proof."""
    _compiled()
    cohort = cohort_of(_market(MENTORS, MENTEES, 1).market)
    began = time.perf_counter()
    found = solve(cohort, Terms(floor=floor), _best(cohort))
    took = time.perf_counter() - began
    assert found.value == found.bound
    return found, took


def _points(found: Solution) -> float:
    return float((found.key % FIRST).sum())


@bench(
    "engine.round",
    unit="s: 20k mentors x 80k mentees, floors at 0.9, from people to the proved optimum",
    goal=Goal(30, "at_most"),
    limit_is="none; the gap over all eligible pairs is 0 in integers",
)
async def held(_: object) -> Pair:
    """A cohort's round."""
    return Pair(_held(FLOOR)[1])


@bench(
    "engine.round_memory",
    unit="GB at most in the process of that round, its market's making included",
    goal=Goal(2, "at_most"),
    limit_is="none",
)
async def memory(_: object) -> Pair:
    """What a round takes."""
    _held(FLOOR)
    return Pair(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


@bench(
    "engine.floors_time",
    unit="s with every center's floor at 0.9 of the overall rate",
    goal=Goal(1.2, "at_most_ratio"),
    limit_is="the same round without floors, in seconds",
)
async def floors_time(_: object) -> Pair:
    """What floors cost in time."""
    return Pair(_held(FLOOR)[1], _held(0)[1])


@bench(
    "engine.floors_score",
    unit="% of the sum of scores that floors at 0.9 cost",
    goal=Goal(0.6, "at_most"),
    limit_is="none",
)
async def floors_score(_: object) -> Pair:
    """What floors cost in score."""
    with_floors, without = _held(FLOOR)[0], _held(0)[0]
    assert len(with_floors.mentee) == len(without.mentee)
    return Pair(100 * (1 - _points(with_floors) / _points(without)))


@bench(
    "engine.rematch_score",
    unit="% of the sum of scores that it costs to move nobody when 1 % of the pairs break up",
    goal=Goal(0.15, "at_most"),
    limit_is="none; the same people matched anew",
)
async def rematch_score(_: object) -> Pair:
    """Pairs break up for good, and everybody else stays where they are."""
    before, _took = _held(0)
    market = _market(MENTORS, MENTEES, 1).market
    old = cohort_of(market)
    broken = np.random.default_rng(0).random(len(before.mentee)) < _BROKEN
    mentee, mentor = before.mentee.astype(np.int64), before.mentor.astype(np.int64)
    gone = old.mentees[mentee[broken]], old.mentors[mentor[broken]]
    cohort = cohort_of(parted(market, *gone))
    best = _best(cohort)
    together = mentee[~broken], mentor[~broken]
    again = solve(replace(cohort, incumbents=together), Terms(retention=10), best)
    free = solve(cohort, Terms(), best)
    assert again.value == again.bound
    kept = set(zip(*(side.tolist() for side in together), strict=True))
    assert kept <= set(zip(again.mentee.tolist(), again.mentor.tolist(), strict=True))
    return Pair(100 * (1 - _points(again) / _points(free)))


async def _longest_hold(work: Callable[[], object]) -> float:
    """Return the longest time in seconds that the event loop was held while a thread works."""
    longest, ends = 0.0, asyncio.create_task(asyncio.to_thread(work))
    while not ends.done():
        before = time.perf_counter()
        await asyncio.sleep(_TICK_SECONDS)
        longest = max(longest, time.perf_counter() - before - _TICK_SECONDS)
    await ends
    return longest


@bench(
    "engine.loop_held",
    unit="s at most that the event loop waits at once while a thread holds that round, floors at 0.9",
    goal=Goal(1, "at_most"),
    limit_is="none; Kafka is told every 3 s that a member lives, and waits for 10",
)
async def loop_held(_: object) -> Pair:
    """A round in a service."""
    _compiled()
    _market(MENTORS, MENTEES, 1)
    return Pair(await _longest_hold(lambda: _held(FLOOR)))


_SIZES = (1_000, 2_000, 5_000, 10_000, 20_000)
_MILLION = 1_000_000
_STATUS = "/proc/self/status"


@bench(
    "engine.round_of_a_million",
    unit="hours: a round of 1M mentors x 4M mentees on two cores, as rounds of 1k to 20k grow",
    goal=Goal(24, "at_most"),
    limit_is="none; extrapolated: seconds = a * mentors ** b, fitted by least squares of logarithms",
    runs=1,
)
async def round_of_a_million(_: object) -> Pair:
    """What a round would take that nobody has held yet."""
    _compiled()
    took, needed = zip(*(_takes(mentors) for mentors in _SIZES), strict=True)
    hours, memory = _Growth(took), _Growth(needed)
    told = ", ".join(
        f"{n:,}: {s:.1f} s, {gb:.2f} GB" for n, s, gb in zip(_SIZES, took, needed, strict=True)
    )
    sys.stderr.write(
        f"  {told}; seconds grow with mentors ** {hours.power:.2f}, memory ** {memory.power:.2f}\n"
        f"  a million: {hours.at(_MILLION) / 3600:.1f} hours, {memory.at(_MILLION):.0f} GB\n"
    )
    ram = _kilobytes("MemTotal", "/proc/meminfo") / 1e6
    breaks = {
        f"this machine's {ram:.0f} GB of memory": memory.size_of(ram),
        "a day": hours.size_of(24 * 3600),
        "sums of 63 bits, at scores of 12 bits": _fits_in_63_bits(),
    }
    for what, mentors in sorted(breaks.items(), key=lambda one: one[1]):
        sys.stderr.write(f"  {what}: enough for {mentors:,.0f} mentors\n")
    return Pair(hours.at(_MILLION) / 3600)


class _Growth:
    """A power of the number of mentors, by least squares of logarithms."""

    def __init__(self, figures: Sequence[float]) -> None:
        power, level = np.polyfit(np.log(_SIZES), np.log(figures), 1)
        self.power, self._level = float(power), float(level)

    def at(self, mentors: int) -> float:
        return float(np.exp(self._level + self.power * np.log(mentors)))

    def size_of(self, figure: float) -> float:
        """Return for how many mentors it is so much."""
        return float(np.exp((np.log(figure) - self._level) / self.power))


def _takes(mentors: int) -> tuple[float, float]:
    """Return the seconds of a round, and its GB: the people, and what the process grows by at most."""
    cohort = cohort_of(synthetic(mentors, 4 * mentors, 1).market)
    market = cohort.market
    sides = (market.mentees, market.mentors, market.mentees.columns, market.mentors.columns)
    people = sum(one.nbytes for side in sides for one in side if isinstance(one, np.ndarray))
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is forgotten
    before = _kilobytes("VmRSS", _STATUS)
    began = time.perf_counter()
    found = solve(cohort, Terms(floor=FLOOR), _best(cohort))
    took = time.perf_counter() - began
    assert found.value == found.bound
    return took, people / 1e9 + (_kilobytes("VmHWM", _STATUS) - before) / 1e6


def _kilobytes(name: str, where: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(where).read_text())
    assert found
    return int(found[1])


def _fits_in_63_bits() -> float:
    """Return the mentors of the largest such cohort that `Levels` has numbers for.

    Four mentees and three seats for each, and a bench with a place for every mentee, add up; a level
    is worth twice all scores, a score up to three times 2 ** 12 units, and four levels must fit.
    """
    return float(((1 << 62) / (4 * 2 * 4 * 3 * (1 << 12)) / (4 + 3 + 4)) ** 0.5)
