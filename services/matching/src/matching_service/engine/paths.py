"""Repairing an assignment after one event by one shortest path over reduced costs.

Who comes in goes on to the nearest free seat, or to whoever is cheapest to leave out; a seat that
becomes free goes to whom it helps most, who may leave one that helps another. Prices move by how
much nearer the looked-at mentors are than the path's end, and the assignment is best again.

Source: successive shortest paths with potentials (Edmonds and Karp 1972); a repair is one step of
it. A path looks at few mentors: O((arcs of those looked at) log mentors). From one mentor it goes
to the next by way of a unit that sits here and may go there, so mentees need no place in the heap.
"""

from typing import NamedTuple

from matching_service.engine.jit import compiled, inlined
from matching_service.engine.reach import Room, nearest, reach
from matching_service.engine.seating import (
    AT_A_PRICE,
    NOBODY,
    Arcs,
    State,
    enter,
    gain_of,
    is_on_a_bench,
    is_used,
    move_price,
    others,
    step_out,
)

FAR = 1 << 62


class End(NamedTuple):
    """Where the shortest path ends."""

    cost: int
    mentor: int
    """-1: the best is that nothing happens."""
    unit: int
    """Who is left out there, or who comes in; -1 for nobody."""
    arc: int
    """The arc on which it comes in."""


@inlined
def may_use(arcs: Arcs, state: State, arc: int, unit: int) -> bool:
    """Tell whether a unit could be matched on an arc of its mentee's, if there is room.

    A bench is for who has no mentor; nobody has the same mentor twice.
    """
    mentor = arcs.mentor[arc]
    if arcs.value[arc] < 0 or state.seats[mentor] == 0:
        return False
    if mentor >= state.benches and others(state, unit) > 0:
        return False
    return not is_used(state, arcs.mentee[arc], arc)


@inlined
def go_on(  # noqa: PLR0913, PLR0917 - a compiled step
    arcs: Arcs, state: State, room: Room, size: int, unit: int, so_far: int, most: int
) -> tuple[int, int]:
    """Reach every mentor that a unit could move on to for less than `most`, and no further than a free seat.

    `so_far` is how far the unit is, and what it gains besides; returns the heap's size and `most`.
    """
    mentee = state.whose[unit]
    for arc in range(arcs.of_mentee[mentee], arcs.of_mentee[mentee + 1]):
        mentor = arcs.mentor[arc]
        distance = so_far - (arcs.value[arc] - state.price[mentor])
        if distance < most and may_use(arcs, state, arc, unit):
            size = reach(room, size, mentor, distance, arc, unit)
            if state.taken[mentor] < state.seats[mentor]:
                most = distance
    return size, most


@inlined
def find_a_seat(arcs: Arcs, state: State, room: Room, size: int, at_most: int, most: int) -> End:
    """Search from the mentors in the heap for a free seat, or for whom to leave out; set prices.

    That nothing happens costs `at_most`; nobody is reached beyond `most`, where a free seat is known.
    """
    end, seen = End(at_most, NOBODY, NOBODY, NOBODY), 0
    while size > 0:
        mentor = nearest(room, size)
        size -= 1
        so_far = room.distance[mentor]
        if so_far >= end.cost:
            break
        if state.taken[mentor] < state.seats[mentor]:
            end = End(so_far, mentor, NOBODY, NOBODY)
            break
        room.seen[seen] = mentor
        seen += 1
        unit = state.first[mentor]
        while unit >= 0 and so_far < end.cost:
            gain = gain_of(state, unit)
            left_out = gain - state.first_one if others(state, unit) > 0 else gain
            if so_far + left_out < end.cost:
                end = End(so_far + left_out, mentor, unit, NOBODY)
            size, most = go_on(arcs, state, room, size, unit, so_far + gain, min(most, end.cost))
            unit = state.following[unit]
    for n in range(seen):
        mentor = room.seen[n]
        move_price(state, mentor, max(0, end.cost - room.distance[mentor]))
    return end


@inlined
def move_along(arcs: Arcs, state: State, room: Room, end: End) -> None:
    """Have everybody on the path move on, from its end to where the search began."""
    if end.unit >= 0:
        step_out(state, end.unit)
    mentor = end.mentor
    while room.by[mentor] >= 0:
        unit, arc = room.via[mentor], room.by[mentor]
        mentor = state.at[unit]
        if mentor >= 0:
            step_out(state, unit)
        enter(arcs, state, unit, arc)
        if mentor < 0:
            return


@inlined
def _offer(  # noqa: C901 - a compiled step
    arcs: Arcs, state: State, room: Room, size: int, mentor: int, end: End
) -> tuple[int, End]:
    """Offer a seat that is free at the end of a path; return the heap's size and the best end."""
    price, so_far = state.price[mentor], room.distance[mentor]
    for n in range(arcs.of_mentor[mentor], arcs.of_mentor[mentor + 1]):
        mentee, value, arc = arcs.comer[n], arcs.brings[n], arcs.number[n]
        if so_far + state.stake[mentee] - (value - price) >= end.cost:
            continue  # neither they nor anybody in their place could gain by it
        if value < 0 or not state.there[mentee]:
            continue
        if state.units[mentee + 1] - state.units[mentee] > 1 and is_used(state, mentee, arc):
            continue
        benched = is_on_a_bench(state, mentee)
        for unit in range(state.units[mentee], state.units[mentee + 1]):
            at, has_others = state.at[unit], others(state, unit) > 0
            if (has_others and mentor >= state.benches) or (at < 0 and benched):
                continue
            gain = gain_of(state, unit) if at >= 0 else state.first_one if has_others else 0
            cost = so_far + gain - (value - price)
            if cost >= end.cost:
                continue
            if at < 0 or state.seats[at] == AT_A_PRICE:
                end = End(cost, mentor, unit, arc)
            else:
                size = reach(room, size, at, cost, arc, unit)
    return size, end


@compiled
def refill(arcs: Arcs, state: State, room: Room, mentor: int) -> None:
    """Give a seat that has become free to whom it helps most."""
    if state.price[mentor] == 0 or state.seats[mentor] == AT_A_PRICE:
        return
    room.search[-1] += 1
    size = reach(room, 0, mentor, 0, NOBODY, NOBODY)
    end, seen = End(FAR, NOBODY, NOBODY, NOBODY), 0
    while size > 0:
        mentor = nearest(room, size)
        size -= 1
        so_far = room.distance[mentor]
        if so_far >= end.cost:
            break
        room.seen[seen] = mentor
        seen += 1
        if so_far + state.price[mentor] < end.cost:
            end = End(so_far + state.price[mentor], mentor, NOBODY, NOBODY)
        if end.cost > so_far:
            size, end = _offer(arcs, state, room, size, mentor, end)
    for n in range(seen):
        mentor = room.seen[n]
        move_price(state, mentor, -max(0, end.cost - room.distance[mentor]))
    _move_up(arcs, state, room, end)


@inlined
def _move_up(arcs: Arcs, state: State, room: Room, end: End) -> None:
    """Have everybody on the path take the seat that helps, from its end to the seat that was free."""
    mentor, comes, arc = end.mentor, end.unit, end.arc
    while True:
        leaves, to = room.via[mentor], room.by[mentor]
        if to >= 0:
            step_out(state, leaves)
        if comes >= 0:
            if state.at[comes] >= 0:  # from a bench at a price
                step_out(state, comes)
            enter(arcs, state, comes, arc)
        if to < 0:
            return
        comes, arc, mentor = leaves, to, arcs.mentor[to]
