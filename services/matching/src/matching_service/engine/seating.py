"""Who sits where: the arcs of a market, and an assignment on them with its prices."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching_service.engine.columns import I32, I64
from matching_service.engine.jit import inlined

NOBODY = -1
AT_A_PRICE = 1 << 30
"""The seats of a bench that has room for all, at a price that is given and does not move."""
U8 = npt.NDArray[np.uint8]


class Arcs(NamedTuple):
    """Who could go to whom, and what it is worth; an arc of worth -1 is barred."""

    of_mentee: I64
    """[mentees + 1]: where each mentee's arcs begin in the next three."""
    mentee: I32
    mentor: I32
    value: I64
    of_mentor: I64
    """[mentors + 1]: where each mentor's arcs begin in the next three, which lie together there."""
    number: I64
    """An arc's place in the first three."""
    comer: I32
    """`mentee` again."""
    brings: I64
    """`value` again."""
    back: I64
    """Of an arc of the first three: its place in the last three."""


class State(NamedTuple):
    """An assignment, and the prices that show it to be best.

    A mentee who wants several mentors has a unit for each; most have one. Benches are counted
    among the mentors, behind them: who is on one has no mentor, and is there with one unit.
    """

    units: I64
    """[mentees + 1]: where each mentee's units begin."""
    whose: I32
    """[units]: the mentee."""
    arc: I64
    """[units]: the arc on which one is matched, -1 for none."""
    at: I32
    """[units]: the mentor there, -1 for none."""
    worth: I64
    """[units]: the value of that arc."""
    there: U8
    """[mentees]: 1 for who takes part."""
    has: I32
    """[mentees]: how many mentors one has."""
    stake: I64
    """[mentees]: what a mentor has to offer, above the price, to be better than the least that one has.

    It follows from the rest and is kept because a free seat asks everybody who could come."""
    seats: I32
    """[mentors]: see `AT_A_PRICE`"""
    taken: I32
    """[mentors]"""
    price: I64
    """[mentors]"""
    first: I64
    """[mentors]: the first of the units that are matched with a mentor, -1 for none."""
    following: I64
    previous: I64
    """[units]: a mentor's others, after and before one."""
    benches: int
    """How many mentors come before the benches."""
    first_one: int
    """What somebody's first mentor is worth above the score, which a second one is not."""


@inlined
def gain_of(state: State, unit: int) -> int:
    """Return what a unit that has a seat gains by it."""
    return int(state.worth[unit] - state.price[state.at[unit]])


@inlined
def _stake_anew(state: State, mentee: int) -> None:
    """Work out what is at stake for a mentee: 0 for who has nothing, or is not there."""
    least, free = -1, False
    for unit in range(state.units[mentee], state.units[mentee + 1]):
        if state.at[unit] < 0:
            free = True
        elif least < 0 or gain_of(state, unit) < least:
            least = gain_of(state, unit)
    if free and least >= 0 and state.has[mentee] > 0:
        least = min(least, state.first_one)
    state.stake[mentee] = max(0, least)


@inlined
def enter(arcs: Arcs, state: State, unit: int, arc: int) -> None:
    """Seat a unit, which has no seat, on an arc."""
    mentor = arcs.mentor[arc]
    state.arc[unit], state.at[unit], state.worth[unit] = arc, mentor, arcs.value[arc]
    state.taken[mentor] += 1
    if mentor < state.benches:
        state.has[state.whose[unit]] += 1
    state.previous[unit], state.following[unit] = NOBODY, state.first[mentor]
    if state.first[mentor] >= 0:
        state.previous[state.first[mentor]] = unit
    state.first[mentor] = unit
    _stake_anew(state, state.whose[unit])


@inlined
def step_out(state: State, unit: int) -> None:
    """Have a unit get up from its seat."""
    mentor = state.at[unit]
    before, after = state.previous[unit], state.following[unit]
    if before >= 0:
        state.following[before] = after
    else:
        state.first[mentor] = after
    if after >= 0:
        state.previous[after] = before
    state.arc[unit] = state.at[unit] = NOBODY
    state.taken[mentor] -= 1
    if mentor < state.benches:
        state.has[state.whose[unit]] -= 1
    _stake_anew(state, state.whose[unit])


@inlined
def move_price(state: State, mentor: int, by: int) -> None:
    """Change the price of a mentor or a bench, and with it what is at stake for who sits there."""
    state.price[mentor] += by
    unit = state.first[mentor]
    while unit >= 0:
        _stake_anew(state, state.whose[unit])
        unit = state.following[unit]


@inlined
def others(state: State, unit: int) -> int:
    """Return how many mentors a unit's mentee has besides that unit's."""
    at = state.at[unit]
    return int(state.has[state.whose[unit]] - (1 if 0 <= at < state.benches else 0))


@inlined
def is_used(state: State, mentee: int, arc: int) -> bool:
    """Tell whether a mentee is matched on an arc of theirs."""
    for unit in range(state.units[mentee], state.units[mentee + 1]):
        if state.arc[unit] == arc:
            return True
    return False


@inlined
def is_on_a_bench(state: State, mentee: int) -> bool:
    """Tell whether a mentee has no mentor and a place on a bench."""
    for unit in range(state.units[mentee], state.units[mentee + 1]):
        if state.at[unit] >= state.benches:
            return True
    return False
