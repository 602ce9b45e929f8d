"""Other libraries on the same people in the same run: PyPI `matching`, OR-Tools, OpenReview.

OpenReview's solvers are on no package registry: `OPENREVIEW=<a checkout of openreview-matcher> make bench
ONLY=engine.openreview` runs them, which takes minutes; without it they are not among the benchmarks.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_round import cohort_of
from frame import Pair, bench
from market import synthetic
from peers import ask

from matching_service.engine import scan
from matching_service.engine.assign import Assignment
from matching_service.engine.cohort import Cohort
from matching_service.engine.columns import F64, I32, I64
from matching_service.engine.stable import Stable, Views, on_lists

NEEDS_STACK = False
MENTORS, MENTEES, LIST = 1_000, 4_000, 50
_TRIES = 5
_POINT = 1 << 24
_SERVED = 2 * MENTEES * _POINT  # more than all scores together


def views_of(cohort: Cohort) -> Views:
    """Return the market as each side sees it alone."""
    market = cohort.market
    sides = market.scale.sides
    ours, theirs = (
        market._replace(scale=market.scale._replace(sides=np.full_like(sides, side)))
        for side in (scan.LEFT, scan.RIGHT)
    )
    return Views(ours, theirs)


def lists_of(cohort: Cohort, views: Views, most: int) -> I32:
    """Return whom each mentee likes best: int32[mentees, most], places, -1 after the last."""
    _, lines = scan.best_lines(views.mentees, cohort.mentees, most)
    return cohort.places[lines]


def ask_matching(cohort: Cohort, views: Views, lists: I32) -> Any:
    """Return {"seconds", "pairs"} of PyPI `matching` on the same lists."""
    who, nth = np.nonzero(lists >= 0)
    whom = lists[who, nth].astype(np.int64)
    likes = np.stack([whom, who, cohort.keys(who, whom, views.mentors)], 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lists.npz"
        np.savez(path, lists=lists, likes=likes, seats=cohort.seats)
        return ask("peer_matching.py", str(path))


def pairs_of(found: Stable) -> list[list[int]]:
    """Return [mentee, mentor] of everybody who is matched, in order."""
    return sorted(map(list, zip(found.mentee.tolist(), found.mentor.tolist(), strict=True)))


@bench(
    "engine.stable",
    unit="matchings/s: 1k mentors x 4k mentees, lists of 50, from the lists to the matching",
    goal=1_000,
    limit_is="PyPI matching 1.4.3 from the same lists, create and solve; the matchings are compared",
)
async def stable(_: object) -> Pair:
    """Deferred acceptance from lists."""
    cohort = cohort_of(synthetic(MENTORS, MENTEES, 1).market)
    views = views_of(cohort)
    lists = lists_of(cohort, views, LIST)
    found = on_lists(cohort, views, lists)  # compiled, or read from disk
    took = []
    for _try in range(_TRIES):
        began = time.perf_counter()
        on_lists(cohort, views, lists)
        took.append(time.perf_counter() - began)
    ours = statistics.median(took)
    theirs = ask_matching(cohort, views, lists)
    assert theirs["pairs"] == pairs_of(found)
    return Pair(1 / ours, 1 / theirs["seconds"])


def _arcs(cohort: Cohort) -> tuple[I64, I32, F64]:
    """Return everybody's best pairs, [arcs]: mentees' and mentors' places, scores."""
    keys, lines = scan.best_lines(cohort.market, cohort.mentees, LIST)
    who, nth = np.nonzero(lines >= 0)
    return who, cohort.places[lines[who, nth]], keys[who, nth] % scan.FIRST


def _values(scores: F64) -> I64:
    """Return what pairs are worth where being served comes before any score."""
    return _SERVED + np.rint(scores * _POINT).astype(np.int64)


def _timed(assigned: Callable[[], Assignment]) -> tuple[Assignment, float]:
    """Return an assignment that proves itself, and the seconds it took."""
    assigned()  # compiled, or read from disk
    began = time.perf_counter()
    found = assigned()
    took = time.perf_counter() - began
    assert found.value == found.bound
    return found, took


@bench(
    "engine.optimal",
    unit="assignments/s: 1k mentors x 4k mentees, their best 50 each, served first, then scores",
    goal=1,
    limit_is="OR-Tools 9 SimpleMinCostFlow from the same arcs; the values are compared",
)
async def optimal(_: object) -> Pair:
    """The best assignment on given arcs."""
    cohort = cohort_of(synthetic(MENTORS, MENTEES, 1).market)
    who, whom, score = _arcs(cohort)
    value = _values(score)

    def assigned() -> Assignment:
        made = Assignment(who, whom, value, np.zeros_like(cohort.seats))
        made.join_all(np.arange(len(cohort.mentees)))
        made.open_seats(np.arange(len(cohort.seats)), cohort.seats)
        return made

    found, ours = _timed(assigned)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arcs.npz"
        np.savez(path, who=who, whom=whom, value=value, seats=cohort.seats)
        theirs = ask("peer_ortools.py", str(path))
    assert theirs["value"] == found.value
    return Pair(1 / ours, 1 / theirs["seconds"])


async def _openreview(module: str, name: str) -> Pair:
    """Hold one of its solvers against ours: one mentor each, three to seven seats, the best 50."""
    cohort = cohort_of(synthetic(MENTORS, MENTEES, 1).market)
    seats = np.random.default_rng(2).integers(3, 8, len(cohort.seats), np.int32)  # it needs plenty
    who, whom, score = _arcs(cohort)
    value = _values(score)

    def assigned() -> Assignment:
        made = Assignment(who, whom, value, np.zeros_like(seats))
        made.open_seats(np.arange(len(seats)), seats)
        made.join_all(np.arange(len(cohort.mentees)))
        return made

    found, ours = _timed(assigned)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arcs.npz"
        np.savez(path, who=who, whom=whom, score=score, seats=seats)
        theirs = ask("peer_openreview.py", os.environ["OPENREVIEW"], module, name, str(path))
    values = dict(zip(zip(who.tolist(), whom.tolist(), strict=True), value.tolist(), strict=True))
    worth = sum(values[j, i] for j, i in theirs["pairs"])
    assert worth <= found.value
    points = [total - _SERVED * found.served for total in (worth, found.value)]
    print(f"{name}: {points[0] / points[1]:.5f} of our score", file=sys.stderr)
    return Pair(1 / ours, 1 / theirs["seconds"])


if "OPENREVIEW" in os.environ:
    _UNIT = "assignments/s: 1k mentors x 4k mentees, their best 50 each, three to seven seats"
    _LIMIT = "OpenReview's on the same arcs; its value is never higher"

    @bench("engine.openreview_minmax", unit=_UNIT, goal=200, limit_is=_LIMIT, runs=1)
    async def minmax(_: object) -> Pair:
        """MinMax: two minimum-cost flows."""
        return await _openreview("minmax_solver", "MinMaxSolver")

    @bench("engine.openreview_fairsequence", unit=_UNIT, goal=300, limit_is=_LIMIT, runs=1)
    async def fairsequence(_: object) -> Pair:
        """FairSequence: mentees pick in turns, as far as nobody then envies."""
        return await _openreview("fairsequence", "FairSequence")
