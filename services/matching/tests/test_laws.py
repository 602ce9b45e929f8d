"""Laws that any best matching keeps, brute force on the smallest, and pools at the edges."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests.builders import (
    NORTH,
    SOUTH,
    a_center,
    a_context,
    a_mentee,
    a_mentor,
    a_person,
    a_programme,
    person_id,
)
from services.matching.tests.people import a_pool_of
from services.matching.tests.test_round import (
    a_cohort,
    held,
    held_without,
    is_the_only_best,
    open_of,
    pairs,
    points_of,
    served_by,
    some_asked,
)

from matching_service.domain.pool import Mentee, Mentor
from matching_service.engine.cohort import Terms
from matching_service.engine.hold import Asked, hold_round, hold_stable
from matching_service.engine.pool import Pool
from matching_service.engine.round import solve
from matching_service.engine.scan import FIRST

SEEDS = st.integers(0, 10**9)
NEAR = 1e-5


def best_by_trying_all(
    keys: Sequence[Sequence[float]], seats: list[int], j: int = 0
) -> tuple[int, float]:
    """Return (served, sum of keys) of the best assignment of the mentees from j on."""
    if j == len(keys):
        return 0, 0.0
    best = best_by_trying_all(keys, seats, j + 1)
    for i, key in enumerate(keys[j]):
        if key >= 0 and seats[i]:
            seats[i] -= 1
            served, total = best_by_trying_all(keys, seats, j + 1)
            seats[i] += 1
            best = max(best, (served + 1, total + key))
    return best


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS)
def test_up_to_six_by_six_nothing_is_better_by_trying_all(seed: int) -> None:
    context, (mentees, mentors), _ = a_pool_of(seed, 6, 6)
    programme = replace(context.programme, participants=None)
    mentees = [replace(mentee, wanted=1) for mentee in mentees]
    pool = Pool(replace(context, programme=programme), mentees, mentors)
    cohort = pool.cohort()
    n, m = len(cohort.mentees), len(cohort.mentors)

    held = hold_round(pool, Asked(candidates=1))

    keys = cohort.keys(np.repeat(np.arange(n), m), np.tile(np.arange(m), n)).reshape(n, m)
    served, total = best_by_trying_all(keys.tolist(), cohort.seats.tolist())
    assert served_by(held) == served
    assert points_of(held) == pytest.approx(total, abs=NEAR)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_other_ids_draw_other_lots_and_nothing_else(seed: int) -> None:
    """Lots decide between equals, so that the pairs may be others of the same value."""
    context, (mentees, mentors), _ = a_pool_of(seed, 12, 6)
    old = Pool(context, mentees, mentors)

    def renamed(who: UUID) -> UUID:
        return UUID(int=who.int ^ 0x5555555555555555)

    def other(person: Any) -> Any:
        blocked = frozenset(map(renamed, person.blocked_person_ids))
        return replace(person, person_id=renamed(person.person_id), blocked_person_ids=blocked)

    new = Pool(
        context,
        [
            replace(m, person=other(m.person), met_before=frozenset(map(renamed, m.met_before)))
            for m in mentees
        ],
        [replace(m, person=other(m.person)) for m in mentors],
    )

    assert hold_round(new).solution.value == hold_round(old).solution.value


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, nothing=st.booleans())
def test_to_bar_any_two_who_are_not_matched_changes_nothing(seed: int, nothing: bool) -> None:
    """Where several rounds are equally good another of them may come of it; else the pairs are equal."""
    pool, mentees, mentors = a_cohort(seed, 8, 4)
    asked = Asked() if nothing else some_asked(seed, open_of(pool, mentees))
    before = held(pool, asked)

    for mentee, mentor in product(mentees, mentors):
        ids = mentee.person.person_id, mentor.person.person_id
        if ids in pairs(before) or pool.broken(*ids):
            continue
        after = held_without(pool, mentee, ids[1], asked)
        assert after.solution.value == before.solution.value
        if pairs(after) != pairs(before):
            assert not is_the_only_best(pool, mentees, asked, before)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_a_bonus_of_nothing_is_a_round_anew(seed: int) -> None:
    pool, *_ = a_cohort(seed)
    stable = hold_stable(pool)
    together = [(m.mentee_id, m.mentor_id) for m in stable.matches]

    anew, with_nothing = hold_round(pool), hold_round(pool, Asked(retention=0), together)

    assert with_nothing.solution.value == anew.solution.value
    assert pairs(with_nothing) == pairs(anew)


def all_alike(count: int, mentors: int, **mentor: Any) -> tuple[list[Mentee], list[Mentor]]:
    return (
        [a_mentee(f"mentee {n}") for n in range(count)],
        [a_mentor(f"mentor {n}", **mentor) for n in range(mentors)],
    )


def test_where_all_fit_alike_as_many_as_there_are_seats_are_served_and_the_lot_is_the_same() -> (
    None
):
    mentees, mentors = all_alike(9, 3, seats=2)

    first = hold_round(Pool(a_context(), mentees, mentors))
    again = hold_round(Pool(a_context(), mentees[::-1], mentors[::-1]))
    version = a_context(a_programme(criteria_version=2))
    other = hold_round(Pool(version, mentees, mentors))

    assert served_by(first) == 6
    assert pairs(first) == pairs(again) != pairs(other)
    assert first.solution.value == other.solution.value


def test_a_network_of_one_center_matches_its_own() -> None:
    home = a_center(NORTH, cross_institution="never")
    mentees = [a_mentee(f"mentee {n}", person=a_person(f"mentee {n}", home)) for n in range(4)]
    mentors = [
        a_mentor(f"mentor {n}", person=a_person(f"mentor {n}", home), seats=1) for n in range(3)
    ]

    held = hold_round(Pool(a_context(), mentees, mentors), Asked(floor=1.0))

    assert served_by(held) == 3
    assert held.centers[NORTH].floor == 3
    assert held.gap == 0


def test_who_fits_nobody_and_who_has_no_seat_are_left_out_and_nobody_else() -> None:
    mentees, mentors = all_alike(3, 2, seats=1)
    alone = a_mentee("alone", person=a_person("alone", languages=("fi",)))
    full = a_mentor("full", seats=0)

    held = hold_round(Pool(a_context(), [*mentees, alone], [*mentors, full]))

    assert served_by(held) == 2
    assert person_id("alone") in held.unserved
    assert person_id("full") not in {m.mentor_id for m in held.matches}


def test_without_mentors_everybody_is_unserved() -> None:
    mentees, _ = all_alike(3, 0)

    held = hold_round(Pool(a_context(), mentees), Asked(floor=0.9))

    assert len(held.unserved) == 3
    assert held.centers[NORTH].shortfall == 0  # nobody is served anywhere


def test_sums_that_do_not_fit_into_63_bits_are_refused() -> None:
    pool = Pool(a_context(), *all_alike(3, 2, seats=1))
    cohort = replace(
        pool.cohort(), seats=np.full(2, 2**31 - 1, np.int32), wanted=np.full(3, 2**30, np.int32)
    )

    with pytest.raises(ValueError, match="too many for one round: their sums do not fit into 63"):
        solve(cohort, Terms(), pool.best_lines(cohort.mentees, 2))


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused_by_name(wrong: float) -> None:
    right, odd = (("goals", 1.0),), (("goals", wrong),)

    for programme in (a_programme(weights=odd), a_programme(weights=right, mentor_weights=odd)):
        with pytest.raises(ValueError, match=f"the weight of goals is {wrong}: give 0 or more"):
            Pool(a_context(programme))


def test_a_criterion_that_there_is_not_is_refused_by_name_and_one_to_come_counts_nothing() -> None:
    odd = (("goals", 1.0), ("shoe_size", 0.5))
    for programme in (a_programme(weights=odd), a_programme(weights=(), mentor_weights=odd)):
        with pytest.raises(ValueError, match="no criterion shoe_size: there are goals, topics"):
            Pool(a_context(programme))

    newer = a_context(a_programme(weights=(("goals", 1.0), ("unknown", 1.0))))
    (match,) = hold_round(Pool(newer, *all_alike(1, 1, seats=1))).matches

    (known,) = hold_round(Pool(a_context(), *all_alike(1, 1, seats=1))).matches
    assert match.score == pytest.approx(known.score, abs=1e-6)


@pytest.mark.parametrize("mode", ["round", "choose"])
def test_programmes_that_match_in_rounds_have_rounds(mode: str) -> None:
    context = a_context(a_programme(mode=mode))
    pool = Pool(context, *all_alike(3, 2, seats=1))

    assert len(hold_round(pool).matches) == len(hold_stable(pool).matches) == 2


def test_a_pair_that_comes_after_all_others_gives_way_to_any_other() -> None:
    home = a_center(SOUTH, cross_institution="preferred")
    sol = a_mentee("sol", person=a_person("sol", home))
    own = a_mentor("own", person=a_person("own", home), seats=1)
    other = a_mentor(
        "other", person=a_person("other", a_center(NORTH)), offers=frozenset(), seats=1
    )

    held = hold_round(Pool(a_context(), [sol], [own, other]))

    assert pairs(held) == {(person_id("sol"), person_id("other"))}
    assert points_of(held) >= FIRST
