"""A round that goes on: people come and go one by one, pairs part, seats change, and it stays the best.

Each event is one or two shortest paths (`paths`): well under a millisecond at 80,000 people, and the
best over the pairs that the round has looked at closely. `prove` makes it the best over all eligible
pairs again, which is one look at everybody: a third of a second there, for as many events as there were.

Floors and ceilings are of a whole cohort and are not kept here: hold a round for them.
"""

from collections.abc import Set
from uuid import UUID

import numpy as np

from matching_service.engine.checks import of_candidates
from matching_service.engine.cohort import Terms
from matching_service.engine.columns import I64
from matching_service.engine.hold import People
from matching_service.engine.round import Table

_CANDIDATES = 50


class Standing:
    """The best assignment of a pool's people, kept so; the pool must not change meanwhile."""

    def __init__(
        self, people: People, away: Set[UUID] = frozenset(), candidates: int = _CANDIDATES
    ) -> None:
        """Hold the first round. It takes as long as `hold_round`.

        Args:
            people: everybody who is there or may come.
            away: mentees who are not there yet.
            candidates: how many pairs of each mentee to begin with: only the time depends on it, and
                which of several equally good ones it is.

        Raises:
            ValueError: `candidates` is no whole number, or below 1.
        """
        for complaint in of_candidates(candidates):
            raise ValueError(complaint)
        cohort = people.cohort()
        lines = enumerate(cohort.mentees.tolist()), enumerate(cohort.mentors.tolist())
        self._mentees = {people.mentee_at(line): place for place, line in lines[0]}
        self._mentors = {people.mentor_at(line): place for place, line in lines[1]}
        self._ids = list(self._mentees), list(self._mentors)
        self._barred = np.zeros(len(cohort.mentees), np.int64)
        best = people.best_lines(cohort.mentees, min(candidates, max(1, len(self._mentors))))
        self._table = Table(cohort, Terms(), best)
        self._made = self._table.made
        places = np.arange(len(cohort.mentors))
        self._made.join_all(
            np.array([n for one, n in self._mentees.items() if one not in away], np.int64)
        )
        self._made.open_seats(places, cohort.seats)
        self._table.prove()

    @property
    def matches(self) -> set[tuple[UUID, UUID]]:
        """(mentee, mentor) of everybody who is matched."""
        mentor = self._made.mentor_of
        units = np.flatnonzero(mentor >= 0)
        mentee = self._made.state.whose[units]
        return {
            (self._ids[0][j], self._ids[1][i])
            for j, i in zip(mentee.tolist(), mentor[units].tolist(), strict=True)
        }

    @property
    def value(self) -> int:
        """What it is worth: how many are served, and then the sum of keys, see `Levels`."""
        return self._made.value

    def join(self, mentee_id: UUID) -> None:
        """Have a mentee come.

        Raises:
            KeyError: they do not take part.
        """
        self._made.join(self._mentees[mentee_id])

    def leave(self, mentee_id: UUID) -> None:
        """Have a mentee go; who helps most takes the seat.

        Raises:
            KeyError: they do not take part.
        """
        self._made.leave(self._mentees[mentee_id])

    def part(self, mentee_id: UUID, mentor_id: UUID) -> None:
        """Never match these two again, whether they were or not.

        Raises:
            KeyError: one of them does not take part.
        """
        j, i = self._mentees[mentee_id], self._mentors[mentor_id]
        pair: tuple[I64, I64] = np.array([j]), np.array([i])
        if not self._made.has(*pair)[0]:
            self._made.allow(*pair, np.zeros(1, np.int64))
        self._made.bar(j, i)
        self._barred[j] += 1
        self._table.barred = int(self._barred.max())

    def set_seats(self, mentor_id: UUID, seats: int) -> None:
        """Let a mentor have so many seats from now on.

        Raises:
            KeyError: they do not take part.
            ValueError: it is less than none, or too many.
        """
        self._made.set_seats(self._mentors[mentor_id], seats)

    def prove(self) -> None:
        """Make it the best over all eligible pairs again."""
        self._table.prove()
