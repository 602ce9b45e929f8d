"""A cohort's round: the assignment that is the best over all eligible pairs, with its proof.

In this order: every center's floor, as far as it can be met; as many people as possible served; the
greatest sum of scores, where a pair that stays together counts `retention` more. A pair that comes
after all others (`Centers.later`) counts two points less than its score.

1. Each mentee's best `candidates` from the exact scan are the arcs of an `Assignment`.
2. Seats come in one by one where mentees are many, mentees where seats are; each finds its best place
   by a shortest path. Scarce things have short paths.
3. The dense pass compares every eligible pair with the prices. Pairs that offer more become arcs,
   who gains moves, and so on until no pair does: value equals bound over all pairs, in integers.

Why one number can stand for the three levels: any assignment can be extended to one that serves as
many as possible without leaving out anybody who is served (an augmenting path ends at somebody new),
so the floors' and the number's optimum is reached together and both may weigh the same. What weighs
more than all scores of all pairs together is enough for both; docs/adr/0016.
"""

import math
from collections.abc import Callable

import numpy as np

from matching_service.engine.assign import Assignment
from matching_service.engine.cohort import Cohort, Levels, Solution, Terms
from matching_service.engine.columns import F64, I32, I64
from matching_service.engine.prices import Asked, keys_of, offering_more
from matching_service.engine.scan import FIRST

_FINEST = 1 << 24
"""Units of a score of 1, at most: a score has 24 bits."""
_COARSEST = 1 << 12
_BITS = 62
_FIRST_STEP, _LATER_STEP = 8, 14  # halvings of a score of 1
_SWEEPS = 40  # of the floors' prices; what is left is done seat by seat
_MORE_AT_ONCE = 5  # pairs that a dense pass may add for each mentee
FLOOR, CEILING = "floor", "ceiling"
Bench = tuple[int, str]
"""A center, and FLOOR or CEILING."""


def solve(
    cohort: Cohort,
    terms: Terms,
    best: tuple[F64, I32],
    progress: Callable[[str], None] = lambda _: None,
) -> Solution:
    """Return the best assignment of a cohort, with its proof.

    Args:
        cohort: who takes part.
        terms: what to keep to.
        best: (keys, mentors' lines), both [mentees, k]: each mentee's best from the exact scan. No
            result depends on k, only the time does; 50 is a good number.
        progress: is told what is being done.

    Raises:
        ValueError: there are too many for 63 bits; the text says what to do.
    """
    table = _Table(cohort, terms, best)
    progress(f"{table.made.arcs.mentee.size} pairs to begin with")
    table.fill()
    progress(f"{table.served} served")
    passes = added = 0
    for settle in (table.move_prices, table.set_floors) if table.has_floors else (_as_it_is,):
        while True:
            settle()
            mentees, mentors, values = table.look_everywhere()
            passes += 1
            progress(f"pass {passes}: {table.served} served, {len(mentees)} pairs offer more")
            if not len(mentees):
                break
            table.made.allow(mentees, mentors, values)
            added += len(mentees)
    return table.solution(passes, added)


def _as_it_is() -> None:
    """Settle nothing."""


class _Table:
    """A cohort's assignment while it becomes the best."""

    def __init__(self, cohort: Cohort, terms: Terms, best: tuple[F64, I32]) -> None:
        self._cohort, self._terms = cohort, terms
        self._center = cohort.centers
        self._people = np.bincount(self._center, minlength=len(cohort.market.where.later))
        self._benches = self._laid_out()
        has_ceiling = np.isin(self._center, list(terms.ceilings))
        self._wanted = np.where(has_ceiling, 1, cohort.wanted).astype(np.int32)
        self.levels = self._weighed()
        self.floors: dict[int, int] = {}
        self._is_new = True
        self._keys = _Keys(cohort)
        last = np.where(best[1][:, -1] < 0, -np.inf, best[0][:, -1])
        self._last = np.rint(last * self.levels.scale)
        self.made = self._begun(best)

    def _laid_out(self) -> dict[Bench, int]:
        """Return how many seats each bench has to begin with."""
        terms, people = self._terms, self._people
        benches: dict[Bench, int] = {}
        for center, most in terms.ceilings.items():
            benches[center, CEILING] = max(0, int(people[center]) - most)
        if terms.floor > 0 or terms.floors or benches:
            for center, count in enumerate(people):
                benches[center, FLOOR] = int(count) - benches.get((center, CEILING), 0)
        return benches

    def _weighed(self) -> Levels:
        """Return the levels, as fine as 63 bits allow."""
        units, seats = int(self._wanted.sum()), int(self._cohort.seats.sum())
        together = units + seats + sum(self._benches.values())
        largest_key = FIRST + 1 + self._terms.retention
        scale = _FINEST
        while scale >= _COARSEST:
            served = math.ceil(min(units, seats) * largest_key * scale) + 1
            if (4 * served + math.ceil(largest_key * scale)) * together < 1 << _BITS:
                return Levels(scale, served, served if self._benches else 0)
            scale //= 2
        raise ValueError(
            f"{units} mentees and {seats} seats are too many for one round: their sums do not fit"
            " into 63 bits; hold a round for each part of the programme"
        )

    def _begun(self, best: tuple[F64, I32]) -> Assignment:
        cohort, many = self._cohort, len(self._cohort.mentors)
        keys, lines = best
        places = self._keys.places[lines]
        who, nth = np.nonzero((lines >= 0) & (places >= 0))
        mentors, values = places[who, nth], self._values(keys[who, nth])
        ours, theirs = cohort.incumbents
        bonus = round(self._terms.retention * self.levels.scale)
        together = self._keys.of(ours, theirs)
        fit = together >= 0
        ours, theirs, together = ours[fit], theirs[fit], together[fit]
        known = np.isin(who * many + mentors, ours * many + theirs)
        benched = [self._arcs_of(number, bench) for number, bench in enumerate(self._benches)]
        parts = [
            (who[~known], mentors[~known], values[~known]),
            (ours, theirs, self._values(together) + bonus),
            *benched,
        ]
        mentees, mentors, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Assignment(
            mentees,
            mentors,
            values,
            np.concatenate([np.zeros(many), list(self._benches.values())]).astype(np.int32),
            self._wanted,
            len(self._benches),
            self.levels.first,
        )

    def _values(self, keys: F64) -> I64:
        levels = self.levels
        return levels.first + np.rint(keys * levels.scale).astype(np.int64)

    def _arcs_of(self, number: int, bench: Bench) -> tuple[I64, I64, I64]:
        center, kind = bench
        who = np.flatnonzero(self._center == center)
        worth = self.levels.bench if kind == FLOOR else 4 * self.levels.served
        return who, np.full(len(who), len(self._cohort.mentors) + number), np.full(len(who), worth)

    def fill(self) -> None:
        """Seat everybody: the scarce side comes in one by one, the other is there already."""
        for _, number in self._floors():
            self.made.begin_at_a_price(number)
        seats = self._cohort.seats
        mentees, mentors = np.arange(len(self._wanted)), np.arange(len(seats))
        if seats.sum() >= self._wanted.sum():
            self.made.open_seats(mentors, seats)
            self.made.join_all(mentees)
        else:
            self.made.join_all(mentees)
            self.made.open_seats(mentors, seats)

    def move_prices(self) -> None:
        """Bring every center near its floor.

        Their benches are at a price so far, which is moved until the right number of people sit
        there: by longer steps as long as it goes the same way, by shorter ones where it turns
        (Rprop; Riedmiller, Braun 1993).
        """
        made = self.made
        first = self.levels.scale >> (_FIRST_STEP if self._is_new else _LATER_STEP)
        self._is_new = False
        steps = {number: _Step(first) for _, number in self._floors()}
        for _ in range(_SWEEPS):
            for (center, _), number in self._floors():
                price = int(made.state.price[number])
                short = int(made.state.taken[number]) - self._most(center) + self._asked(center)
                way = 1 if short > 0 else -1 if short < 0 and price > 0 else 0
                by = way * steps[number].length(short) if way else 0
                made.move_price(number, max(-price, min(by, self.levels.bench - price)))

    @property
    def has_floors(self) -> bool:
        """Whether any center has a floor."""
        return bool(self._floors())

    def _floors(self) -> list[tuple[Bench, int]]:
        """Return the benches of floors with their numbers among the mentors."""
        many = len(self._cohort.mentors)
        return [(bench, many + n) for n, bench in enumerate(self._benches) if bench[1] == FLOOR]

    def _most(self, center: int) -> int:
        people = int(self._people[center])
        return min(people, self._terms.ceilings.get(center, people))

    def _asked(self, center: int) -> int:
        """Return a center's floor, given how many are served."""
        rate = self.served / max(1, len(self._wanted))
        share = math.ceil(self._terms.floor * rate * int(self._people[center]) - 1e-9)
        return min(self._most(center), max(self._terms.floors.get(center, 0), share))

    @property
    def served(self) -> int:
        """How many have a mentor."""
        return int(np.count_nonzero(self.made.state.has))

    def set_floors(self) -> None:
        """Bring every center to its floor, given how many are served, one seat of a bench at a time."""
        for (center, _), number in self._floors():
            floor = self._asked(center)
            if center not in self.floors:
                self.made.end_at_a_price(number, self._most(center) - floor)
            elif floor != self.floors[center]:
                self.made.set_seats(number, self._most(center) - floor)
            self.floors[center] = floor

    def look_everywhere(self) -> tuple[I64, I32, I64]:
        """Return the pairs that offer more than they cost: (mentees, mentors, values)."""
        cohort, levels, made = self._cohort, self.levels, self.made
        price = made.state.price[: len(cohort.seats)] - levels.first
        order = np.argsort(price, kind="stable")
        order = order[cohort.seats[order] > 0]
        asked = Asked(
            cohort.mentees,
            self._last,
            made.stakes.astype(float),
            cohort.mentors[order].astype(np.int32),
            price[order].astype(float),
            float(levels.scale),
        )
        k = _MORE_AT_ONCE + int(self._wanted.max(initial=1)) - 1
        gains, lines = offering_more(cohort.market, asked, k)
        who, nth = np.nonzero(lines >= 0)
        mentors = self._keys.places[lines[who, nth]]
        new = ~made.has(who, mentors)
        who, nth, mentors = who[new], nth[new], mentors[new]
        values = gains[who, nth].astype(np.int64) + made.state.price[mentors]
        return who, mentors, values

    def solution(self, passes: int, added: int) -> Solution:
        """Return the assignment as it is now."""
        made, many = self.made, len(self._cohort.mentors)
        mentor = made.mentor_of
        matched = mentor >= 0
        mentee = made.state.whose[matched]
        return Solution(
            mentee,
            mentor[matched],
            self._keys.of(mentee.astype(np.int64), mentor[matched].astype(np.int64)),
            made.state.price[:many].copy(),
            {bench: int(made.state.price[many + n]) for n, bench in enumerate(self._benches)},
            dict(self.floors),
            self.levels,
            made.value,
            made.bound,
            passes,
            added,
            len(made.arcs.mentee),
        )


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


class _Keys:
    """Keys of single pairs of a cohort."""

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self.places = np.full(len(cohort.market.mentors.lot), -1, np.int32)
        """Each line's place among the cohort's mentors, -1 for none."""
        self.places[cohort.mentors] = np.arange(len(cohort.mentors))

    def of(self, mentees: I64, mentors: I64) -> F64:
        """Return float[n]: the pairs' keys; -1 where a rule is broken."""
        keys = np.empty(len(mentees))
        cohort = self._cohort
        keys_of(cohort.market, cohort.mentees[mentees], cohort.mentors[mentors], keys)
        return keys
