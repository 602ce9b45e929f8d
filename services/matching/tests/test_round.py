"""A cohort's round: the same as an independent solver's over all pairs, level by level."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp
from services.matching.tests.builders import a_center, a_context, a_mentee, a_mentor, a_person
from services.matching.tests.people import a_pool_of

from matching_service.domain.pool import Context, Mentee, Mentor
from matching_service.engine import prices, scan
from matching_service.engine.hold import Asked, Outcome, Round, hold_round
from matching_service.engine.pool import Pool
from matching_service.engine.scan import FIRST

SEEDS = st.integers(0, 10**9)
SMALL = 1e-5


class Everybody:
    """All eligible pairs of a pool with their keys, for HiGHS."""

    def __init__(
        self, pool: Pool, mentees: list[Mentee], mentors: list[Mentor], asked: Asked
    ) -> None:
        seats = {
            m.person.person_id: m.room(pool.context.programme.protected_minutes_month)
            for m in mentors
        }
        ids = [m.person.person_id for m in mentees]
        best = pool.best_mentors(ids, len(mentors))
        pairs = [
            (n, c.person_id, c.score + (0 if c.later else FIRST))
            for n, candidates in enumerate(best)
            for c in candidates
        ]
        self.who = np.array([n for n, *_ in pairs], np.int64)
        self.whom = [mentor for _, mentor, _ in pairs]
        self.keys = np.array([key for *_, key in pairs])
        self.ids, self.mentors, self.count = ids, list(seats), len(ids)
        self.seats = np.array(list(seats.values()))
        self.center = np.array([m.person.center.institution_id for m in mentees])
        self.wanted = np.array(
            [1 if m.person.center.institution_id in asked.ceilings else m.wanted for m in mentees]
        )

    def limits(self, ceilings: dict[str, int]) -> list[LinearConstraint]:
        """Return what every assignment keeps to: variables are the pairs and who is served."""
        zeros = np.zeros((len(self.mentors), self.count))
        of_mentor = np.array([[m == mentor for m in self.whom] for mentor in self.mentors], float)
        of_mentee = (np.arange(self.count)[:, None] == self.who).astype(float)
        none = np.zeros((self.count, self.count))
        found = [
            LinearConstraint(np.hstack([of_mentor.reshape(len(zeros), -1), zeros]), ub=self.seats),
            LinearConstraint(np.hstack([of_mentee, none]), ub=self.wanted),
            LinearConstraint(np.hstack([-of_mentee, np.eye(self.count)]), ub=0),
            LinearConstraint(
                np.hstack([of_mentee, -self.wanted[:, None] * np.eye(self.count)]), ub=0
            ),
        ]
        for center, most in ceilings.items():
            found.append(LinearConstraint(self.served_at(center), ub=most))
        return found

    def served_at(self, center: str) -> Any:
        return np.concatenate([np.zeros(len(self.who)), self.center == center])

    def served(self) -> Any:
        return np.concatenate([np.zeros(len(self.who)), np.ones(self.count)])

    def most(self, worth: Any, limits: list[LinearConstraint]) -> float:
        return solved(worth, limits, np.ones(len(worth)))

    def most_of_floors(self, floors: dict[str, int], limits: list[LinearConstraint]) -> int:
        """Return how many people the floors are met by together, at most: a variable more each."""
        many = len(floors)
        wider = [wider_by(many, limit) for limit in limits]
        for n, center in enumerate(floors):
            row = np.concatenate([-self.served_at(center), np.arange(many) == n])
            wider.append(LinearConstraint(row, ub=0))
        size = len(self.who) + self.count
        worth = np.concatenate([np.zeros(size), np.ones(many)])
        return round(solved(worth, wider, np.concatenate([np.ones(size), list(floors.values())])))


def wider_by(many: int, limit: LinearConstraint) -> LinearConstraint:
    """Return a limit on more variables, which do not count in it."""
    rows = np.atleast_2d(np.asarray(limit.A))
    return LinearConstraint(np.hstack([rows, np.zeros((len(rows), many))]), ub=limit.ub)


def solved(worth: Any, limits: list[LinearConstraint], most: Any) -> float:
    """Return the greatest worth of whole numbers from 0 to `most`."""
    whole = np.ones(len(worth), np.int64)
    found = milp(-worth, integrality=whole, bounds=Bounds(0, most), constraints=limits)
    assert found.success
    assert found.fun is not None
    return -float(found.fun)


def some_asked(seed: int, mentees: list[Mentee]) -> Asked:
    dice = np.random.default_rng(seed)
    people = Counter(m.person.center.institution_id for m in mentees)
    floors, ceilings = {}, {}
    for center, count in people.items():
        match dice.choice(["floor", "ceiling", "both", "none", "none"]):
            case "floor":
                floors[center] = int(dice.integers(0, count + 1))
            case "ceiling":
                ceilings[center] = int(dice.integers(0, count + 1))
            case "both":
                ceilings[center] = int(dice.integers(0, count + 1))
                floors[center] = int(dice.integers(0, ceilings[center] + 1))
            case _:
                pass
    return Asked(float(dice.choice([0, 0, 0.5, 1])), floors, ceilings)


def a_cohort(seed: int, many: int = 14, few: int = 6) -> tuple[Pool, list[Mentee], list[Mentor]]:
    context, (mentees, mentors), _ = a_pool_of(seed, many, few)
    dice = np.random.default_rng(seed)
    mentees = [replace(m, wanted=int(dice.integers(1, dice.choice([2, 4])))) for m in mentees]
    programme = replace(context.programme, participants=None)
    context = replace(context, programme=programme)
    return Pool(context, mentees, mentors), mentees, mentors


def held(pool: Pool, asked: Asked, candidates: int = 2) -> Round:
    return hold_round(pool, replace(asked, candidates=candidates))


def open_of(pool: Pool, mentees: list[Mentee]) -> list[Mentee]:
    takes_part = {pool.mentee_at(line) for line in pool.cohort().mentees.tolist()}
    return [m for m in mentees if m.person.person_id in takes_part]


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_a_round_is_the_best_over_all_eligible_pairs_level_by_level(seed: int) -> None:
    pool, mentees, mentors = a_cohort(seed)
    mentees = open_of(pool, mentees)
    asked = some_asked(seed, mentees)

    result = held(pool, asked)

    everybody = Everybody(pool, mentees, mentors, asked)
    limits = everybody.limits(dict(asked.ceilings))
    floors = {name: center.floor for name, center in result.centers.items() if center.floor}
    met = sum(min(c.served, c.floor) for c in result.centers.values())
    if len(everybody.who) == 0:
        assert result.matches == []
        return
    assert met == (everybody.most_of_floors(floors, limits) if floors else 0)
    served = served_by(result)
    assert served == round(everybody.most(everybody.served(), limits))
    for center in floors:  # each center's number is as the floors' optimum allows: hold it
        short = min(result.centers[center].served, result.centers[center].floor)
        limits.append(LinearConstraint(everybody.served_at(center), lb=short))
    limits.append(LinearConstraint(everybody.served(), lb=served))
    worth = np.concatenate([everybody.keys, np.zeros(everybody.count)])
    assert points_of(result) == pytest.approx(everybody.most(worth, limits), abs=SMALL)
    assert result.gap == 0


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_a_round_keeps_the_rules_the_seats_and_what_was_asked(seed: int) -> None:
    pool, mentees, mentors = a_cohort(seed)
    asked = some_asked(seed, open_of(pool, mentees))

    result = held(pool, asked)

    pairs = [(m.mentee_id, m.mentor_id) for m in result.matches]
    assert len(set(pairs)) == len(pairs)
    assert all(not pool.broken(*pair) for pair in pairs)
    minutes = pool.context.programme.protected_minutes_month
    seats = {m.person.person_id: m.room(minutes) for m in mentors}
    assert all(count <= seats[who] for who, count in Counter(i for _, i in pairs).items())
    wanted = {m.person.person_id: m.wanted for m in mentees}
    assert all(count <= wanted[who] for who, count in Counter(j for j, _ in pairs).items())
    for center, most in asked.ceilings.items():
        assert result.centers[center].served <= most if center in result.centers else True
    assert {j for j, _ in pairs}.isdisjoint(result.unserved)
    assert len({j for j, _ in pairs}) + len(result.unserved) == len(open_of(pool, mentees))


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, candidates=st.sampled_from([1, 2, 50]))
def test_whoever_comes_first_and_on_however_many_processors_the_pairs_are_the_same(
    seed: int, candidates: int
) -> None:
    pool, mentees, mentors = a_cohort(seed)
    asked = some_asked(seed, open_of(pool, mentees))
    mixed = Random(seed)  # noqa: S311 - a replayable choice
    again = Pool(
        pool.context, mixed.sample(mentees, len(mentees)), mixed.sample(mentors, len(mentors))
    )

    result = held(pool, asked, candidates)

    assert pairs(held(again, asked, candidates)) == pairs(result)
    for processors in (1, 8):
        with pytest.MonkeyPatch.context() as patch:
            for module in (scan, prices):
                patch.setattr(module, "ThreadPoolExecutor", partial(ThreadPoolExecutor, processors))
                patch.setattr(module, "_TOGETHER", 3)  # several have something to do
            assert pairs(held(pool, asked, candidates)) == pairs(result)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_however_many_pairs_it_begins_with_it_is_as_good_and_the_same_if_one_is_the_best(
    seed: int,
) -> None:
    """Which one it is of several that are equally good depends on where it begins."""
    pool, mentees, _ = a_cohort(seed)
    asked = some_asked(seed, open_of(pool, mentees))
    result = held(pool, asked)

    for candidates in (1, 5, 50):
        other = held(pool, asked, candidates)
        assert other.solution.value == result.solution.value
        if pairs(other) != pairs(result):
            assert not is_the_only_best(pool, mentees, asked, result)


def pairs(result: Outcome) -> set[tuple[UUID, UUID]]:
    return {_pair(matched) for matched in result.matches}


def _pair(matched: Any) -> tuple[UUID, UUID]:
    return matched.mentee_id, matched.mentor_id


def is_the_only_best(pool: Pool, mentees: list[Mentee], asked: Asked, result: Round) -> bool:
    """Tell whether no other round is as good: each of its pairs is needed for its value."""
    by_id = {mentee.person.person_id: mentee for mentee in mentees}
    return all(
        held_without(pool, by_id[j], i, asked).solution.value < result.solution.value
        for j, i in pairs(result)
    )


def held_without(pool: Pool, mentee: Mentee, mentor_id: UUID, asked: Asked) -> Round:
    """Return the round where a pair may not be matched; the pool is as before afterwards."""
    pool.put_mentee(replace(mentee, met_before=mentee.met_before | {mentor_id}))
    try:
        return held(pool, asked)
    finally:
        pool.put_mentee(mentee)


def standing_of(result: Round) -> tuple[int, int, float]:
    """(how far the floors are met, how many are served, points): the first that differs decides."""
    met = sum(min(center.served, center.floor) for center in result.centers.values())
    return met, served_by(result), points_of(result)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, nothing=st.booleans())
def test_an_added_seat_never_hurts(seed: int, nothing: bool) -> None:
    """In the order that a round keeps to: floors, people served, points.

    Points alone may fall: somebody more who is served can raise a floor, and a floor that is met
    better can cost score. Where floors are numbers and not shares, they do not rise.
    """
    pool, mentees, mentors = a_cohort(seed)
    asked = Asked() if nothing else some_asked(seed, open_of(pool, mentees))
    before = standing_of(held(pool, asked))

    for mentor in mentors:
        pool.put_mentor(replace(mentor, seats=mentor.seats + 1))
        met, served, points = standing_of(held(pool, asked))
        assert (met, served, points + SMALL) >= before
        assert served >= before[1]
        pool.put_mentor(mentor)


def served_by(result: Round) -> int:
    return len({m.mentee_id for m in result.matches})


def points_of(result: Round) -> float:
    return sum(m.score + (0 if m.later else FIRST) for m in result.matches)


def two_of_each(
    context: Context | None = None, **mentor: Any
) -> tuple[Pool, list[Mentee], list[Mentor]]:
    """Return a pool where everybody fits everybody."""
    mentees = [a_mentee(person=a_person(f"mentee {n}", a_center(f"c{n}"))) for n in range(2)]
    mentors = [
        a_mentor(person=a_person(f"mentor {n}", a_center(f"c{n}")), **mentor) for n in range(2)
    ]
    return Pool(context or a_context(), mentees, mentors), mentees, mentors


def test_who_is_together_stays_together_as_long_as_it_is_worth_the_bonus() -> None:
    pool, mentees, mentors = two_of_each(seats=1)
    ids = [[m.person.person_id for m in side] for side in (mentees, mentors)]
    straight, crossed = list(zip(*ids, strict=True)), list(zip(ids[0], ids[1][::-1], strict=True))

    for together in (straight, crossed):
        result = hold_round(pool, Asked(retention=3), together)
        assert set(map(_pair, result.matches)) == set(together)
    free = hold_round(pool, Asked(retention=0), straight)
    assert free.solution.value == hold_round(pool).solution.value


def test_a_floor_that_cannot_be_met_is_told_and_is_no_error() -> None:
    pool, *_ = two_of_each(seats=0)

    result = hold_round(pool, Asked(floors={"c0": 1}))

    assert result.matches == []
    assert result.centers["c0"].shortfall == 1
    assert result.centers["c1"].shortfall == 0
    assert len(result.unserved) == 2


def test_nobody_at_all_is_a_round_too() -> None:
    result = hold_round(Pool(a_context()))

    assert (result.matches, result.unserved, result.centers, result.gap) == ([], [], {}, 0)


NONE: Any = float("nan")
HALF: Any = 0.5


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(floor=1.5), "floor is 1.5: a share of the overall rate is from 0 to 1"),
        (Asked(floor=float("nan")), "floor is nan"),
        (Asked(retention=-1), "retention is -1: give points"),
        (Asked(retention=float("nan")), "retention is nan"),
        (
            Asked(floors={"c0": -1}),
            "the floor of center 'c0' is -1: give a whole number, 0 or more",
        ),
        (Asked(floors={"c0": NONE}), "the floor of center 'c0' is nan: give a whole number"),
        (Asked(ceilings={"c0": HALF}), "the ceiling of center 'c0' is 0.5: give a whole number"),
        (Asked(ceilings={"elsewhere": 1}), "ceilings: nobody in the pool is of center 'elsewhere'"),
        (Asked(floors={"c0": 2}, ceilings={"c0": 1}), "'c0' has a floor of 2 above its ceiling"),
        (Asked(candidates=0), "candidates is 0: give 1 or more"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(asked: Asked, said: str) -> None:
    pool, *_ = two_of_each(seats=1)

    with pytest.raises(ValueError, match=said):
        hold_round(pool, asked)
