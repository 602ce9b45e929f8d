"""The matching engine, on synthetic people, against the matrix product at the same shape."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from frame import Goal, Pair, bench
from market import synthetic

from matching_service.engine.lanes import LANES
from matching_service.engine.scan import best_mentors

NEEDS_STACK = False
MENTORS, MENTEES, BEST = 10_000, 40_000, 50
_TOGETHER = 128
_ROWS = 256  # of a product at once: the whole would not fit into memory


_CHANGES = 500
_BEST_FOR_ONE = 20
_market = cache(synthetic)


@bench(
    "engine.scan",
    unit="million pairs/s, scored from both sides, ruled, the best 50 kept, 10k x 40k",
    goal=0.75,
    limit_is="numpy's sgemm at that shape (40k x 642 x 10k): one side's scores and nothing else",
)
async def scan(_: object) -> Pair:
    """Every mentee's fifty best."""
    made = _market(MENTORS, MENTEES, 1)
    keys = np.empty((MENTEES, BEST))
    found = np.empty((MENTEES, BEST), np.int32)
    lines = np.arange(MENTEES)

    def part(begin: int) -> None:
        own = slice(begin, begin + _TOGETHER)
        sums = np.empty((2, LANES), np.float32)
        best_mentors(lines[own], made.market, sums, keys[own], found[own])

    part(0)  # compiled, or read from disk
    with ThreadPoolExecutor() as processors:
        began = time.perf_counter()
        list(processors.map(part, range(0, MENTEES, _TOGETHER)))
        ours = time.perf_counter() - began
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
