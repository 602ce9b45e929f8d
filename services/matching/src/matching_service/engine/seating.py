"""Who sits where: the arcs of a market, and an assignment on them with its prices."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching_service.engine.columns import I32, I64
from matching_service.engine.jit import inlined

NOBODY = -1


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
    """An assignment, and the prices that show it to be best."""

    arc: I64
    """[mentees]: the arc on which somebody is matched, -1 for none."""
    at: I32
    """[mentees]: the mentor there, -1 for none."""
    worth: I64
    """[mentees]: the value of that arc."""
    there: npt.NDArray[np.uint8]
    """[mentees]: 1 for who takes part."""
    seats: I32
    """[mentors]"""
    taken: I32
    """[mentors]"""
    price: I64
    """[mentors]"""
    first: I32
    """[mentors]: the first of those who are matched with a mentor, -1 for none."""
    following: I32
    previous: I32
    """[mentees]: a mentor's others, after and before somebody."""


@inlined
def enter(arcs: Arcs, state: State, mentee: int, arc: int) -> None:
    """Seat a mentee, who has no seat, on an arc."""
    mentor = arcs.mentor[arc]
    state.arc[mentee], state.at[mentee], state.worth[mentee] = arc, mentor, arcs.value[arc]
    state.taken[mentor] += 1
    state.previous[mentee], state.following[mentee] = NOBODY, state.first[mentor]
    if state.first[mentor] >= 0:
        state.previous[state.first[mentor]] = mentee
    state.first[mentor] = mentee


@inlined
def step_out(state: State, mentee: int) -> None:
    """Have a mentee get up from their seat."""
    mentor = state.at[mentee]
    before, after = state.previous[mentee], state.following[mentee]
    if before >= 0:
        state.following[before] = after
    else:
        state.first[mentor] = after
    if after >= 0:
        state.previous[after] = before
    state.arc[mentee] = state.at[mentee] = NOBODY
    state.taken[mentor] -= 1


@inlined
def gain_of(state: State, mentee: int) -> int:
    """Return what a mentee has: 0 for who is not matched."""
    mentor = state.at[mentee]
    return int(state.worth[mentee] - state.price[mentor]) if mentor >= 0 else 0
