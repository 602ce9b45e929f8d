"""Stable matchings: nobody would rather have each other, and no stable one is better for a mentee."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from services.matching.tests import reference
from services.matching.tests.people import a_pool_of
from services.matching.tests.test_round import a_cohort

from matching_service.domain.pool import Mentee, Mentor
from matching_service.engine import scan
from matching_service.engine import stable as stable_module
from matching_service.engine.deferred import AHEAD, Held, Lists, Seen, defer
from matching_service.engine.hold import hold_stable
from matching_service.engine.pool import Pool
from matching_service.engine.prices import keys_of
from matching_service.engine.scan import FIRST
from matching_service.engine.stable import stable

SEEDS = st.integers(0, 10**9)


def keys(pool: Pool) -> tuple[Any, Any]:
    """Return both sides' keys of every pair of the cohort, [mentees, mentors]; -1 for no pair."""
    cohort = pool.cohort()
    shape = len(cohort.mentees), len(cohort.mentors)
    ours, theirs = (index.ravel() for index in np.indices(shape))
    found = []
    for view in pool.views:
        out = np.empty(len(ours))
        keys_of(view, cohort.mentees[ours], cohort.mentors[theirs], out)
        found.append(out.reshape(shape))
    return found[0], found[1]


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, first=st.sampled_from([1, 2, 64]))
def test_no_pair_would_rather_have_each_other(seed: int, first: int) -> None:
    pool, *_ = a_cohort(seed)
    cohort = pool.cohort()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stable_module, "_LIST", first)
        found = stable(cohort, pool.views)

    ours, theirs = keys(pool)
    of_mentee, of_mentor = defaultdict(set), defaultdict(set)
    for j, i in zip(found.mentee.tolist(), found.mentor.tolist(), strict=True):
        assert ours[j, i] >= 0
        of_mentee[j].add(i)
        of_mentor[i].add(j)
    assert all(len(of_mentee[j]) <= cohort.wanted[j] for j in of_mentee)
    assert all(len(of_mentor[i]) <= cohort.seats[i] for i in of_mentor)
    for j, i in np.argwhere(ours >= 0).tolist():
        if i in of_mentee[j]:
            continue
        has_room = len(of_mentee[j]) < cohort.wanted[j]
        would = has_room or ours[j, i] > min(ours[j, other] for other in of_mentee[j])
        is_free = len(of_mentor[i]) < cohort.seats[i]
        welcome = is_free or theirs[j, i] > min(
            (theirs[other, i] for other in of_mentor[i]), default=np.inf
        )
        assert not (would and welcome)


@settings(deadline=None, max_examples=30)
@example(seed=916)  # a mentor can read nothing of a mentee
@given(seed=SEEDS)
def test_it_is_what_an_obvious_deferred_acceptance_finds(seed: int) -> None:
    """One mentor each, ties broken by lots: then the mentees' best stable matching is the only one."""
    pool, mentees, _ = a_cohort(seed)
    for mentee in mentees:
        pool.put_mentee(replace(mentee, wanted=1))
    cohort = pool.cohort()
    ours, theirs = keys(pool)
    lots = cohort.market.mentees.lot[cohort.mentees], cohort.market.mentors.lot[cohort.mentors]

    found = stable(cohort, pool.views)

    assert dict(zip(found.mentee.tolist(), found.mentor.tolist(), strict=True)) == _obvious(
        ours, theirs, cohort.seats, [[_lot(int(a), int(b)) for b in lots[1]] for a in lots[0]]
    )


def _lot(ours: int, theirs: int) -> int:
    """Return a pair's lot: splitmix64's finalizer of the sum, in Python's own numbers."""
    mixed, word = (ours + theirs) % 2**64, 2**64
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % word
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % word
    return mixed ^ mixed >> 31


def _obvious(ours: Any, theirs: Any, seats: Any, lots: list[list[int]]) -> dict[int, int]:
    lists = {}
    for j, row in enumerate(ours):
        ranked = [(-row[i], -lots[j][i], i) for i in np.flatnonzero(row >= 0).tolist()]
        lists[j] = [i for *_, i in sorted(ranked)]
    kept: dict[int, list[int]] = defaultdict(list)
    free = list(lists)
    while free:
        j = free.pop(0)
        if not lists[j]:
            continue
        i = lists[j].pop(0)
        kept[i].append(j)
        if len(kept[i]) > seats[i]:
            loser = min(kept[i], key=lambda other: (theirs[other, i], lots[other][i]))
            kept[i].remove(loser)
            free.append(loser)
    return {j: i for i, those in kept.items() for j in those}


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_each_side_sees_its_own_gain(seed: int) -> None:
    context, (mentees, mentors), _ = a_pool_of(seed, 5, 5)
    pool = Pool(context, mentees, mentors)
    cohort = pool.cohort()
    ours_by, theirs_by = ({m.person.person_id: m for m in side} for side in (mentees, mentors))
    left, right = keys(pool)

    for j, i in np.argwhere(left >= 0).tolist():
        mentee = ours_by[pool.mentee_at(int(cohort.mentees[j]))]
        mentor = theirs_by[pool.mentor_at(int(cohort.mentors[i]))]
        assert isinstance(mentee, Mentee)
        assert isinstance(mentor, Mentor)
        fused = np.sqrt((left[j, i] % FIRST) * (right[j, i] % FIRST))
        assert fused == pytest.approx(reference.score(mentee, mentor, context), abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, longest=st.integers(1, 9))
def test_what_mentors_like_is_looked_up_to_the_last_bit(seed: int, longest: int) -> None:
    """Four at a time, at the end of lists as well, and where a side can read nothing."""
    pool, *_ = a_cohort(seed)
    cohort = pool.cohort()
    count = len(cohort.mentees)
    _, lines = scan.best_lines(pool.views.mentees, cohort.mentees, longest)
    lists, likes = cohort.places[lines], np.zeros((count, AHEAD))
    wanted = np.full(count, longest + 1, np.int32)
    seats = np.full(len(cohort.mentors), count, np.int64)  # nobody is refused: all are asked
    held = Held(
        np.concatenate([[0], np.cumsum(seats)]),
        np.full(int(seats.sum()), -1, np.int32),
        np.full(int(seats.sum()), -1.0),
        np.zeros(len(seats), np.int32),
    )
    asking = Lists(lists, np.zeros(count, np.int64), wanted, np.zeros(count, np.int32), likes)

    defer(
        Seen(pool.views.mentors, cohort.mentees, cohort.mentors),
        asking,
        held,
        np.arange(count),
        count,
    )

    mentors = np.repeat(np.arange(len(seats)), seats)[held.mentee >= 0]
    mentees = held.mentee[held.mentee >= 0].astype(np.int64)
    expected = cohort.keys(mentees, mentors, pool.views.mentors)
    assert len(mentees) == (lists >= 0).sum()
    assert (held.likes[held.mentee >= 0] == expected).all()


def test_a_stable_round_is_told_like_any_other() -> None:
    pool, mentees, _ = a_cohort(3)
    cohort = pool.cohort()

    told = hold_stable(pool)

    found = stable(cohort, pool.views)
    assert len(told.matches) == len(found.mentee) > 0
    assert all(not pool.broken(m.mentee_id, m.mentor_id) for m in told.matches)
    served = {m.mentee_id for m in told.matches}
    assert len(served) + len(told.unserved) == len(cohort.mentees)
    assert sum(center.served for center in told.centers.values()) == len(served)
    by_id = {m.person.person_id: m for m in mentees}
    for one in told.matches:
        assert one.mentee_id in by_id
        again = pool.best_mentors([one.mentee_id], 6)[0]
        assert {c.person_id: c.score for c in again}[one.mentor_id] == one.score


@settings(deadline=None, max_examples=40)
@example(seed=176618099)
@given(seed=SEEDS)
def test_nobody_waits_twice_and_nothing_is_written_beyond_the_arrays(seed: int) -> None:
    """The loop uncompiled, so that an index beyond an array is an error and not somebody else's memory."""
    pool, *_ = a_cohort(seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stable_module, "defer", defer.py_func)  # type: ignore[attr-defined]
        slowly = hold_stable(pool)

    assert slowly.matches == hold_stable(pool).matches
