"""Other libraries on the same people in the same run: PyPI `matching`, OR-Tools."""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_round import cohort_of
from frame import Pair, bench
from market import synthetic
from peers import ask

from matching_service.engine import scan
from matching_service.engine.assign import Assignment
from matching_service.engine.stable import Views, on_lists

NEEDS_STACK = False
MENTORS, MENTEES, LIST = 1_000, 4_000, 50
_TRIES = 5
_POINT = 1 << 24


@bench(
    "engine.stable",
    unit="matchings/s: 1k mentors x 4k mentees, lists of 50, from the lists to the matching",
    goal=1_000,
    limit_is="PyPI matching 1.4.3 from the same lists, create and solve; the matchings are compared",
)
async def stable(_: object) -> Pair:
    """Deferred acceptance from lists."""
    market = synthetic(MENTORS, MENTEES, 1).market
    cohort = cohort_of(market)
    sides = market.scale.sides
    views = Views(
        *(
            market._replace(scale=market.scale._replace(sides=np.full_like(sides, side)))
            for side in (scan.LEFT, scan.RIGHT)
        )
    )
    _, lines = scan.best_lines(views.mentees, cohort.mentees, LIST)
    lists = cohort.places[lines]
    found = on_lists(cohort, views, lists)  # compiled, or read from disk
    took = []
    for _try in range(_TRIES):
        began = time.perf_counter()
        on_lists(cohort, views, lists)
        took.append(time.perf_counter() - began)
    ours = statistics.median(took)
    who, nth = np.nonzero(lists >= 0)
    whom = lists[who, nth].astype(np.int64)
    likes = cohort.keys(who, whom, views.mentors)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lists.npz"
        np.savez(path, lists=lists, likes=np.stack([whom, who, likes], 1), seats=cohort.seats)
        theirs = ask("peer_matching.py", str(path))
    assert theirs["pairs"] == sorted(
        map(list, zip(found.mentee.tolist(), found.mentor.tolist(), strict=True))
    )
    return Pair(1 / ours, 1 / theirs["seconds"])


@bench(
    "engine.optimal",
    unit="assignments/s: 1k mentors x 4k mentees, their best 50 each, served first, then scores",
    goal=1,
    limit_is="OR-Tools 9 SimpleMinCostFlow from the same arcs; the values are compared",
)
async def optimal(_: object) -> Pair:
    """The best assignment on given arcs."""
    market = synthetic(MENTORS, MENTEES, 1).market
    cohort = cohort_of(market)
    keys, lines = scan.best_lines(market, cohort.mentees, LIST)
    who, nth = np.nonzero(lines >= 0)
    whom = cohort.places[lines[who, nth]]
    served = 2 * MENTEES * _POINT
    value = served + np.rint(keys[who, nth] % scan.FIRST * _POINT).astype(np.int64)

    def assigned() -> Assignment:
        made = Assignment(who, whom, value, np.zeros_like(cohort.seats))
        made.join_all(np.arange(len(cohort.mentees)))
        made.open_seats(np.arange(len(cohort.seats)), cohort.seats)
        return made

    assigned()  # compiled, or read from disk
    began = time.perf_counter()
    found = assigned()
    ours = time.perf_counter() - began
    assert found.value == found.bound
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arcs.npz"
        np.savez(path, who=who, whom=whom, value=value, seats=cohort.seats)
        theirs = ask("peer_ortools.py", str(path))
    assert theirs["value"] == found.value
    return Pair(1 / ours, 1 / theirs["seconds"])
