"""The matching engine, on synthetic people, against the matrix product at the same shape."""

import sys
import time
from collections.abc import Callable
from functools import cache

import numpy as np
from frame import Goal, Pair, bench
from market import Synthetic, synthetic

from matching_service.engine.assign import Assignment
from matching_service.engine.columns import F64, I32
from matching_service.engine.lanes import LANES
from matching_service.engine.prices import keys_of
from matching_service.engine.scan import FIRST, Market, best_lines, best_mentees, best_mentors

NEEDS_STACK = False
MENTORS, MENTEES, BEST = 10_000, 40_000, 50
_ROWS = 256  # of a product at once: the whole would not fit into memory


_CHANGES = 500
_BEST_FOR_ONE = 20
_ROOFS = 40  # mentees whose share of memory is summed
_CACHE = 8_000_000  # doubles, more than a processor's cache has
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


def _roof(market: Market) -> float:
    """Return the median ms of summing what a scan for one mentee must read of the mentors.

    Each mentee's rows of the tiles lie in one piece here, and none is in the cache: only how fast
    memory is counts. Languages and hours, which are read of the promising alone, are left out.
    """
    took, mentees = [], market.mentees
    for begin, end in mentees.terms[:_ROOFS]:
        rows = np.ascontiguousarray(market.mentors.tiles[:, mentees.rows[begin:end]]).view(
            np.uint64
        )
        np.zeros(_CACHE)[:] = 1  # what was copied is not in the cache any more
        began = time.perf_counter()
        rows.sum()
        took.append(time.perf_counter() - began)
    return float(np.median(took)) * 1000


def _must_be_all(market: Market, mentee: int, keys: F64, found: I32) -> None:
    """Check the best of one mentee against a scan that skips nobody: recall is 1."""
    everybody = np.arange(len(market.mentors.lot))
    all_keys = np.empty(len(everybody))
    keys_of(market, np.full(len(everybody), mentee), everybody, all_keys)
    assert (keys == np.sort(all_keys)[::-1][: len(keys)]).all()
    assert (all_keys[found] == keys).all()
    assert len(set(found.tolist())) == len(found)


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
    one = int(np.flatnonzero(made.market.mentees.open)[-1])
    best_mentors(np.array([one]), made.market, sums, keys, found)
    _must_be_all(made.market, one, keys[0], found[0])
    return Pair(float(np.percentile(took[1:], 99)) * 1000, _roof(made.market))


_SUMMED = (
    "one core's sum over the mentors' values of that mentee's features, in ms: the roof of memory"
)


@bench(
    "engine.one_change_10k",
    unit="ms, p99: the exact best 20 of 10k mentors for one mentee, on one core",
    goal=Goal(1.2, "at_most"),
    limit_is=_SUMMED,
)
async def one_change_10k(_: object) -> Pair:
    """One changed profile among ten thousand mentors."""
    return await _one_change(10_000)


@bench(
    "engine.one_change_100k",
    unit="ms, p99: the exact best 20 of 100k mentors for one mentee, on one core",
    goal=Goal(10, "at_most"),
    limit_is=_SUMMED,
)
async def one_change_100k(_: object) -> Pair:
    """One changed profile among a hundred thousand mentors."""
    return await _one_change(100_000)


@bench(
    "engine.one_change_mentor_10k",
    unit="ms, p99: the exact best 20 of 40k mentees for one of 10k mentors, on one core",
    goal=Goal(10, "at_most"),
    limit_is="none; equal to a scan that skips nobody",
)
async def one_change_mentor_10k(_: object) -> Pair:
    """A mentor's changed profile: who of forty thousand fits them best."""
    market = _market(MENTORS, MENTEES, 1).market
    keys, found = np.empty(_BEST_FOR_ONE), np.empty(_BEST_FOR_ONE, np.int32)
    lane = np.arange(LANES, dtype=np.uint64)
    is_open = (market.mentors.open[:, None] >> lane & np.uint64(1)).ravel().astype(np.bool_)
    mentors = np.random.default_rng(2).choice(np.flatnonzero(is_open), _CHANGES, replace=False)
    took = []
    for one in [mentors[0], *mentors]:  # the first compiles, and is not counted
        began = time.perf_counter()
        best_mentees(int(one), market, keys, found)
        took.append(time.perf_counter() - began)
    everybody, all_keys = np.arange(MENTEES), np.empty(MENTEES)
    keys_of(market, everybody, np.full(MENTEES, mentors[-1]), all_keys)
    assert (keys == np.sort(all_keys)[::-1][:_BEST_FOR_ONE]).all()
    assert (all_keys[found] == keys).all()
    return Pair(float(np.percentile(took[1:], 99)) * 1000)


_AWAY = 3 * _CHANGES
"""The last of that cohort's mentees, who were never there: some for each run."""
_strangers = iter(np.arange(2 * MENTEES - _AWAY, 2 * MENTEES).reshape(-1, _CHANGES))


@cache
def _assigned() -> Assignment:
    """Return a cohort of 80k mentees and 20k mentors with one to five seats, all assigned but `_AWAY`."""
    mentees = 2 * MENTEES
    made = synthetic(2 * MENTORS, mentees, 1)
    keys, found, _ = _best(made, mentees)
    who, nth = np.nonzero(found >= 0)
    values = _SERVED + np.round(keys[who, nth] % FIRST * (1 << 24)).astype(np.int64)
    seats: I32 = np.random.default_rng(1).integers(1, 6, made.mentors.shape[1], np.int32)
    assignment = Assignment(who, found[who, nth], values, np.zeros_like(seats))
    assignment.join_all(np.arange(mentees - _AWAY))
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
    unit="ms, p99: a mentee joins a cohort of 80k (half just left, half never were there), and it is"
    " the best again",
    goal=Goal(1, "at_most"),
    limit_is="none; value equals bound after each",
)
async def repair_join(_: object) -> Pair:
    """Somebody comes."""
    made, took = _assigned(), []
    known = np.random.default_rng(5).integers(0, len(made.state.there) - _AWAY, _CHANGES)
    for mentee in np.stack([known, next(_strangers)], 1).ravel():
        made.leave(int(mentee))
        began = time.perf_counter()
        made.join(int(mentee))
        took.append(time.perf_counter() - began)
        assert made.value == made.bound
    each = [f"{np.percentile(part, 99) * 1000:.2f} ms" for part in (took[::2], took[1::2])]
    sys.stderr.write(f"  p99 of who just left {each[0]}, of who never was there {each[1]}\n")
    return Pair(float(np.percentile(took, 99)) * 1000)


@bench(
    "engine.repair_seats",
    unit="ms, p99: a mentor of a cohort of 80k has a seat more or a seat less, and it is the best again",
    goal=Goal(1, "at_most"),
    limit_is="none; value equals bound after each",
)
async def repair_seats(_: object) -> Pair:
    """A seat more, and a seat less."""
    made = _assigned()
    more: list[float] = []
    less: list[float] = []
    for mentor in np.random.default_rng(6).integers(0, len(made.state.seats), _CHANGES).tolist():
        seats = int(made.state.seats[mentor])
        for took, number in ((more, seats + 1), (less, seats), (less, seats - 1), (more, seats)):
            began = time.perf_counter()
            made.set_seats(mentor, number)
            took.append(time.perf_counter() - began)
            assert made.value == made.bound
    each = [f"{np.percentile(part, 99) * 1000:.2f} ms" for part in (more, less)]
    sys.stderr.write(f"  p99 of a seat more {each[0]}, of a seat less {each[1]}\n")
    return Pair(float(np.percentile([*more, *less], 99)) * 1000)


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
