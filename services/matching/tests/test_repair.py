"""A round that goes on stays what a round held anew would be, over all pairs."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests.builders import a_context
from services.matching.tests.test_round import a_cohort, two_of_each

from matching_service.engine.assign import Assignment
from matching_service.engine.hold import hold_round
from matching_service.engine.pool import Pool
from matching_service.engine.repair import Standing

UNIT = 1 << 24


class Anew:
    """What happened so far, and the best that there is then: every eligible pair is an arc."""

    def __init__(self, pool: Pool) -> None:
        cohort = pool.cohort()
        shape = len(cohort.mentees), len(cohort.mentors)
        who, whom = (index.ravel() for index in np.indices(shape))
        self.keys = cohort.keys(who, whom).reshape(shape)
        self.ids = (
            [pool.mentee_at(line) for line in cohort.mentees.tolist()],
            [pool.mentor_at(line) for line in cohort.mentors.tolist()],
        )
        self.seats, self.wanted = cohort.seats.copy(), cohort.wanted
        self.there = np.ones(shape[0], bool)

    def best(self) -> tuple[int, float]:
        """(how many are served, the sum of keys)."""
        who, whom = np.nonzero(self.keys >= 0)
        keys = self.keys[who, whom]
        served = 10 * UNIT * int(self.wanted.sum())
        values = served + np.rint(keys * UNIT).astype(np.int64)
        made = Assignment(
            who, whom, values, self.seats, self.wanted.astype(np.int32), first_one=served
        )
        made.join_all(np.flatnonzero(self.there))
        assert made.value == made.bound
        return made.served, (made.value - made.served * served) / UNIT

    def of(self, matches: set[tuple[UUID, UUID]]) -> tuple[int, float]:
        """The same of these pairs; each of them must be eligible, and nobody has too many."""
        j = np.array([self.ids[0].index(one) for one, _ in matches], np.int64)
        i = np.array([self.ids[1].index(one) for _, one in matches], np.int64)
        keys = self.keys[j, i]
        assert (keys >= 0).all()
        assert self.there[j].all()
        assert (np.bincount(i, minlength=len(self.seats)) <= self.seats).all()
        assert (np.bincount(j, minlength=len(self.there)) <= self.wanted).all()
        return len(set(j.tolist())), float(keys.sum())


def happens(standing: Standing, anew: Anew, dice: np.random.Generator) -> None:
    j, i = int(dice.integers(len(anew.ids[0]))), int(dice.integers(len(anew.ids[1])))
    mentee, mentor = anew.ids[0][j], anew.ids[1][i]
    match dice.choice(["join", "leave", "part", "part", "seats"]):
        case "join":
            standing.join(mentee)
            anew.there[j] = True
        case "leave":
            standing.leave(mentee)
            anew.there[j] = False
        case "part":
            together = sorted(standing.matches)
            if together and dice.random() < 0.7:
                mentee, mentor = together[int(dice.integers(len(together)))]
            standing.part(mentee, mentor)
            anew.keys[anew.ids[0].index(mentee), anew.ids[1].index(mentor)] = -1
        case _:
            seats = int(dice.integers(0, 4))
            standing.set_seats(mentor, seats)
            anew.seats[i] = seats


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**9), candidates=st.sampled_from([1, 2, 50]))
def test_whatever_happens_it_is_what_a_round_held_anew_would_be(seed: int, candidates: int) -> None:
    pool, *_ = a_cohort(seed)
    anew, dice = Anew(pool), np.random.default_rng(seed)
    if not all(anew.ids):
        return
    standing = Standing(pool, candidates=candidates)
    assert anew.of(standing.matches) == pytest.approx(anew.best(), abs=1e-5)

    for _ in range(12):
        happens(standing, anew, dice)
        anew.of(standing.matches)  # it is a matching at any time
        if dice.random() < 0.5:
            standing.prove()
            assert anew.of(standing.matches) == pytest.approx(anew.best(), abs=1e-5)


def test_who_is_away_comes_later_and_is_matched_as_if_they_had_been_there() -> None:
    pool, mentees, _ = two_of_each(seats=1)
    late = mentees[0].person.person_id
    standing = Standing(pool, away={late})
    assert late not in {mentee for mentee, _ in standing.matches}

    standing.join(late)
    standing.prove()

    held = hold_round(pool)
    assert standing.matches == {(m.mentee_id, m.mentor_id) for m in held.matches}


def test_nobody_at_all_may_stand_too_and_strangers_are_an_error() -> None:
    standing: Any = Standing(Pool(a_context()))

    assert (standing.matches, standing.value) == (set(), 0)
    for do in (standing.join, standing.leave):
        with pytest.raises(KeyError):
            do(UUID(int=1))
