"""Floors and ceilings of centers, as benches: mentors that are none, where sits who has no mentor.

A floor's bench has as many seats as its center may have unserved, and to sit there is worth as much
as to be served; a ceiling's bench is worth more than anything, so that it is filled. A floor that
cannot be met leaves somebody without a seat on it: a shortfall that can be seen, and no error.

O(sweeps * centers) moves of a price, of some ten sweeps, and a shortest path for each who moves then.
"""

import math

import numpy as np

from matching_service.engine.assign import Assignment
from matching_service.engine.cohort import CEILING, FLOOR, Bench, Cohort, Levels, Terms
from matching_service.engine.columns import I64

_FIRST_STEP, _LATER_STEP = 8, 14  # halvings of a score of 1
_SWEEPS = 40  # of the floors' prices; what is left is done seat by seat


class Benches:
    """The benches of a cohort; they come behind its mentors, in the order of `seats`."""

    def __init__(self, cohort: Cohort, terms: Terms) -> None:
        """Lay them out; none where nothing is asked."""
        self._terms = terms
        self._center = cohort.centers
        self._people = np.bincount(self._center, minlength=len(cohort.market.where.later))
        self._many = len(cohort.mentors)
        self._is_new = True
        self.floors: dict[int, int] = {}
        """Center: how many have to be served there, as `set_floors` found."""
        self.seats: dict[Bench, int] = {}
        """How many seats each has to begin with."""
        for center, most in terms.ceilings.items():
            self.seats[center, CEILING] = max(0, int(self._people[center]) - most)
        if terms.floor > 0 or terms.floors or self.seats:
            for center, count in enumerate(self._people):
                self.seats[center, FLOOR] = int(count) - self.seats.get((center, CEILING), 0)

    def arcs(self, levels: Levels) -> list[tuple[I64, I64, I64]]:
        """Return each bench's (mentees, bench's number among the mentors, values)."""
        found = []
        for number, (center, kind) in enumerate(self.seats):
            who = np.flatnonzero(self._center == center)
            worth = levels.bench if kind == FLOOR else 4 * levels.served
            found.append((who, np.full(len(who), self._many + number), np.full(len(who), worth)))
        return found

    def begin(self, made: Assignment) -> None:
        """Have floors' benches at a price, before anybody comes."""
        for _, number in self._of_floors():
            made.begin_at_a_price(number)

    def move_prices(self, made: Assignment, levels: Levels) -> None:
        """Bring every center near its floor, its bench being at a price.

        It is moved until the right number of people sit there, each time as far as the last move
        says (secant). One more or less is left to `set_floors`.
        """
        first = max(1, levels.scale >> (_FIRST_STEP if self._is_new else _LATER_STEP))
        self._is_new = False
        steps = {number: _Step(first) for _, number in self._of_floors()}
        for _ in range(_SWEEPS):
            moved = False
            for center, number in self._of_floors():
                price = int(made.state.price[number])
                short = int(made.state.taken[number]) - self._free_of(center, made)
                way = 1 if short > 1 else -1 if short < -1 and price > 0 else 0
                by = way * steps[number].length(short) if way else 0
                by = max(-price, min(by, levels.bench - price))
                made.move_price(number, by)
                moved |= by != 0
            if not moved:
                break

    def set_floors(self, made: Assignment) -> None:
        """Bring every center to its floor, given how many are served, one seat at a time."""
        for center, number in self._of_floors():
            free = self._free_of(center, made)
            if center not in self.floors:
                made.end_at_a_price(number, free)
            elif free != made.state.seats[number]:
                made.set_seats(number, free)
            self.floors[center] = self._most(center) - free

    def _of_floors(self) -> list[tuple[int, int]]:
        """Return (center, number among the mentors) of the benches of floors."""
        kinds = enumerate(self.seats, self._many)
        return [(center, number) for number, (center, kind) in kinds if kind == FLOOR]

    def _most(self, center: int) -> int:
        people = int(self._people[center])
        return min(people, self._terms.ceilings.get(center, people))

    def _free_of(self, center: int, made: Assignment) -> int:
        """Return how many may sit on a floor's bench, given how many are served everywhere."""
        rate = made.served / max(1, len(self._center))
        share = math.ceil(self._terms.floor * rate * int(self._people[center]) - 1e-9)
        floor = max(self._terms.floors.get(center, 0), share)
        return max(0, self._most(center) - floor)


class _Step:
    """How far a price moves next: as far as the last move says (secant), at most twice as far."""

    def __init__(self, first: int) -> None:
        self._length, self._short = first, 0

    def length(self, short: int) -> int:
        """Return how far to go where so many too many are on the bench, below 0 for too few."""
        gone = abs(self._short - short)
        is_nearer = self._short * (self._short - short) > 0
        if is_nearer:
            wanted = self._length * abs(short) // gone
            self._length = max(1, min(2 * self._length, wanted))
        elif self._short * short < 0:
            self._length = max(1, self._length // 2)
        elif self._short:
            self._length *= 2
        self._short = short
        return self._length
