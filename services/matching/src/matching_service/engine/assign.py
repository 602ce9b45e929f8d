"""The best assignment of mentees to seats, kept best one event at a time.

Values are integers, so sums are exact and nothing depends on the order of a sum. With a price for
each mentor an assignment shows by itself that it is best (complementary slackness):

    gain(j)  = max(0, max over j's arcs of value - price)   what mentee j can get at these prices
    matched    j's mentor gives exactly that; whoever is unmatched could get nothing: gain 0
    price      is 0 wherever a seat is free

so that value = sum of gains + sum of seats * price, which bounds every assignment. A mentee who
wants several mentors gains what the best of them give: the first with `first_one`, the others above it.
"""

import numpy as np
import numpy.typing as npt

from matching_service.engine import events
from matching_service.engine.checks import MOST_SEATS, is_whole
from matching_service.engine.columns import I32, I64
from matching_service.engine.reach import Room
from matching_service.engine.seating import AT_A_PRICE, NOBODY, Arcs, State

Ints = I32 | I64
_MOST = 1 << 62


class Assignment:
    """Mentees and seats, assigned for the greatest total value, whatever happens one by one.

    `value` proves itself: it equals `bound`, which no assignment can pass.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - a market in arrays
        self,
        mentees: Ints,
        mentors: Ints,
        values: I64,
        seats: I32,
        wanted: I32 | None = None,
        benches: int = 0,
        first_one: int = 0,
    ) -> None:
        """Begin with nobody there. O(arcs).

        Args:
            mentees: int[arcs]: who could go ...
            mentors: int[arcs]: ... to whom, each pair once.
            values: int[arcs]: what that is worth, from 0 on. Where each has the same large number
                in it, one more who is served goes before any score.
            seats: int[mentors].
            wanted: int[mentees]: how many mentors each would like; 1 where not given.
            benches: so many of the mentors, the last ones, are none: on a bench sits who has no
                mentor, where that is worth something (a place up to which a center may go unserved).
            first_one: the large number above, which a second mentor is not worth.

        Raises:
            ValueError: a value or a number of seats is out of range; the text says which.
        """
        count = int(mentees.max()) + 1 if len(mentees) else 0
        wanted = np.ones(count, np.int32) if wanted is None else wanted
        count = len(wanted)
        _must_be_seats(np.arange(len(seats)), seats)
        if count and wanted.min() < 1:
            raise ValueError("a mentee wants less than 1 mentor: leave them out")
        self._largest = 0
        self._together = int(wanted.sum()) + int(seats.sum())
        self._must_add_up(mentees, mentors, values, count, len(seats))
        self.arcs = _laid_out(mentees, mentors, values, count, len(seats))
        units = int(wanted.sum())
        self.state = State(
            np.concatenate([[0], np.cumsum(wanted)]).astype(np.int64),
            np.repeat(np.arange(count, dtype=np.int32), wanted),
            np.full(units, NOBODY, np.int64),
            np.full(units, NOBODY, np.int32),
            np.zeros(units, np.int64),
            np.zeros(count, np.uint8),
            np.zeros(count, np.int32),
            np.zeros(count, np.int64),
            seats.astype(np.int32),
            np.zeros(len(seats), np.int32),
            np.zeros(len(seats), np.int64),
            np.full(len(seats), NOBODY, np.int64),
            np.full(units, NOBODY, np.int64),
            np.full(units, NOBODY, np.int64),
            len(seats) - benches,
            first_one,
        )
        many = len(seats)
        self._room = Room(
            np.zeros(many, np.int64),
            np.zeros(many + 1, np.int64),
            np.zeros(many, np.int64),
            np.zeros(many, np.int64),
            np.zeros(many, np.int64),
            np.zeros(many, np.int64),
            np.zeros(many, np.int64),
        )

    @property
    def mentor_of(self) -> I32:
        """int32[units]: the mentor of each, -1 for none; a bench is none."""
        at = self.state.at
        return np.where(at < self.state.benches, at, NOBODY).astype(np.int32)

    @property
    def served(self) -> int:
        """How many mentees have a mentor."""
        return int(np.count_nonzero(self.state.has))

    @property
    def value(self) -> int:
        """What the assignment is worth."""
        return int(events.value_of(self.state))

    @property
    def bound(self) -> int:
        """What no assignment of who is there could be worth more than."""
        return int(events.bound(self.arcs, self.state))

    def join(self, mentee: int) -> None:
        """Take a mentee in; who is there already stays as they are."""
        _must_be("mentee", mentee, len(self.state.there))
        if not self.state.there[mentee]:
            events.join(self.arcs, self.state, self._room, mentee)

    def join_all(self, mentees: I64) -> None:
        """Take these mentees in, int[n], in this order."""
        events.join_all(self.arcs, self.state, self._room, mentees)

    def leave(self, mentee: int) -> None:
        """Let a mentee go; who is not there stays away."""
        _must_be("mentee", mentee, len(self.state.there))
        if self.state.there[mentee]:
            events.leave(self.arcs, self.state, self._room, mentee)

    def bar(self, mentee: int, mentor: int) -> None:
        """Never match these two again.

        Raises:
            KeyError: they could not be matched anyway.
        """
        _must_be("mentee", mentee, len(self.state.there))
        own = slice(*self.arcs.of_mentee[mentee : mentee + 2])
        found = np.flatnonzero(self.arcs.mentor[own] == mentor)
        if not len(found):
            raise KeyError(f"mentee {mentee} has no arc to mentor {mentor}")
        events.bar(self.arcs, self.state, self._room, int(own.start + found[0]))

    def allow(self, mentees: Ints, mentors: Ints, values: I64) -> None:
        """Let pairs be matched that could not so far; who is better off so moves. O(all arcs).

        Raises:
            ValueError: as for a new assignment.
        """
        count, many = len(self.state.there), len(self.state.seats)
        self._must_add_up(mentees, mentors, values, count, many)
        old, state = self.arcs, self.state
        used = state.arc >= 0
        pairs = old.mentee[state.arc[used]], old.mentor[state.arc[used]]
        order = np.lexsort((mentors, mentees))
        self.arcs = _laid_out(
            np.concatenate([old.mentee, mentees]).astype(np.int32),
            np.concatenate([old.mentor, mentors]).astype(np.int32),
            np.concatenate([old.value, np.full(len(values), -1)]),
            count,
            many,
        )
        state.arc[used] = self._number(*pairs)
        new = self._number(mentees[order], mentors[order])
        events.allow(self.arcs, state, self._room, new, values[order].astype(np.int64))

    def begin_at_a_price(self, bench: int) -> None:
        """Let a bench have room for all, before anybody comes, at a price of 0 until `move_price` changes it.

        Nobody there is in the way of a search, which makes each much shorter: to move the price
        until the right number sits there is faster than to take seats away one by one.
        """
        self.state.seats[bench] = AT_A_PRICE

    def move_price(self, bench: int, by: int) -> None:
        """Change the price of a bench at a price; who is better off so moves."""
        if by > 0:
            events.make_dearer(self.arcs, self.state, self._room, bench, by)
        elif by < 0:
            events.make_cheaper(self.arcs, self.state, self._room, bench, -by)

    def end_at_a_price(self, bench: int, seats: int) -> None:
        """Let a bench have so many seats, and a price that moves again."""
        taken = int(self.state.taken[bench])
        is_dear = self.state.price[bench] > 0
        self.state.seats[bench] = taken if is_dear else max(taken, seats)
        self.set_seats(bench, seats)

    def set_seats(self, mentor: int, seats: int) -> None:
        """Let a mentor have so many seats from now on.

        Raises:
            IndexError: there is no such mentor.
            ValueError: it is no whole number, less than none, or so many that sums would not fit
                into 63 bits.
        """
        self.open_seats(np.array([mentor]), np.array([seats]))

    def open_seats(self, mentors: I64, seats: Ints) -> None:
        """Let these mentors, int[n], each once, have so many seats, int[n], in this order.

        Raises:
            IndexError, ValueError: as for `set_seats`; nothing has changed then.
        """
        state = self.state
        for mentor in mentors.tolist():
            _must_be("mentor", mentor, len(state.seats))
        _must_be_seats(mentors, seats)
        together = self._together + int(seats.sum()) - int(state.seats[mentors].sum())
        if self._largest > _MOST // max(together, 1):
            raise ValueError(
                f"mentor {mentors[seats.argmax()]} cannot have {seats.max()} seats: sums would not"
                " add up in 63 bits; give fewer"
            )
        self._together = together
        # One seat more than there are people stays free whoever comes; others beside it change
        # nothing, so nobody looks for who could use them, one by one.
        enough = len(state.whose) + 1
        state.seats[mentors] = np.minimum(state.seats[mentors], enough)
        few = np.minimum(seats, enough).astype(np.int32)
        events.open_seats(self.arcs, state, self._room, mentors, few)
        state.seats[mentors] = seats

    def has(self, mentees: Ints, mentors: Ints) -> npt.NDArray[np.bool_]:
        """bool[n]: which pairs can be matched already, or were barred."""
        many = len(self.state.seats)
        known, asked = self._pairs(), mentees.astype(np.int64) * many + mentors
        at = np.minimum(np.searchsorted(known, asked), max(0, len(known) - 1))
        return known[at] == asked if len(known) else np.zeros(len(asked), np.bool_)

    def _pairs(self) -> I64:
        return self.arcs.mentee.astype(np.int64) * len(self.state.seats) + self.arcs.mentor

    def _number(self, mentees: Ints, mentors: Ints) -> I64:
        """Return the arcs of pairs that have one."""
        many = len(self.state.seats)
        return np.searchsorted(self._pairs(), mentees.astype(np.int64) * many + mentors)

    def _must_add_up(
        self, mentees: Ints, mentors: Ints, values: I64, count: int, many: int
    ) -> None:
        if len(mentors) and not (mentors.min() >= 0 and mentors.max() < many):
            raise ValueError(f"mentors must be in [0, {many}): each has a number of seats")
        if len(mentees) and not (mentees.min() >= 0 and mentees.max() < count):
            raise ValueError(f"mentees must be in [0, {count})")
        if not len(values):
            return
        self._largest = max(self._largest, int(values.max()))
        if values.min() < 0 or self._largest > _MOST // max(self._together, 1):
            raise ValueError(
                f"values must be in [0, {_MOST // max(self._together, 1)}], so that those of"
                f" {self._together} mentees and seats add up in 63 bits: scale them down"
            )


def _must_be(what: str, number: int, count: int) -> None:
    """Raise IndexError for a number that compiled code would follow beyond its arrays."""
    if not is_whole(number, 0, count - 1):
        raise IndexError(f"there is no {what} {number}: there are {count}, from 0 on")


def _must_be_seats(mentors: I64, seats: Ints) -> None:
    """Raise ValueError for seats that a 32-bit number in compiled code would not be."""
    for mentor, number in zip(mentors.tolist(), seats.tolist(), strict=True):
        if not is_whole(number, 0, MOST_SEATS):
            raise ValueError(
                f"mentor {mentor} cannot have {number} seats: give a whole number from 0 to"
                f" {MOST_SEATS}"
            )


def _laid_out(mentees: Ints, mentors: Ints, values: I64, count: int, many: int) -> Arcs:
    order = np.argsort(mentees.astype(np.int64) * many + mentors, kind="stable")
    mentees, mentors = mentees[order].astype(np.int32), mentors[order].astype(np.int32)
    values = values[order].astype(np.int64)
    begins, size = _begins(mentors, many), len(values)
    number, back = np.empty(size, np.int64), np.empty(size, np.int64)
    comer, brings = np.empty(size, np.int32), np.empty(size, np.int64)
    arcs = Arcs(
        _begins(mentees, count), mentees, mentors, values, begins, number, comer, brings, back
    )
    events.turn_round(arcs, begins[:-1].copy())
    return arcs


def _begins(numbers: I32, count: int) -> I64:
    return np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=count))]).astype(np.int64)
