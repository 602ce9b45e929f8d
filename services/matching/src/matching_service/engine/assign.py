"""The best assignment of mentees to seats, kept best one event at a time.

Values are integers, so sums are exact and nothing depends on the order of a sum. With a price for
each mentor an assignment shows by itself that it is best (complementary slackness):

    gain(j)  = max(0, max over j's arcs of value - price)   what mentee j can get at these prices
    matched    j's mentor gives exactly that; whoever is unmatched could get nothing: gain 0
    price      is 0 wherever a seat is free

so that value = sum of gains + sum of seats * price, which bounds every assignment.
"""

import numpy as np

from matching_service.engine import paths
from matching_service.engine.columns import I32, I64
from matching_service.engine.reach import Room
from matching_service.engine.seating import NOBODY, Arcs, State

MOST = 1 << 40
"""No value may be larger: 10^6 of them still add up in 63 bits with room to spare."""


class Assignment:
    """Mentees and seats, assigned for the greatest total value, whatever happens one by one.

    `value` proves itself: it equals `bound`, which no assignment can pass.
    """

    def __init__(self, mentees: I32, mentors: I32, values: I64, seats: I32) -> None:
        """Begin with nobody there.

        Args:
            mentees: int[arcs]: who could go ...
            mentors: int[arcs]: ... to whom, each pair once.
            values: int[arcs]: what that is worth, from 0 on. Where each has the same large number
                in it, one more who is served goes before any score.
            seats: int[mentors].

        Raises:
            ValueError: a value or a number of seats is out of range; the text says which.
        """
        if len(values) and not (values.min() >= 0 and values.max() <= MOST):
            raise ValueError(f"values must be in [0, {MOST}]: scale them down")
        if len(seats) and seats.min() < 0:
            raise ValueError("a mentor has less than 0 seats: give 0 for none")
        if len(mentors) and not (mentors.min() >= 0 and mentors.max() < len(seats)):
            raise ValueError(f"mentors must be in [0, {len(seats)}): each has a number of seats")
        if len(mentees) and mentees.min() < 0:
            raise ValueError("mentees must be 0 or more")
        count = int(mentees.max()) + 1 if len(mentees) else 0
        order = np.lexsort((mentors, mentees))
        mentees, mentors = mentees[order].astype(np.int32), mentors[order].astype(np.int32)
        values = values[order].astype(np.int64)
        by_mentor = np.argsort(mentors, kind="stable")
        back = np.empty_like(by_mentor)
        back[by_mentor] = np.arange(len(back))
        self.arcs = Arcs(
            _begins(mentees, count),
            mentees,
            mentors,
            values,
            _begins(mentors[by_mentor], len(seats)),
            by_mentor,
            mentees[by_mentor],
            values[by_mentor],
            back,
        )
        self.state = State(
            np.full(count, NOBODY, np.int64),
            np.full(count, NOBODY, np.int32),
            np.zeros(count, np.int64),
            np.zeros(count, np.uint8),
            seats.astype(np.int32),
            np.zeros(len(seats), np.int32),
            np.zeros(len(seats), np.int64),
            np.full(len(seats), NOBODY, np.int32),
            np.full(count, NOBODY, np.int32),
            np.full(count, NOBODY, np.int32),
        )
        many = len(seats)
        self._room = Room(
            np.zeros(many, np.int64),
            np.zeros(many + 1, np.int64),
            np.zeros(many, np.int64),
            np.zeros(many, np.int64),
            np.zeros(many, np.int64),
            np.zeros(many, np.int64),
        )

    @property
    def mentor_of(self) -> I32:
        """int32[mentees]: the mentor of each, -1 for none."""
        arc = self.state.arc
        return np.where(arc < 0, NOBODY, self.arcs.mentor[arc]).astype(np.int32)

    @property
    def value(self) -> int:
        """What the assignment is worth."""
        used = self.state.arc[self.state.arc >= 0]
        return int(self.arcs.value[used].sum())

    @property
    def bound(self) -> int:
        """What no assignment of who is there could be worth more than."""
        return int(paths.bound(self.arcs, self.state))

    def join(self, mentee: int) -> None:
        """Take a mentee in; who is there already stays as they are."""
        _must_be("mentee", mentee, len(self.state.there))
        if not self.state.there[mentee]:
            paths.join(self.arcs, self.state, self._room, mentee)

    def leave(self, mentee: int) -> None:
        """Let a mentee go; who is not there stays away."""
        _must_be("mentee", mentee, len(self.state.there))
        if self.state.there[mentee]:
            paths.leave(self.arcs, self.state, self._room, mentee)

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
        paths.bar(self.arcs, self.state, self._room, int(own.start + found[0]))

    def set_seats(self, mentor: int, seats: int) -> None:
        """Let a mentor have so many seats from now on.

        Raises:
            ValueError: it is less than none.
        """
        _must_be("mentor", mentor, len(self.state.seats))
        if seats < 0:
            raise ValueError(f"mentor {mentor} cannot have {seats} seats: give 0 for none")
        paths.set_seats(self.arcs, self.state, self._room, mentor, seats)


def _must_be(what: str, number: int, count: int) -> None:
    """Raise IndexError for a number that compiled code would follow beyond its arrays."""
    if not 0 <= number < count:
        raise IndexError(f"there is no {what} {number}: there are {count}, from 0 on")


def _begins(numbers: I32, count: int) -> I64:
    return np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=count))]).astype(np.int64)
