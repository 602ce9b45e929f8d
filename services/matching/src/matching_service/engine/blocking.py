"""Who would rather have somebody else: alone, or both of a pair, which then blocks a matching."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from matching_service.engine.cohort import Cohort
from matching_service.engine.columns import F64, I32, I64
from matching_service.engine.jit import compiled
from matching_service.engine.lanes import LANES
from matching_service.engine.rules import fits
from matching_service.engine.scan import Market, add_up_one, key_of
from matching_service.engine.stable import Views

_TOGETHER = 256


class Least(NamedTuple):
    """Everybody, and what each would have to be offered more than."""

    mentees: I64
    mentors: I64
    """Their lines."""
    of_mentee: F64
    of_mentor: F64
    """Keys in their own view."""
    others: I64
    """[mentors]: how many mentees each has."""


class Unrest(NamedTuple):
    """Who would rather have somebody else, [mentees]."""

    blocking: I64
    """In how many blocking pairs each is."""
    envied: I64
    """How many mentors, whom others have, each may have and would rather have."""


@compiled
def _count(least: Least, begin: int, end: int, ours: Market, theirs: Market, found: Unrest) -> None:
    columns, others = ours.mentees.columns, ours.mentors.columns
    for n in range(begin, end):
        j = least.mentees[n]
        for m in range(len(least.mentors)):
            i = least.mentors[m]
            if not fits(columns, j, others, i, ours.where):
                continue
            left, right = add_up_one(ours, j, i // LANES, i % LANES)
            if key_of(ours, j, i, left, right) <= least.of_mentee[n]:
                continue
            found.envied[n] += least.others[m] > 0
            left, right = add_up_one(theirs, j, i // LANES, i % LANES)
            if key_of(theirs, j, i, left, right) > least.of_mentor[m]:
                found.blocking[n] += 1


def unrest(cohort: Cohort, views: Views, mentee: I64, mentor: I64) -> Unrest:
    """Return who would rather have somebody else; O(all pairs), on all processors.

    Args:
        cohort: who takes part.
        views: the market as each side sees it alone.
        mentee: places of matched mentees, a pair each.
        mentor: places of their mentors.
    """
    ours, theirs = (cohort.keys(mentee, mentor, view) for view in views)
    of_mentor = _least(mentor, theirs, cohort.seats)
    of_mentor[cohort.seats == 0] = np.inf
    of_mentee = _least(mentee, ours, cohort.wanted)
    others = np.bincount(mentor, minlength=len(cohort.mentors))
    least = Least(cohort.mentees, cohort.mentors, of_mentee, of_mentor, others)
    count = len(cohort.mentees)
    found = Unrest(np.zeros(count, np.int64), np.zeros(count, np.int64))

    def part(begin: int) -> None:
        end = min(begin + _TOGETHER, count)
        _count(least, begin, end, views.mentees, views.mentors, found)

    with ThreadPoolExecutor() as processors:
        list(processors.map(part, range(0, count, _TOGETHER)))
    # Who has several may have one that is better than the least of them: that is nothing to wish for.
    better = ours > of_mentee[mentee]
    np.subtract.at(found.envied, mentee[better], 1)
    np.subtract.at(found.blocking, mentee[better & (theirs > of_mentor[mentor])], 1)
    return found


def _least(who: I64, keys: F64, room: I32) -> F64:
    """Return what each would have to be offered more than: their least, or nothing with room left."""
    least = np.full(len(room), np.inf)
    np.minimum.at(least, who, keys)
    least[np.bincount(who, minlength=len(room)) < room] = -0.5
    return least
