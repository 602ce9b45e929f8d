"""The matching engine, on synthetic people, against the matrix product at the same shape."""

import time
from collections.abc import Callable
from functools import cache

import numpy as np
from frame import Goal, Pair, bench
from market import Synthetic, synthetic

from matching_service.engine.assign import Assignment
from matching_service.engine.columns import F64, I32
from matching_service.engine.lanes import LANES
from matching_service.engine.scan import FIRST, best_lines, best_mentors

NEEDS_STACK = False
MENTORS, MENTEES, BEST = 10_000, 40_000, 50
_ROWS = 256  # of a product at once: the whole would not fit into memory


_CHANGES = 500
_BEST_FOR_ONE = 20
_SERVED = 10**13  # more than all scores together: first as many as possible, then the score
_market = cache(synthetic)


def _best(made: Synthetic, mentees: int) -> tuple[F64, I32, float]:
    """Return the keys and lines of every mentee's best mentors, and the seconds that took."""
    best_lines(made.market, np.arange(1), BEST)  # compiled, or read from disk
    began = time.perf_counter()
    keys, found = best_lines(made.market, np.arange(mentees), BEST)
    return keys, found, time.perf_counter() - began


@bench(
    "engine.scan",
    unit="million pairs/s, scored from both sides, ruled, the best 50 kept, 10k x 40k",
    goal=0.75,
    limit_is="numpy's sgemm at that shape (40k x 642 x 10k): one side's scores and nothing else",
)
async def scan(_: object) -> Pair:
    """Every mentee's fifty best."""
    made = _market(MENTORS, MENTEES, 1)
    _, found, ours = _best(made, MENTEES)
    assert (found >= 0).mean() > 0.9
    began = time.perf_counter()
    for row in range(0, MENTEES, _ROWS):
        made.mentees[row : row + _ROWS] @ made.mentors
    limit = time.perf_counter() - began
    pairs = made.mentors.shape[1] * MENTEES / 1e6
    return Pair(pairs / ours, pairs / limit)


async def _one_change(mentors: int) -> Pair:
    """Return the 99th percentile of finding the best mentors of one mentee after another, in ms."""
    made = _market(mentors, _CHANGES, 1)
    keys = np.empty((1, _BEST_FOR_ONE))
    found = np.empty((1, _BEST_FOR_ONE), np.int32)
    sums = np.empty((2, LANES), np.float32)
    took = []
    for one in range(-1, _CHANGES):  # the first compiles, and is not counted
        began = time.perf_counter()
        best_mentors(np.array([max(one, 0)]), made.market, sums, keys, found)
        took.append(time.perf_counter() - began)
    return Pair(float(np.percentile(took[1:], 99)) * 1000)


@bench(
    "engine.one_change_10k",
    unit="ms, p99: the exact best 20 of 10k mentors for one mentee, on one core",
    goal=Goal(1.2, "at_most"),
    limit_is="none",
)
async def one_change_10k(_: object) -> Pair:
    """One changed profile among ten thousand mentors."""
    return await _one_change(10_000)


@bench(
    "engine.one_change_100k",
    unit="ms, p99: the exact best 20 of 100k mentors for one mentee, on one core",
    goal=Goal(10, "at_most"),
    limit_is="none",
)
async def one_change_100k(_: object) -> Pair:
    """One changed profile among a hundred thousand mentors."""
    return await _one_change(100_000)


@cache
def _assigned() -> Assignment:
    """Return a cohort of 80k mentees and 20k mentors with one to five seats, all assigned."""
    mentees = 2 * MENTEES
    made = synthetic(2 * MENTORS, mentees, 1)
    keys, found, _ = _best(made, mentees)
    who, nth = np.nonzero(found >= 0)
    values = _SERVED + np.round(keys[who, nth] % FIRST * (1 << 24)).astype(np.int64)
    seats: I32 = np.random.default_rng(1).integers(1, 6, made.mentors.shape[1], np.int32)
    assignment = Assignment(who, found[who, nth], values, np.zeros_like(seats))
    assignment.join_all(np.arange(len(assignment.state.there)))
    assignment.open_seats(np.arange(len(seats)), seats)
    return assignment


def _p99_of(event: Callable[[Assignment, int, int], object], dice: np.random.Generator) -> Pair:
    """Return the 99th percentile of an event's time in ms; each leaves the best assignment."""
    made = _assigned()
    took = []
    for mentee in dice.integers(0, len(made.state.there), _CHANGES):
        arc = made.state.arc[mentee]
        if arc < 0:
            continue
        mentor = int(made.arcs.mentor[arc])
        began = time.perf_counter()
        event(made, int(mentee), mentor)
        took.append(time.perf_counter() - began)
        assert made.value == made.bound
        made.join(int(mentee))
    return Pair(float(np.percentile(took, 99)) * 1000)


@bench(
    "engine.repair_join",
    unit="ms, p99: a mentee joins a cohort of 80k, and it is the best again",
    goal=Goal(1, "at_most"),
    limit_is="none; value equals bound after each",
)
async def repair_join(_: object) -> Pair:
    """Somebody comes."""
    made, took = _assigned(), []
    for mentee in np.random.default_rng(5).integers(0, len(made.state.there), _CHANGES):
        made.leave(int(mentee))
        began = time.perf_counter()
        made.join(int(mentee))
        took.append(time.perf_counter() - began)
        assert made.value == made.bound
    return Pair(float(np.percentile(took, 99)) * 1000)


@bench(
    "engine.repair_leave",
    unit="ms, p99: a matched mentee leaves a cohort of 80k, and it is the best again",
    goal=Goal(1, "at_most"),
    limit_is="none; value equals bound after each",
)
async def repair_leave(_: object) -> Pair:
    """Somebody leaves."""
    return _p99_of(lambda made, mentee, _: made.leave(mentee), np.random.default_rng(3))


@bench(
    "engine.repair_break",
    unit="ms, p99: a pair of a cohort of 80k breaks up for good, and it is the best again",
    goal=Goal(1, "at_most"),
    limit_is="none; value equals bound after each",
)
async def repair_break(_: object) -> Pair:
    """A pair breaks up."""
    return _p99_of(Assignment.bar, np.random.default_rng(4))
