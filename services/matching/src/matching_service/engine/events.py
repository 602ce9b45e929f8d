"""What happens to an assignment, each event repaired by a shortest path or two (`paths`).

Each is O(of the paths it looks for); a price that moves or a group that comes takes one for each who moves.
"""

from matching_service.engine.columns import I32, I64
from matching_service.engine.jit import compiled, inlined
from matching_service.engine.paths import (
    FAR,
    find_a_seat,
    go_on,
    may_use,
    move_along,
    refill,
)
from matching_service.engine.reach import Room, reach
from matching_service.engine.seating import (
    NOBODY,
    Arcs,
    State,
    enter,
    gain_of,
    is_used,
    move_price,
    step_out,
)


@compiled
def _seat(arcs: Arcs, state: State, room: Room, unit: int) -> None:
    """Find a seat for a unit that has none, if it is worth it."""
    mentee = state.whose[unit]
    left_out = state.first_one if state.has[mentee] > 0 else 0
    gain = left_out
    for arc in range(arcs.of_mentee[mentee], arcs.of_mentee[mentee + 1]):
        if may_use(arcs, state, arc, unit):
            gain = max(gain, arcs.value[arc] - state.price[arcs.mentor[arc]])
    room.search[-1] += 1
    at_most = gain - left_out
    size, most = go_on(arcs, state, room, 0, unit, gain, at_most)
    end = find_a_seat(arcs, state, room, size, at_most, most)
    if end.mentor >= 0:
        move_along(arcs, state, room, end)


@compiled
def join(arcs: Arcs, state: State, room: Room, mentee: int) -> None:
    """Take a mentee in who does not take part yet."""
    state.there[mentee] = 1
    begin = state.units[mentee]
    for unit in range(begin, state.units[mentee + 1]):
        if unit > begin and state.has[mentee] == 0:
            return
        _seat(arcs, state, room, unit)


@compiled
def leave(arcs: Arcs, state: State, room: Room, mentee: int) -> None:
    """Let a mentee go."""
    state.there[mentee] = 0
    for unit in range(state.units[mentee], state.units[mentee + 1]):
        mentor = state.at[unit]
        if mentor >= 0:
            step_out(state, unit)
            refill(arcs, state, room, mentor)


@compiled
def _seat_again(arcs: Arcs, state: State, room: Room, mentee: int) -> None:
    """Have a mentee, whose arcs have changed or cost otherwise, look for the best seat now.

    Who has one unit gets up first: the old seat is free meanwhile, at its price, and is offered to
    others only if this search did not fill it.
    """
    unit = state.units[mentee]
    if state.units[mentee + 1] - unit > 1:
        leave(arcs, state, room, mentee)
        join(arcs, state, room, mentee)
        return
    mentor = state.at[unit]
    if mentor >= 0:
        step_out(state, unit)
    _seat(arcs, state, room, unit)
    if mentor >= 0 and state.taken[mentor] < state.seats[mentor]:
        refill(arcs, state, room, mentor)


@compiled
def join_all(arcs: Arcs, state: State, room: Room, mentees: I64) -> None:
    """Take mentees in, one after the other."""
    for mentee in mentees:
        if not state.there[mentee]:
            join(arcs, state, room, mentee)


@compiled
def bar(arcs: Arcs, state: State, room: Room, arc: int) -> None:
    """Never use an arc again."""
    mentee = arcs.mentee[arc]
    used = is_used(state, mentee, arc)
    arcs.value[arc] = arcs.brings[arcs.back[arc]] = NOBODY
    if used:
        _seat_again(arcs, state, room, mentee)


@compiled
def allow(arcs: Arcs, state: State, room: Room, arc: I64, value: I64) -> None:
    """Let new arcs be used, which lie mentee by mentee and are barred so far."""
    n = 0
    while n < len(arc):
        mentee, is_better = arcs.mentee[arc[n]], False
        stake = state.stake[mentee]
        while n < len(arc) and arcs.mentee[arc[n]] == mentee:
            arcs.value[arc[n]] = arcs.brings[arcs.back[arc[n]]] = value[n]
            is_better |= value[n] - state.price[arcs.mentor[arc[n]]] > stake
            n += 1
        if is_better and state.there[mentee]:
            _seat_again(arcs, state, room, mentee)


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
            size = reach(room, 0, mentor, 0, NOBODY, NOBODY)
            end = find_a_seat(arcs, state, room, size, FAR, FAR)
            move_along(arcs, state, room, end)


@compiled
def _first_price(arcs: Arcs, state: State, mentor: int) -> int:
    """Return the least price at which nobody would rather have a mentor who had no seat so far."""
    price = 0
    for n in range(arcs.of_mentor[mentor], arcs.of_mentor[mentor + 1]):
        mentee, value = arcs.comer[n], arcs.brings[n]
        if not state.there[mentee] or value < 0:
            continue
        if mentor < state.benches or state.has[mentee] <= 1:
            price = max(price, value - state.stake[mentee])
    return price


@compiled
def open_seats(arcs: Arcs, state: State, room: Room, mentors: I64, seats: I32) -> None:
    """Let mentors have so many seats from now on, one mentor after the other."""
    for n in range(len(mentors)):
        set_seats(arcs, state, room, mentors[n], seats[n])


@inlined
def _best_elsewhere(arcs: Arcs, state: State, unit: int) -> int:
    """Return the most that a unit on a bench could gain with a mentor or on another bench."""
    mentee, best = state.whose[unit], 0
    for arc in range(arcs.of_mentee[mentee], arcs.of_mentee[mentee + 1]):
        mentor = arcs.mentor[arc]
        if arc != state.arc[unit] and arcs.value[arc] >= 0 and state.seats[mentor] > 0:
            best = max(best, arcs.value[arc] - state.price[mentor])
    return best


@compiled
def make_dearer(arcs: Arcs, state: State, room: Room, bench: int, by: int) -> None:
    """Raise the price of a bench that is at a price; who could gain more elsewhere gets up."""
    move_price(state, bench, by)
    unit = state.first[bench]
    while unit >= 0:
        following = state.following[unit]
        if _best_elsewhere(arcs, state, unit) > gain_of(state, unit):
            _seat_again(arcs, state, room, state.whose[unit])
        unit = following


@compiled
def make_cheaper(arcs: Arcs, state: State, room: Room, bench: int, by: int) -> None:
    """Lower the price of a bench that is at a price; who gains more there sits down."""
    move_price(state, bench, -by)
    for n in range(arcs.of_mentor[bench], arcs.of_mentor[bench + 1]):
        mentee = arcs.comer[n]
        gain = arcs.brings[n] - state.price[bench]
        if state.has[mentee] > 1 or not state.there[mentee] or state.stake[mentee] >= gain:
            continue
        unit = _the_one(state, mentee)
        mentor = state.at[unit]
        if mentor >= 0:
            step_out(state, unit)
        enter(arcs, state, unit, arcs.number[n])
        if mentor >= 0:
            refill(arcs, state, room, mentor)


@inlined
def _the_one(state: State, mentee: int) -> int:
    """Return the unit that has a seat, the first where none has."""
    for unit in range(state.units[mentee], state.units[mentee + 1]):
        if state.at[unit] >= 0:
            return int(unit)
    return int(state.units[mentee])


@compiled
def turn_round(arcs: Arcs, place: I64) -> None:
    """Fill what lies mentor by mentor; `place`, [mentors], is where each mentor's next arc goes."""
    for arc in range(len(arcs.mentor)):
        mentor = arcs.mentor[arc]
        at = place[mentor]
        place[mentor] += 1
        arcs.number[at], arcs.back[arc] = arc, at
        arcs.comer[at], arcs.brings[at] = arcs.mentee[arc], arcs.value[arc]


@inlined
def _next_best(arcs: Arcs, state: State, mentee: int, below: int, last: int) -> tuple[int, int]:
    """Return the best (gain, arc) of a mentee's mentors after the given one; (-1, -1) for none."""
    best, best_arc = -1, NOBODY
    for arc in range(arcs.of_mentee[mentee], arcs.of_mentee[mentee + 1]):
        mentor = arcs.mentor[arc]
        if mentor >= state.benches or arcs.value[arc] < 0 or state.seats[mentor] == 0:
            continue
        gain = arcs.value[arc] - state.price[mentor]
        comes_after = gain < below or (gain == below and arc > last)
        if comes_after and gain > best:
            best, best_arc = gain, arc
    return best, best_arc


@inlined
def _most(arcs: Arcs, state: State, mentee: int) -> int:
    """Return the most that a mentee could gain at these prices, whoever else comes."""
    on_a_bench = 0
    for arc in range(arcs.of_mentee[mentee], arcs.of_mentee[mentee + 1]):
        mentor = arcs.mentor[arc]
        if mentor >= state.benches and state.seats[mentor] > 0:
            on_a_bench = max(on_a_bench, arcs.value[arc] - state.price[mentor])
    total, below, last = 0, FAR, NOBODY
    for _ in range(state.units[mentee], state.units[mentee + 1]):
        below, last = _next_best(arcs, state, mentee, below, last)
        more = below if total == 0 else below - state.first_one
        if more <= 0:
            break
        total += more
    return max(total, on_a_bench)


@compiled
def bound(arcs: Arcs, state: State) -> int:
    """Return what no assignment of these people can be worth more than, at these prices."""
    total = 0
    for mentee in range(len(state.there)):
        if state.there[mentee]:
            total += _most(arcs, state, mentee)
    for mentor in range(len(state.seats)):
        total += state.seats[mentor] * state.price[mentor]
    return total


@compiled
def value_of(state: State) -> int:
    """Return what the assignment is worth."""
    total = 0
    for unit in range(len(state.whose)):
        if state.at[unit] >= 0:
            total += state.worth[unit]
    for mentee in range(len(state.there)):
        total -= state.first_one * max(0, state.has[mentee] - 1)
    return total
