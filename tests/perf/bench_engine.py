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


_SEQUENCES, _EVENTS = 1000, 20


def _small(seed: int) -> Assignment:
    """Return a small market, half of its people there."""
    made = _market(64, 240, seed % 20 + 1)
    keys, found = best_lines(made.market, np.arange(240), 12)
    who, nth = np.nonzero(found >= 0)
    values = _SERVED + np.round(keys[who, nth] % FIRST * (1 << 24)).astype(np.int64)
    wanted = np.random.default_rng(seed).integers(1, 3, 240, np.int32)
    seats: I32 = np.random.default_rng(seed).integers(0, 4, made.mentors.shape[1], np.int32)
    assignment = Assignment(who, found[who, nth], values, seats, wanted, first_one=_SERVED)
    assignment.join_all(np.arange(0, 240, 2))
    return assignment


def _happens(made: Assignment, dice: np.random.Generator) -> None:
    mentee = int(dice.integers(0, len(made.state.there)))
    match dice.integers(0, 4):
        case 0:
            made.join(mentee)
        case 1:
            made.leave(mentee)
        case 2:
            units = made.state.units
            at = made.state.arc[units[mentee] : units[mentee + 1]]
            if len(own := at[at >= 0]):
                made.bar(mentee, int(made.arcs.mentor[own[0]]))
        case _:
            mentor = int(dice.integers(0, len(made.state.seats)))
            made.set_seats(mentor, int(dice.integers(0, 5)))


def _anew(made: Assignment) -> int:
    """Return what the same people are worth if they are all assigned anew."""
    arcs, state = made.arcs, made.state
    fit = arcs.value >= 0
    other = Assignment(
        arcs.mentee[fit],
        arcs.mentor[fit],
        arcs.value[fit],
        state.seats,
        np.diff(state.units).astype(np.int32),
        first_one=_SERVED,
    )
    other.join_all(np.flatnonzero(state.there))
    return other.value


@bench(
    "engine.repair_sequences",
    unit="of 1,000 random sequences of 20 events (join, leave, break, seats) end where a re-solve does",
    goal=Goal(_SEQUENCES, "at_least"),
    limit_is="none; value equals bound after each event as well",
    runs=1,
)
async def repair_sequences(_: object) -> Pair:
    """Whatever happens one by one, it is the best of all that is possible now."""
    right = 0
    for seed in range(_SEQUENCES):
        made, dice = _small(seed), np.random.default_rng(seed)
        proved = True
        for _event in range(_EVENTS):
            _happens(made, dice)
            proved &= made.value == made.bound
        right += proved and made.value == _anew(made)
    return Pair(right)


@bench(
    "engine.memory",
    unit="MB for 1,000 people as the engine keeps them, 10k x 40k with 642 features",
    goal=Goal(3, "at_most"),
    limit_is="none",
    runs=1,
)
async def memory(_: object) -> Pair:
    """What people take in memory."""
    market = _market(MENTORS, MENTEES, 1).market
    sides = (market.mentees, market.mentors, market.mentees.columns, market.mentors.columns)
    arrays = [array for side in sides for array in side if isinstance(array, np.ndarray)]
    people = len(market.mentees.lot) + len(market.mentors.lot)
    return Pair(sum(array.nbytes for array in arrays) / 1e6 / people * 1000)
