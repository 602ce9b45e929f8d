"""What the engine refuses: each error names what is wrong and what to give instead."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests.builders import (
    a_context,
    a_mentee,
    a_mentor,
    a_programme,
    person_id,
)
from services.matching.tests.people import a_pool_of
from services.matching.tests.test_round import two_of_each

from matching_service.domain.criteria import CRITERIA
from matching_service.domain.pool import Context, Pair
from matching_service.domain.score import score
from matching_service.engine.certificate import certificate, sheet, write
from matching_service.engine.choose import shortlists
from matching_service.engine.hold import Asked, hold_round
from matching_service.engine.pool import Pool
from matching_service.engine.recorded import Recorded, RecordError
from matching_service.engine.repair import Standing

AGREE = 1e-6
NAN = float("nan")


def weighed(name: str, weight: Any) -> list[Context]:
    """Programmes in which a criterion weighs so much, for both or for the mentor alone."""
    odd, right = ((name, weight),), ((name, 1.0),)
    programmes = a_programme(weights=odd), a_programme(weights=right, mentor_weights=odd)
    return [a_context(programme) for programme in programmes]


@pytest.mark.parametrize(
    "weight", [-0.1, NAN, float("inf"), 1e39, 1.1e6, 9e-7, 1e-46, 1e-320, True, "1"]
)
def test_a_weight_that_would_be_lost_or_would_not_fit_is_refused_by_name(weight: Any) -> None:
    said = (
        f"the weight of goals is {weight}: give 0 or more, and if it is to count from 1e-06 to 1e"
    )
    for context in weighed("goals", weight):
        with pytest.raises(ValueError, match=re.escape(said)):
            Pool(context)


@pytest.mark.parametrize("weight", [0, 1e-6, 1, 1e6, np.float32(0.5)])
def test_any_weight_in_the_range_is_taken(weight: Any) -> None:
    for context in weighed("goals", weight):
        (match,) = hold_round(Pool(context, [a_mentee()], [a_mentor()])).matches

        assert match.score == pytest.approx(score(Pair(a_mentee(), a_mentor()), context).value)


def test_a_criterion_that_is_weighed_twice_is_refused_by_name() -> None:
    twice, once = (("goals", 1.0), ("topics", 1.0), ("goals", 1.0)), (("goals", 1.0),)
    for programme in (a_programme(weights=twice), a_programme(weights=once, mentor_weights=twice)):
        with pytest.raises(ValueError, match="goals is weighed twice: give every criterion one"):
            Pool(a_context(programme))


def test_two_criteria_of_newer_writers_are_none_twice() -> None:
    newer = a_context(a_programme(weights=(("goals", 1.0), ("unknown", 1.0), ("unknown", 0.5))))

    (match,) = hold_round(Pool(newer, [a_mentee()], [a_mentor()])).matches

    assert match.score == score(Pair(a_mentee(), a_mentor()), newer).value == 1


WEIGHT = st.one_of(
    st.just(0.0), st.floats(1e-6, 1e6), st.sampled_from([1e-6, 1e6]), st.floats(-6, 6).map(lambda e: 10**e)
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**9),
    weights=st.lists(WEIGHT, min_size=len(CRITERIA), max_size=len(CRITERIA)),
    others=st.dictionaries(st.sampled_from(sorted(CRITERIA)), WEIGHT),
)
def test_with_any_weights_that_are_taken_engine_and_domain_agree(
    seed: int, weights: list[float], others: dict[str, float]
) -> None:
    context, (mentees, mentors), _ = a_pool_of(seed, 4, 12)
    programme = replace(
        context.programme,
        weights=tuple(zip(CRITERIA, np.clip(weights, 0, 1e6).tolist(), strict=True)),
        mentor_weights=tuple(others.items()),
    )
    context = replace(context, programme=programme)
    pool = Pool(context, mentees, mentors)
    by_id = {mentor.person.person_id: mentor for mentor in mentors}

    for mentee in mentees:
        for found in pool.best_mentors([mentee.person.person_id], len(mentors))[0]:
            told = score(Pair(mentee, by_id[found.person_id]), context).value
            assert found.score == pytest.approx(told, abs=AGREE)


@pytest.mark.parametrize("weight", [1e300, 1e-9, -1.0, NAN])
def test_a_replay_with_such_a_weight_is_refused_by_name(weight: float) -> None:
    pool, *_ = two_of_each()
    held = hold_round(pool)
    of = sheet(pool, held.cohort)

    with pytest.raises(RecordError, match=re.escape(f"the weight of goals is {weight}: give 0 or")):
        Recorded(of, certificate(pool, held, of), {"goals": weight})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"session_minutes": 0}, "session_minutes is 0: give a whole number, 1 or more"),
        ({"session_minutes": -60}, "session_minutes is -60: give a whole number, 1 or more"),
        ({"session_minutes": 7.5}, "session_minutes is 7.5: give a whole number"),
        (
            {"protected_minutes_month": -1},
            "protected_minutes_month is -1: give a whole number, 0 for",
        ),
        ({"protected_minutes_month": NAN}, "protected_minutes_month is nan: give a whole number"),
    ],
)
def test_a_programme_that_cannot_run_is_refused_by_name(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Pool(a_context(a_programme(**changed)))


@pytest.mark.parametrize("wrong", [-1, 1.5, NAN, 10**12, 2**30, True, None, "2"])
@pytest.mark.parametrize(("field", "name"), [("seats", "seats"), ("seats_taken", "seats taken")])
def test_seats_that_are_none_are_refused_and_nothing_changes(
    field: str, name: str, wrong: Any
) -> None:
    pool = Pool(a_context(), [a_mentee()], [a_mentor()])
    before = pool.best_mentors([person_id("mia")], 1)

    said = f"a mentor's {name} are {wrong}: give a whole number from 0 to 1073741823"
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        pool.put_mentor(a_mentor(**{field: wrong}))

    assert str(person_id("max")) not in str(refused.value)
    assert pool.best_mentors([person_id("mia")], 1) == before


@pytest.mark.parametrize("wrong", [-30, 1.5, NAN])
def test_minutes_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(
        ValueError, match=f"a mentor's minutes left are {wrong}: give a whole number"
    ):
        Pool(a_context(), (), [a_mentor(minutes_left=wrong)])


@pytest.mark.parametrize("wrong", [0, -1, 1.5, NAN, 10**12, True, None])
def test_a_mentee_who_wants_no_number_of_mentors_is_refused(wrong: Any) -> None:
    pool = Pool(a_context(), (), [a_mentor()])

    said = f"a mentee wants {wrong} mentors: give a whole number from 1 to 1000"
    with pytest.raises(ValueError, match=re.escape(said)):
        pool.put_mentee(a_mentee(wanted=wrong))

    assert not pool.mentee_ids


def test_the_most_seats_that_can_be_given_make_a_round() -> None:
    pool = Pool(a_context(), [a_mentee()], [a_mentor(seats=2**30 - 1)])

    assert len(hold_round(pool).matches) == len(Standing(pool).matches) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"floor": "x"}, "floor is x: a share of the overall rate is from 0 to 1"),
        ({"floor": None}, "floor is None: a share of the overall rate is from 0 to 1"),
        ({"floor": True}, "floor is True: a share"),
        ({"retention": None}, "retention is None: give points of score, from 0 to 1000"),
        ({"retention": "1"}, "retention is 1: give points of score"),
        ({"candidates": 1.5}, "candidates is 1.5: give 1 or more, a whole number; 50 is"),
        ({"candidates": None}, "candidates is None: give 1 or more, a whole number"),
        ({"candidates": True}, "candidates is True: give 1 or more, a whole number"),
        ({"floors": None}, "floors is None: give a number for each center, such as {'north': 10}"),
        ({"ceilings": ["c0"]}, "ceilings is ['c0']: give a number for each center"),
        (
            {"floors": {"c0": True}},
            "the floor of center 'c0' is True: give a whole number, 0 or more",
        ),
        ({"ceilings": {"c0": "2"}}, "the ceiling of center 'c0' is 2: give a whole number"),
    ],
)
def test_what_cannot_be_asked_of_a_round_is_refused_by_name(
    asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        hold_round(two_of_each()[0], Asked(**asked))


@pytest.mark.parametrize("wrong", [0, -1, 1.5, None, True])
def test_a_round_that_goes_on_begins_with_one_pair_or_more(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"candidates is {wrong}: give 1 or more, a whole number"):
        Standing(two_of_each()[0], candidates=wrong)


@pytest.mark.parametrize("wrong", [-1, 1.5, NAN, True, None, 2**31])
def test_a_round_that_goes_on_refuses_seats_that_are_none_and_stays_as_it_is(wrong: Any) -> None:
    pool, _, mentors = two_of_each(seats=1)
    standing = Standing(pool)
    before = standing.matches

    with pytest.raises(
        ValueError, match=f"mentor . cannot have {wrong} seats: give a whole number"
    ):
        standing.set_seats(mentors[0].person.person_id, wrong)

    assert standing.matches == before
    standing.set_seats(mentors[0].person.person_id, 2**30 - 1)  # comes back at once
    assert standing.matches == before


def test_more_candidates_than_there_are_mentors_are_all_of_them() -> None:
    pool, *_ = two_of_each()

    assert hold_round(pool, Asked(candidates=10**12)).matches == hold_round(pool).matches
    assert Standing(pool, candidates=10**12).matches == Standing(pool).matches


def test_numbers_of_numpy_are_asked_and_recorded_as_plain_ones(tmp_path: Path) -> None:
    pool, *_ = two_of_each()
    counts: Any = {"c0": np.int64(1)}
    half: Any = np.float32(0.5)
    eight: Any = np.int32(8)

    held = hold_round(pool, Asked(half, counts, counts, half, eight))
    write(tmp_path, pool, held, "a salt of thirty-two characters.")

    assert held.asked == Asked(0.5, {"c0": 1}, {"c0": 1}, 0.5, 8)
    numbers = [held.asked.floor, held.asked.retention, held.asked.candidates]
    assert [type(one) for one in numbers] == [float, float, int]
    assert json.loads((tmp_path / "certificate.json").read_text())["terms"]["floor"] == 0.5


@pytest.mark.parametrize(
    ("size", "talks"), [(NAN, 1), (1, NAN), (1.5, 1), (0, 2), (2, -1), (True, 1)]
)
def test_shortlists_of_no_size_are_refused_by_name(size: Any, talks: Any) -> None:
    said = f"size is {size} and talks is {talks}: give 1 or more of both, whole numbers"
    with pytest.raises(ValueError, match=said):
        shortlists(two_of_each()[0], size, talks)


@pytest.mark.parametrize("many", [10**6, 2**31, 10**12, 10**30])
def test_more_talks_than_there_are_people_are_talks_with_all_of_them(many: int) -> None:
    pool, mentees, mentors = two_of_each(seats=3)
    everybody = {mentor.person.person_id for mentor in mentors}

    for lists in (shortlists(pool, many, many), shortlists(pool, 2, many)):
        assert {j: set(who) for j, who in lists.items()} == {
            mentee.person.person_id: everybody for mentee in mentees
        }


@pytest.mark.parametrize("k", [0, -1, 1.5, None])
def test_the_best_are_one_or_more(k: Any) -> None:
    pool = Pool(a_context(), [a_mentee()], [a_mentor()])

    for ask in (lambda: pool.best_mentors([person_id("mia")], k), lambda: pool.best_mentees(person_id("max"), k)):  # fmt: skip
        with pytest.raises(ValueError, match=f"k is {k}: give 1 or more, a whole number"):
            ask()
