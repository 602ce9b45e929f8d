"""Repairing an assignment after one event by one shortest path over reduced costs.

Who comes in goes on to the nearest free seat, or to whoever is cheapest to leave out; a seat that
becomes free goes to whom it helps most, who may leave one that helps another. Prices move by how
much nearer the looked-at mentors are than the path's end, and the assignment is best again.

Source: successive shortest paths with potentials (Edmonds and Karp 1972); a repair is one step of
it. A path looks at few mentors: O((arcs of those looked at) log mentors).
"""

from typing import NamedTuple

from matching_service.engine.jit import compiled, inlined
from matching_service.engine.reach import Room, nearest, reach
from matching_service.engine.seating import NOBODY, Arcs, State, enter, gain_of, step_out

_FAR = 1 << 62


@inlined
def _go_on(  # noqa: PLR0913, PLR0917 - a compiled step
    arcs: Arcs, state: State, room: Room, size: int, mentee: int, so_far: int, most: int
) -> int:
    """Reach every mentor that a mentee could move on to for less than `most`.

    `so_far` is how far the mentee is, and what they have besides; returns the heap's size.
    """
    for arc in range(arcs.of_mentee[mentee], arcs.of_mentee[mentee + 1]):
        mentor, value = arcs.mentor[arc], arcs.value[arc]
        distance = so_far - (value - state.price[mentor])
        if value >= 0 and distance < most and state.seats[mentor] > 0:
            size = reach(room, size, mentor, distance, arc)
    return size


class _End(NamedTuple):
    """Where the shortest path ends."""

    cost: int
    mentor: int
    """-1: the best is that nothing happens."""
    arc: int
    """The arc of who is left out there, or of who comes in; -1 for nobody."""


@inlined
def _find_a_seat(arcs: Arcs, state: State, room: Room, size: int, at_most: int) -> _End:
    """Search from the mentors in the heap for a free seat, or for whom to leave out; set prices."""
    end, seen = _End(at_most, NOBODY, NOBODY), 0
    while size > 0:
        mentor = nearest(room, size)
        size -= 1
        so_far = room.distance[mentor]
        if so_far >= end.cost:
            break
        if state.taken[mentor] < state.seats[mentor]:
            end = _End(so_far, mentor, NOBODY)
            break
        room.seen[seen] = mentor
        seen += 1
        mentee = state.first[mentor]
        while mentee >= 0:
            gain = gain_of(state, mentee)
            if so_far + gain < end.cost:
                end = _End(so_far + gain, mentor, state.arc[mentee])
            size = _go_on(arcs, state, room, size, mentee, so_far + gain, end.cost)
            mentee = state.following[mentee]
    for n in range(seen):
        mentor = room.seen[n]
        state.price[mentor] += max(0, end.cost - room.distance[mentor])
    return end


@inlined
def _move_along(arcs: Arcs, state: State, room: Room, end: _End) -> None:
    """Have everybody on the path move on, from its end to where the search began."""
    if end.arc >= 0:
        step_out(state, arcs.mentee[end.arc])
    arc = room.by[end.mentor]
    while arc >= 0:
        mentee = arcs.mentee[arc]
        mentor = state.at[mentee]
        if mentor >= 0:
            step_out(state, mentee)
        enter(arcs, state, mentee, arc)
        if mentor < 0:
            return
        arc = room.by[mentor]


@compiled
def join(arcs: Arcs, state: State, room: Room, mentee: int) -> None:
    """Take a mentee in who does not take part yet."""
    state.there[mentee] = 1
    gain = 0
    for arc in range(arcs.of_mentee[mentee], arcs.of_mentee[mentee + 1]):
        if arcs.value[arc] >= 0 and state.seats[arcs.mentor[arc]] > 0:
            gain = max(gain, arcs.value[arc] - state.price[arcs.mentor[arc]])
    room.search[-1] += 1
    size = _go_on(arcs, state, room, 0, mentee, gain, gain)
    end = _find_a_seat(arcs, state, room, size, gain)
    if end.mentor >= 0:
        _move_along(arcs, state, room, end)


@inlined
def _offer(
    arcs: Arcs, state: State, room: Room, size: int, mentor: int, end: _End
) -> tuple[int, _End]:
    """Offer a seat that is free at the end of a path; return the heap's size and the best end."""
    price, so_far = state.price[mentor], room.distance[mentor]
    for n in range(arcs.of_mentor[mentor], arcs.of_mentor[mentor + 1]):
        mentee, value = arcs.comer[n], arcs.brings[n]
        if value < 0 or not state.there[mentee]:
            continue
        cost = so_far + gain_of(state, mentee) - (value - price)
        if cost >= end.cost:
            continue
        if state.at[mentee] >= 0:
            size = reach(room, size, state.at[mentee], cost, arcs.number[n])
        else:
            end = _End(cost, mentor, arcs.number[n])
    return size, end


@compiled
def refill(arcs: Arcs, state: State, room: Room, mentor: int) -> None:
    """Give a seat that has become free to whom it helps most."""
    if state.price[mentor] == 0:
        return
    room.search[-1] += 1
    size = reach(room, 0, mentor, 0, NOBODY)
    end, seen = _End(_FAR, NOBODY, NOBODY), 0
    while size > 0:
        mentor = nearest(room, size)
        size -= 1
        so_far = room.distance[mentor]
        if so_far >= end.cost:
            break
        room.seen[seen] = mentor
        seen += 1
        if so_far + state.price[mentor] < end.cost:
            end = _End(so_far + state.price[mentor], mentor, NOBODY)
        size, end = _offer(arcs, state, room, size, mentor, end)
    for n in range(seen):
        mentor = room.seen[n]
        state.price[mentor] -= max(0, end.cost - room.distance[mentor])
    _move_up(arcs, state, room, end)


@inlined
def _move_up(arcs: Arcs, state: State, room: Room, end: _End) -> None:
    """Have everybody on the path take the seat that helps, from its end to the seat that was free."""
    mentor, comes = end.mentor, end.arc
    while True:
        leaves = room.by[mentor]
        if leaves >= 0:
            step_out(state, arcs.mentee[leaves])
        if comes >= 0:
            enter(arcs, state, arcs.mentee[comes], comes)
        if leaves < 0:
            return
        comes, mentor = leaves, arcs.mentor[leaves]


@compiled
def leave(arcs: Arcs, state: State, room: Room, mentee: int) -> None:
    """Let a mentee go."""
    state.there[mentee] = 0
    arc = state.arc[mentee]
    if arc >= 0:
        step_out(state, mentee)
        refill(arcs, state, room, arcs.mentor[arc])


@compiled
def bar(arcs: Arcs, state: State, room: Room, arc: int) -> None:
    """Never use an arc again."""
    mentee = arcs.mentee[arc]
    is_used = state.arc[mentee] == arc
    arcs.value[arc] = arcs.brings[arcs.back[arc]] = NOBODY
    if is_used:
        leave(arcs, state, room, mentee)
        join(arcs, state, room, mentee)


@compiled
def set_seats(arcs: Arcs, state: State, room: Room, mentor: int, seats: int) -> None:
    """Let a mentor have so many seats from now on."""
    while state.seats[mentor] < seats:
        if state.seats[mentor] == 0:
            state.price[mentor] = _first_price(arcs, state, mentor)
        state.seats[mentor] += 1
        refill(arcs, state, room, mentor)
    while state.seats[mentor] > seats:
        state.seats[mentor] -= 1
        if state.taken[mentor] > state.seats[mentor]:
            room.search[-1] += 1
            size = reach(room, 0, mentor, 0, NOBODY)
            end = _find_a_seat(arcs, state, room, size, _FAR)
            _move_along(arcs, state, room, end)


@inlined
def _first_price(arcs: Arcs, state: State, mentor: int) -> int:
    """Return the least price at which nobody would rather have a mentor who had no seat so far."""
    price = 0
    for n in range(arcs.of_mentor[mentor], arcs.of_mentor[mentor + 1]):
        mentee, value = arcs.comer[n], arcs.brings[n]
        if state.there[mentee] and value >= 0:
            price = max(price, value - gain_of(state, mentee))
    return price


@compiled
def bound(arcs: Arcs, state: State) -> int:
    """Return what no assignment of these people can be worth more than, at these prices."""
    total = 0
    for mentee in range(len(state.there)):
        if not state.there[mentee]:
            continue
        gain = 0
        for arc in range(arcs.of_mentee[mentee], arcs.of_mentee[mentee + 1]):
            if arcs.value[arc] >= 0 and state.seats[arcs.mentor[arc]] > 0:
                gain = max(gain, arcs.value[arc] - state.price[arcs.mentor[arc]])
        total += gain
    for mentor in range(len(state.seats)):
        total += state.seats[mentor] * state.price[mentor]
    return total
