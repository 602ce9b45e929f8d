"""People come and go for as long as a process runs: what a pool takes is bounded by who is there."""

from dataclasses import replace
from random import Random
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests.builders import (
    a_context,
    a_mentee,
    a_mentor,
    a_person,
    a_programme,
    person_id,
)

from matching_service.domain.pool import Mentee, Mentor
from matching_service.engine.pool import Pool

FIRST_ROOM = 64
WEIGHTS = (("topics", 0.6), ("goals", 0.4))


def some(dice: Random, what: str) -> frozenset[str]:
    """None to fifty codes: people are of very different size."""
    return frozenset(f"{what} {n}" for n in dice.sample(range(60), dice.choice([0, 1, 5, 50])))


def some_ids(dice: Random) -> frozenset[UUID]:
    return frozenset(
        person_id(f"other {n}") for n in dice.sample(range(90), dice.choice([0, 3, 80]))
    )


def a_mentee_of(name: str, dice: Random) -> Mentee:
    person = a_person(name, topics=some(dice, "topic"), blocked_person_ids=some_ids(dice))
    return a_mentee(person=person, met_before=some_ids(dice))


def a_mentor_of(name: str, dice: Random) -> Mentor:
    return a_mentor(
        person=a_person(name, topics=some(dice, "topic"), conflict_tokens=some(dice, "t"))
    )


def sizes(pool: Pool) -> dict[str, int]:
    mentees, mentors = pool.market.mentees, pool.market.mentors
    return {
        "terms": len(mentees.rows),
        "mentees' lists": len(mentees.columns.lists),
        "mentors' lists": len(mentors.columns.lists),
    }


def alive(pool: Pool) -> dict[str, int]:
    """How much of each is of somebody who is there."""
    mentees, mentors = pool.market.mentees, pool.market.mentors
    ours, theirs = mentees.columns.bounds, mentors.columns.bounds
    return {
        "terms": int((mentees.terms[:, 1] - mentees.terms[:, 0]).sum()),
        "mentees' lists": int((ours[:, -1] - ours[:, 0]).sum()),
        "mentors' lists": int((theirs[:, -1] - theirs[:, 0]).sum()),
    }


def test_a_large_and_a_small_one_in_turn_on_one_line_take_no_more_than_the_large_one() -> None:
    pool = Pool(a_context(a_programme(weights=WEIGHTS)), (), [a_mentor()])
    codes = frozenset(f"topic {n}" for n in range(30))
    ids = frozenset(person_id(f"other {n}") for n in range(30))
    large = a_mentee("large", person=a_person("large", topics=codes), met_before=ids)

    for _ in range(500):
        for mentee in (large, a_mentee("small")):
            pool.put_mentee(mentee)
            pool.drop_mentee(mentee.person.person_id)

    assert max(sizes(pool).values()) <= 4 * FIRST_ROOM


def test_ever_larger_people_on_one_line_take_no_more_than_the_largest() -> None:
    pool = Pool(a_context(a_programme(weights=WEIGHTS)))
    most = 150

    for count in range(most):
        codes = frozenset(f"topic {n}" for n in range(count))
        met = frozenset(person_id(f"other {n}") for n in range(count))
        pool.put_mentee(a_mentee("x", person=a_person("x", topics=codes), met_before=met))
        pool.drop_mentee(person_id("x"))
        pool.put_mentor(a_mentor("y", person=a_person("y", conflict_tokens=codes)))
        pool.drop_mentor(person_id("y"))

    assert sizes(pool)["terms"] <= 2 * 2 * most + FIRST_ROOM  # a code is two terms
    assert sizes(pool)["mentees' lists"] <= 2 * most + FIRST_ROOM
    assert sizes(pool)["mentors' lists"] <= 2 * most + FIRST_ROOM
    assert set(alive(pool).values()) == {0}


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**9))
def test_whoever_comes_and_goes_it_is_as_large_as_who_is_there_and_answers_as_if_new(
    seed: int,
) -> None:
    dice = Random(seed)  # noqa: S311 - a replayable choice
    context = a_context(a_programme(weights=WEIGHTS))
    pool, most = Pool(context), dict.fromkeys(sizes(Pool(context)), FIRST_ROOM)
    mentees: dict[UUID, Mentee] = {}
    mentors: dict[UUID, Mentor] = {}

    for _ in range(250):
        mentee = a_mentee_of(f"mentee {dice.randrange(12)}", dice)
        mentor = a_mentor_of(f"mentor {dice.randrange(12)}", dice)
        one, other = mentee.person.person_id, mentor.person.person_id
        if one in mentees and dice.random() < 0.6:
            pool.drop_mentee(one)
            del mentees[one]
        else:
            pool.put_mentee(mentee)
            mentees[one] = mentee
        if other in mentors and dice.random() < 0.6:
            pool.drop_mentor(other)
            del mentors[other]
        else:
            pool.put_mentor(mentor)
            mentors[other] = mentor
        most = {name: max(most[name], count) for name, count in alive(pool).items()}
        assert all(size <= 2 * most[name] for name, size in sizes(pool).items())

    anew = Pool(context, mentees.values(), mentors.values())
    assert pool.best_mentors(list(mentees), 20) == anew.best_mentors(list(mentees), 20)
    for mentor_id in mentors:
        assert pool.best_mentees(mentor_id, 20) == anew.best_mentees(mentor_id, 20)
    assert all(pool.broken(j, i) == anew.broken(j, i) for j in mentees for i in mentors)


def test_who_is_written_again_as_they_are_takes_no_more() -> None:
    dice = Random(1)  # noqa: S311 - a replayable choice
    people = [a_mentee_of(f"mentee {n}", dice) for n in range(30)]
    pool = Pool(a_context(a_programme(weights=WEIGHTS)), people, [a_mentor()])
    before = sizes(pool)

    for _ in range(20):
        for mentee in people:
            pool.put_mentee(replace(mentee, wanted=2))

    assert sizes(pool) == before
