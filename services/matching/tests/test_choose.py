"""People choose: shortlists, and the matching that what both sides said makes the best."""

from itertools import product
from math import sqrt
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint
from services.matching.tests.builders import a_context, a_mentee, a_mentor, person_id
from services.matching.tests.test_round import a_cohort
from services.matching.tests.test_round import solved as greatest

from matching_service.engine.choose import ChoiceError, Said, hold_chosen, shortlists
from matching_service.engine.pool import Pool
from matching_service.engine.scan import FIRST

SEEDS = st.integers(0, 10**9)
MIA, EVE, MAX, ANN = (person_id(name) for name in ("mia", "eve", "max", "ann"))


def two_and_two(seats: int = 1) -> Pool:
    mentees = [a_mentee(name) for name in ("mia", "eve")]
    return Pool(a_context(), mentees, [a_mentor(name, seats=seats) for name in ("max", "ann")])


def everybody_met(pool: Pool) -> dict[UUID, list[UUID]]:
    return {j: sorted(pool.mentor_ids) for j in sorted(pool.mentee_ids)}


def pairs(pool: Pool, said: dict[UUID, Said]) -> set[tuple[UUID, UUID]]:
    held = hold_chosen(pool, everybody_met(pool), said)
    return {(m.mentee_id, m.mentor_id) for m in held.matches}


def test_who_likes_each_other_best_is_matched() -> None:
    said = {
        MIA: Said([ANN, MAX]), EVE: Said([MAX, ANN]), MAX: Said([EVE, MIA]), ANN: Said([MIA, EVE])
    }  # fmt: skip

    assert pairs(two_and_two(), said) == {(MIA, ANN), (EVE, MAX)}


def test_whom_one_side_avoids_the_other_does_not_get() -> None:
    for who, other in ((MIA, ANN), (ANN, MIA)):
        said = {who: Said(avoids=frozenset({other})), EVE: Said([MAX, ANN])}

        assert pairs(two_and_two(), said) == {(MIA, MAX), (EVE, ANN)}  # all are served first


def test_who_avoids_everybody_has_nobody() -> None:
    said = {MIA: Said(avoids=frozenset({MAX, ANN}))}

    held = hold_chosen(two_and_two(), everybody_met(two_and_two()), said)

    assert held.unserved == [MIA]


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({MIA: Said([MAX, MAX])}, f"{MIA} names {MAX} twice"),
        ({MIA: Said([MAX], frozenset({MAX}))}, f"{MIA} names {MAX} twice"),
        ({MIA: Said([EVE])}, f"{MIA} names {EVE}, whom they did not meet: leave them out"),
        ({person_id("x"): Said([MAX])}, "whom they did not meet"),
    ],
)
def test_what_cannot_be_said_is_refused(said: dict[UUID, Said], complaint: str) -> None:
    with pytest.raises(ChoiceError, match=complaint):
        pairs(two_and_two(), said)


def some_said(pool: Pool, met: dict[UUID, list[UUID]], dice: Random) -> dict[UUID, Said]:
    others: dict[UUID, list[UUID]] = {j: list(mentors) for j, mentors in met.items()}
    for j, mentors in met.items():
        for i in mentors:
            others.setdefault(i, []).append(j)
    found = {}
    for who, all_ in others.items():
        if dice.random() < 0.7:
            mixed = dice.sample(all_, len(all_))
            cut, end = sorted(dice.choices(range(len(mixed) + 1), k=2))
            found[who] = Said(
                mixed[:cut], frozenset(mixed[end:]) if dice.random() < 0.4 else frozenset()
            )
    return found


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_what_was_said_is_met_as_well_as_it_can_be(seed: int) -> None:
    """Against HiGHS: as many served as possible, then the greatest sum of what both like."""
    dice = Random(seed)  # noqa: S311 - a replayable choice
    pool, *_ = a_cohort(seed)
    met = shortlists(pool, 4, 3)
    said = some_said(pool, met, dice)

    held = hold_chosen(pool, met, said)

    cohort = pool.cohort()
    ours = {pool.mentee_at(line): n for n, line in enumerate(cohort.mentees.tolist())}
    theirs = {pool.mentor_at(line): n for n, line in enumerate(cohort.mentors.tolist())}
    could = [
        (j, i)
        for j, mentors in met.items()
        for i in mentors
        if i not in said.get(j, Said()).avoids and j not in said.get(i, Said()).avoids
    ]
    places = np.array([[ours[j], theirs[i]] for j, i in could], np.int64).reshape(-1, 2)
    gains = [cohort.keys(places[:, 0].copy(), places[:, 1].copy(), v) % FIRST for v in pool.views]

    def liked(who: UUID, whom: UUID, gain: float) -> float:
        likes = list(said.get(who, Said()).likes)
        if not likes:
            return gain
        return 1 - likes.index(whom) / len(likes) if whom in likes else 0.5 / len(likes)

    worth = [
        sqrt(liked(j, i, a) * liked(i, j, b))
        for (j, i), a, b in zip(could, *(g.tolist() for g in gains), strict=True)
    ]
    by_pair = dict(zip(could, worth, strict=True))
    result = {(m.mentee_id, m.mentor_id) for m in held.matches}
    assert result <= set(could)
    best_served, best_worth = solved(could, worth, cohort, ours, theirs)
    assert len({j for j, _ in result}) == best_served
    assert sum(by_pair[pair] for pair in result) == pytest.approx(best_worth, abs=1e-5)


def solved(could: Any, worth: Any, cohort: Any, ours: Any, theirs: Any) -> tuple[int, float]:
    """Return how many can be served, and the greatest worth with so many: two programs by HiGHS."""
    if not could:
        return 0, 0.0
    n, m, count = len(cohort.mentees), len(cohort.mentors), len(could)
    of_mentee, of_mentor = np.zeros((n, count)), np.zeros((m, count))
    for k, (j, i) in enumerate(could):
        of_mentee[ours[j], k] = of_mentor[theirs[i], k] = 1
    seats = LinearConstraint(np.hstack([of_mentor, np.zeros((m, n))]), ub=cohort.seats)
    wanted = LinearConstraint(np.hstack([of_mentee, np.zeros((n, n))]), ub=cohort.wanted)
    served = LinearConstraint(np.hstack([-of_mentee, np.eye(n)]), ub=0)
    who = np.concatenate([np.zeros(count), np.ones(n)])
    limits = [seats, wanted, served]
    most = round(greatest(who, limits, np.ones(count + n)))
    both = [*limits, LinearConstraint(who, lb=most)]
    return most, greatest(np.concatenate([worth, np.zeros(n)]), both, np.ones(count + n))


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, size=st.integers(1, 4), talks=st.integers(1, 3))
def test_shortlists_are_of_eligible_people_and_keep_to_talks(
    seed: int, size: int, talks: int
) -> None:
    pool, *_ = a_cohort(seed)
    cohort = pool.cohort()

    lists = shortlists(pool, size, talks)

    seats = {
        pool.mentor_at(int(line)): int(n)
        for line, n in zip(cohort.mentors, cohort.seats, strict=True)
    }
    had = dict.fromkeys(seats, 0)
    for mentee, mentors in lists.items():
        assert 0 < len(mentors) == len(set(mentors)) <= size
        scores = [c.score - (2 if c.later else 0) for i in mentors
                  for c in pool.best_mentors([mentee], len(seats))[0] if c.person_id == i]  # fmt: skip
        assert scores == sorted(scores, reverse=True)
        assert all(not pool.broken(mentee, mentor) for mentor in mentors)
        for mentor in mentors:
            had[mentor] += 1
    assert all(had[mentor] <= talks * seats[mentor] for mentor in seats)
    # Where there is room for everybody, nobody is without a list who could have one.
    lonely = [j for j in pool.mentee_ids if j not in lists and pool.best_mentors([j], 1)[0]]
    assert not any(
        had[c.person_id] < talks * seats[c.person_id]
        for j, c in product(lonely, [c for j in lonely for c in pool.best_mentors([j], 99)[0]])
        if not pool.broken(j, c.person_id)
    )


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="size is 0 and talks is 2: give 1 or more of both"):
        shortlists(two_and_two(), 0, 2)
