"""The assignment after any event: it proves itself, and an independent solver finds none better."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from matching_service.engine.assign import MOST, Assignment

SEEDS = st.integers(0, 10**9)


def a_market(seed: int) -> tuple[Assignment, np.random.Generator]:
    """Return a small market nobody has joined: scarce or not, with ties or without."""
    dice = np.random.default_rng(seed)
    mentees, mentors = dice.integers(1, 12), dice.integers(1, 6)
    could = dice.random((mentees, mentors)) < dice.choice([0.3, 0.7, 1])
    could[-1, 0] = True
    ours, theirs = np.nonzero(could)
    values = dice.integers(0, dice.choice([3, 10, 1000]), len(ours))
    seats = dice.integers(0, 4, mentors)
    made = Assignment(
        ours.astype(np.int32), theirs.astype(np.int32), values, seats.astype(np.int32)
    )
    return made, dice


def best_value(made: Assignment) -> int:
    """Return the greatest value there is, by scipy: a column for each seat."""
    arcs, state = made.arcs, made.state
    values = np.zeros((len(state.there), len(state.seats)), np.int64)
    allowed = arcs.value >= 0
    values[arcs.mentee[allowed], arcs.mentor[allowed]] = arcs.value[allowed]
    dense = values[state.there.astype(bool)][:, np.repeat(np.arange(len(state.seats)), state.seats)]
    return int(dense[linear_sum_assignment(dense, maximize=True)].sum())


def happen(made: Assignment, dice: np.random.Generator) -> None:
    """Let something happen: somebody comes or goes, a pair breaks up, seats come or go."""
    mentee = int(dice.integers(len(made.state.there)))
    mentor = int(dice.integers(len(made.state.seats)))
    match dice.choice(["join", "join", "leave", "break", "seats"]):
        case "join":
            made.join(mentee)
        case "leave":
            made.leave(mentee)
        case "break":
            arc = dice.integers(len(made.arcs.value))
            made.bar(int(made.arcs.mentee[arc]), int(made.arcs.mentor[arc]))
        case _:
            made.set_seats(mentor, int(dice.integers(0, 4)))


@settings(deadline=None, max_examples=100)
@given(seed=SEEDS)
def test_after_any_event_it_is_the_best_there_is_and_proves_it(seed: int) -> None:
    made, dice = a_market(seed)

    for _ in range(30):
        happen(made, dice)
        state, mentors = made.state, made.mentor_of

        assert made.value == made.bound == best_value(made)
        assert (state.taken <= state.seats).all()
        assert (state.price >= 0).all()
        assert (state.price[state.taken < state.seats] == 0).all()
        assert (np.bincount(mentors[mentors >= 0], minlength=len(state.seats)) == state.taken).all()
        assert (mentors[state.there == 0] == -1).all()


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_an_added_seat_never_hurts_and_one_more_mentee_neither(seed: int) -> None:
    made, dice = a_market(seed)
    values = [0]

    for mentee in dice.permutation(len(made.state.there)):
        made.join(int(mentee))
        values.append(made.value)
    for mentor, seats in enumerate(made.state.seats):
        made.set_seats(mentor, int(seats) + 1)
        values.append(made.value)

    assert values == sorted(values)


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_barring_a_pair_that_is_not_matched_changes_nothing(seed: int) -> None:
    made, _ = a_market(seed)
    for mentee in range(len(made.state.there)):
        made.join(mentee)
    before = made.mentor_of

    for arc, (mentee, mentor) in enumerate(zip(made.arcs.mentee, made.arcs.mentor, strict=True)):
        if made.state.arc[mentee] != arc:
            made.bar(int(mentee), int(mentor))

    assert (made.mentor_of == before).all()


def one(value: int = 5, seats: int = 1) -> Assignment:
    zero = np.zeros(1, np.int32)
    return Assignment(zero, zero, np.array([value], np.int64), np.array([seats], np.int32))


def test_who_cannot_be_matched_is_an_error_that_says_so() -> None:
    with pytest.raises(KeyError, match="mentee 0 has no arc to mentor 3"):
        one().bar(0, 3)
    with pytest.raises(ValueError, match="mentor 0 cannot have -1 seats: give 0"):
        one().set_seats(0, -1)
    with pytest.raises(ValueError, match="less than 0 seats"):
        one(seats=-1)


def test_numbers_of_nobody_are_an_error_before_compiled_code_follows_them() -> None:
    made, zero = one(), np.zeros(1, np.int32)

    for do in (made.join, made.leave, lambda n: made.bar(n, 0)):
        for nobody in (-1, 1):
            with pytest.raises(IndexError, match=f"there is no mentee {nobody}: there are 1"):
                do(nobody)
    with pytest.raises(IndexError, match="there is no mentor 1"):
        made.set_seats(1, 1)
    with pytest.raises(ValueError, match=r"mentors must be in \[0, 1\)"):
        Assignment(zero, zero + 1, np.zeros(1, np.int64), zero)


@pytest.mark.parametrize("value", [-1, MOST + 1])
def test_values_that_would_not_add_up_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="scale them down"):
        one(value)


def test_the_largest_values_add_up() -> None:
    made = one(MOST)
    made.join(0)

    assert made.value == made.bound == MOST
