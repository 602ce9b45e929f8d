"""The assignment after any event: it proves itself, and an independent solver finds none better."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from matching_service.engine.assign import Assignment

SEEDS = st.integers(0, 10**9)


FIRST_ONE = 2000
"""More than all scores of these small markets together."""


def a_market(seed: int) -> tuple[Assignment, np.random.Generator]:
    """Return a small market nobody has joined: scarce or not, with ties, benches, several wanted."""
    dice = np.random.default_rng(seed)
    mentees, mentors = dice.integers(1, 12), dice.integers(1, 6)
    benches = int(dice.integers(0, 3))
    could = dice.random((mentees, mentors)) < dice.choice([0.3, 0.7, 1])
    could[-1, 0] = True
    center = np.eye(3, dtype=bool)[dice.integers(0, 3, mentees), :benches]
    ours, theirs = np.nonzero(np.hstack([could, center]))
    first_one = FIRST_ONE * (1 + (benches > 0))
    scores = first_one + dice.integers(0, dice.choice([3, 10, 100]), len(ours))
    values = np.where(theirs < mentors, scores, FIRST_ONE)
    seats = dice.integers(0, 4, mentors + benches)
    wanted = dice.integers(1, dice.choice([2, 4]), mentees)
    made = Assignment(
        ours.astype(np.int32),
        theirs.astype(np.int32),
        values,
        seats.astype(np.int32),
        wanted.astype(np.int32),
        benches,
        first_one,
    )
    return made, dice


def best_value(made: Assignment) -> int:
    """Return the greatest value there is, by HiGHS: a variable for each arc and for each mentee.

    A mentee's variable says whether they have a mentor; the others are worth less by `first_one`.
    """
    arcs, state = made.arcs, made.state
    may = np.flatnonzero((arcs.value >= 0) & (state.there[arcs.mentee] == 1))
    who, mentor = arcs.mentee[may], arcs.mentor[may]
    real, count = mentor < state.benches, len(state.there)
    first_one = state.first_one
    worth = np.concatenate([arcs.value[may] - first_one * real, np.full(count, first_one)])
    of_mentor = (np.arange(len(state.seats))[:, None] == mentor).astype(float)
    of_mentee = (np.arange(count)[:, None] == who).astype(float)
    zeros = np.zeros((len(state.seats), count))
    wanted = np.diff(state.units)
    is_real = np.eye(count)[who].T * real
    limits = [
        LinearConstraint(np.hstack([of_mentor, zeros]), ub=state.seats),
        LinearConstraint(np.hstack([is_real, np.zeros((count, count))]), ub=wanted),
        LinearConstraint(np.hstack([-is_real, np.eye(count)]), ub=0),
        LinearConstraint(  # on one bench, or with mentors
            np.hstack(
                [is_real + wanted[:, None] * (of_mentee - is_real), np.zeros((count, count))]
            ),
            ub=wanted,
        ),
    ]
    whole = np.ones(len(worth), np.int64)
    found = milp(-worth, integrality=whole, bounds=Bounds(0, 1), constraints=limits)
    assert found.fun is not None
    return round(-found.fun)


def happen(made: Assignment, dice: np.random.Generator, mentors: int | None = None) -> None:
    """Let something happen: somebody comes or goes, a pair breaks up, seats come or go."""
    mentee = int(dice.integers(len(made.state.there)))
    mentor = int(dice.integers(mentors or len(made.state.seats)))
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


def stakes(made: Assignment) -> list[int]:
    """What a mentor must offer each mentee, above the price, to be better than the least they have."""
    state, found = made.state, []
    for mentee, has in enumerate(state.has.tolist()):
        at = state.at[state.units[mentee] : state.units[mentee + 1]]
        worth = state.worth[state.units[mentee] : state.units[mentee + 1]]
        gains = (worth - state.price[at])[at >= 0].tolist()
        if gains and has and (at < 0).any():
            gains.append(state.first_one)
        found.append(min(gains, default=0))
    return found


@settings(deadline=None, max_examples=100)
@given(seed=SEEDS)
def test_after_any_event_it_is_the_best_there_is_and_proves_it(seed: int) -> None:
    made, dice = a_market(seed)

    for nth in range(30):
        happen(made, dice)
        state, mentors = made.state, made.mentor_of

        assert made.value == made.bound
        assert nth % 5 or made.value == best_value(made)
        assert (state.taken <= state.seats).all()
        assert (state.price >= 0).all()
        assert (state.price[state.taken < state.seats] == 0).all()
        seated = state.at[state.at >= 0]
        assert (np.bincount(seated, minlength=len(state.seats)) == state.taken).all()
        assert (mentors[state.there[state.whose] == 0] == -1).all()
        assert state.stake.tolist() == stakes(made)


@settings(deadline=None, max_examples=100)
@given(seed=SEEDS)
def test_a_bench_that_was_at_a_price_ends_as_if_it_never_was(seed: int) -> None:
    made, dice = a_market(seed)
    benches = range(made.state.benches, len(made.state.seats))
    seats = made.state.seats.copy()
    for bench in benches:
        made.begin_at_a_price(bench)

    for _ in range(20):
        happen(made, dice, mentors=made.state.benches)
        for bench in benches:
            by = int(dice.integers(-40, 40))
            made.move_price(bench, max(by, -int(made.state.price[bench])))
        assert made.state.stake.tolist() == stakes(made)
    for bench in benches:
        made.end_at_a_price(bench, int(seats[bench]))

    assert made.value == made.bound == best_value(made)
    assert (made.state.seats[made.state.benches :] == seats[made.state.benches :]).all()


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
        if arc not in made.state.arc:
            made.bar(int(mentee), int(mentor))

    assert (made.mentor_of == before).all()


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_pairs_that_are_allowed_later_count_as_if_they_had_been_from_the_start(seed: int) -> None:
    whole, dice = a_market(seed)
    arcs, state = whole.arcs, whole.state
    early = (dice.random(len(arcs.value)) < dice.choice([0, 0.5, 0.9])) | (
        arcs.mentor >= state.benches
    )
    made = Assignment(
        arcs.mentee[early],
        arcs.mentor[early],
        arcs.value[early],
        state.seats,
        np.diff(state.units).astype(np.int32),
        len(state.seats) - state.benches,
        state.first_one,
    )
    everybody = np.arange(len(state.there))
    whole.join_all(everybody)
    made.join_all(everybody)

    later = np.flatnonzero(~early)
    for part in (later[::2], later[1::2]):
        made.allow(arcs.mentee[part], arcs.mentor[part], arcs.value[part])
        assert made.value == made.bound

    assert made.value == whole.value
    assert made.has(arcs.mentee, arcs.mentor).all()


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_it_does_not_matter_whether_seats_or_mentees_come_first(seed: int) -> None:
    whole, dice = a_market(seed)
    made, _ = a_market(seed)
    seats = whole.state.seats.copy()
    mentors = dice.permutation(np.flatnonzero(np.arange(len(seats)) < made.state.benches))
    for mentor in mentors:
        made.set_seats(int(mentor), 0)
    everybody = dice.permutation(len(whole.state.there))

    whole.join_all(everybody)
    made.join_all(everybody)
    made.open_seats(mentors, seats[mentors])

    assert made.value == made.bound == whole.value
    assert (made.state.seats == seats).all()


def one(value: int = 5, seats: int = 1) -> Assignment:
    zero = np.zeros(1, np.int32)
    return Assignment(zero, zero, np.array([value], np.int64), np.array([seats], np.int32))


def test_who_cannot_be_matched_is_an_error_that_says_so() -> None:
    with pytest.raises(KeyError, match="mentee 0 has no arc to mentor 3"):
        one().bar(0, 3)
    with pytest.raises(
        ValueError, match="mentor 0 cannot have -1 seats: give a whole number from 0"
    ):
        one(seats=-1)


@pytest.mark.parametrize("wrong", [-1, 1.5, float("nan"), True, None, "2", 2**30, 2**31, 10**30])
def test_seats_that_are_no_number_of_seats_are_refused_by_name(wrong: Any) -> None:
    made = one()
    made.join(0)

    said = f"mentor 0 cannot have {wrong} seats: give a whole number from 0 to 1073741823"
    for seats in ([wrong], [wrong, wrong]):
        with pytest.raises(ValueError, match=said):
            made.open_seats(np.zeros(len(seats), np.int64), np.array(seats))
    with pytest.raises(ValueError, match=said):
        made.set_seats(0, wrong)

    assert made.state.seats.tolist() == [1]
    assert made.value == made.bound == 5


def test_a_wrong_number_among_right_ones_is_named_and_nothing_changes() -> None:
    zeros = np.zeros(2, np.int32)
    made = Assignment(zeros[:1], zeros[:1], np.ones(1, np.int64), zeros)

    with pytest.raises(ValueError, match="mentor 1 cannot have -1 seats"):
        made.open_seats(np.arange(2), np.array([1, -1], np.int32))
    with pytest.raises(IndexError, match="there is no mentor 2: there are 2, from 0 on"):
        made.open_seats(np.array([0, 2]), np.array([1, 1], np.int32))

    assert made.state.seats.tolist() == [0, 0]


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS)
def test_as_many_seats_as_can_be_said_come_and_go_at_once_and_it_stays_the_best(seed: int) -> None:
    made, dice = a_market(seed)

    for _ in range(12):
        happen(made, dice)
        mentor = int(dice.integers(len(made.state.seats)))
        seats = int(dice.choice([0, 1, 50, 2**28 - 1, 2**30 - 1]))
        made.set_seats(mentor, seats)
        assert made.state.seats[mentor] == seats
        assert made.value == made.bound
    assert made.value == best_value(made)


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


MOST = (1 << 62) // 2
"""For one mentee and one seat."""


@pytest.mark.parametrize("value", [-1, MOST + 1])
def test_values_that_would_not_add_up_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="scale them down"):
        one(value)


def test_the_largest_values_add_up() -> None:
    made = one(MOST)
    made.join(0)

    assert made.value == made.bound == MOST
