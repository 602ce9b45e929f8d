"""A cohort's round: the assignment that is the best over all eligible pairs, with its proof.

In this order: every center's floor, as far as it can be met; as many people as possible served; the
greatest sum of scores, where a pair that stays together counts `retention` more. A pair that comes
after all others (`Centers.later`) counts two points less than its score.

1. Each mentee's best `candidates` from the exact scan are the arcs of an `Assignment`.
2. Seats come in one by one where mentees are many, mentees where seats are; each finds its best place
   by a shortest path. Scarce things have short paths.
3. Every other eligible pair is held against the prices (`prices`: most are known to be worth too
   little without a look). Pairs that offer more become arcs, who gains moves, and so on until no pair
   does: value equals bound over all pairs, in integers.

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
from matching_service.engine.floors import Benches
from matching_service.engine.prices import Question, offering_more
from matching_service.engine.scan import FIRST

_FINEST = 1 << 24
"""Units of a score of 1, at most: a score has 24 bits."""
_COARSEST = 1 << 12
_BITS = 62
_MORE_AT_ONCE = 5  # pairs that a pass may add for each mentee


def solve(
    cohort: Cohort,
    terms: Terms,
    best: tuple[F64, I32],
    progress: Callable[[str], None] = lambda _: None,
) -> Solution:
    """Return the best assignment of a cohort, with its proof.

    A shortest path for each mentee or seat, whichever are fewer, over O(mentees * k) arcs, and looks at
    everybody that are O(mentees * mentors) at the worst (`prices`); with the arcs known at first
    one pair in a hundred is looked at.

    Args:
        cohort: who takes part.
        terms: what to keep to.
        best: (keys, mentors' lines), both [mentees, k]: each mentee's best from the exact scan. What
            it is worth does not depend on k, only the time, and which of several equally good ones
            it is; 50 is a good number.
        progress: is told what is being done.

    Raises:
        ValueError: there are too many for 63 bits; the text says what to do.
    """
    table = Table(cohort, terms, best)
    progress(f"{table.made.arcs.mentee.size} pairs to begin with")
    table.fill()
    progress(f"{table.made.served} served")
    table.prove(progress)
    return table.solution()


class Table:
    """A cohort's assignment while it becomes the best, and afterwards."""

    def __init__(self, cohort: Cohort, terms: Terms, best: tuple[F64, I32]) -> None:
        self._cohort, self._terms = cohort, terms
        self.benches = Benches(cohort, terms)
        has_ceiling = np.isin(cohort.centers, list(terms.ceilings))
        self._wanted = np.where(has_ceiling, 1, cohort.wanted).astype(np.int32)
        self.levels = self._weighed()
        self._places = cohort.places
        last = np.where(best[1][:, -1] < 0, -np.inf, best[0][:, -1])
        self._last = np.rint(last * self.levels.scale)
        self.made = self._begun(best)
        self.passes = self.added = 0
        self.barred = 0
        """How many pairs of one mentee were barred, at most: they are found again and do not count."""

    def _weighed(self) -> Levels:
        """Return the levels, as fine as 63 bits allow."""
        units, seats = int(self._wanted.sum()), int(self._cohort.seats.sum())
        together = units + seats + sum(self.benches.seats.values())
        largest_key = FIRST + 1 + self._terms.retention
        scale = _FINEST
        while scale >= _COARSEST:
            # Twice what all scores can sum to: what a level costs is told from what scores do.
            served = 2 * math.ceil(units * largest_key * scale) + 1
            if (4 * served + math.ceil(largest_key * scale)) * together < 1 << _BITS:
                return Levels(scale, served, served if self.benches.seats else 0)
            scale //= 2
        raise ValueError(
            f"{units} mentees and {seats} seats are too many for one round: their sums do not fit"
            " into 63 bits; hold a round for each part of the programme"
        )

    def _begun(self, best: tuple[F64, I32]) -> Assignment:
        cohort, many = self._cohort, len(self._cohort.mentors)
        keys, lines = best
        places = self._places[lines]
        who, nth = np.nonzero((lines >= 0) & (places >= 0))
        mentors, values = places[who, nth], self._values(keys[who, nth])
        ours, theirs = cohort.incumbents
        bonus = round(self._terms.retention * self.levels.scale)
        together = cohort.keys(ours, theirs)
        fit = together >= 0
        ours, theirs, together = ours[fit], theirs[fit], together[fit]
        known = np.isin(who * many + mentors, ours * many + theirs)
        parts = [
            (who[~known], mentors[~known], values[~known]),
            (ours, theirs, self._values(together) + bonus),
            *self.benches.arcs(self.levels),
        ]
        mentees, mentors, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Assignment(
            mentees,
            mentors,
            values,
            np.concatenate([np.zeros(many), list(self.benches.seats.values())]).astype(np.int32),
            self._wanted,
            len(self.benches.seats),
            self.levels.first,
        )

    def _values(self, keys: F64) -> I64:
        levels = self.levels
        return levels.first + np.rint(keys * levels.scale).astype(np.int64)

    def fill(self) -> None:
        """Seat everybody: the scarce side comes in one by one, the other is there already."""
        self.benches.begin(self.made)
        seats = self._cohort.seats
        mentees, mentors = np.arange(len(self._wanted)), np.arange(len(seats))
        if seats.sum() >= self._wanted.sum():
            self.made.open_seats(mentors, seats)
            self.made.join_all(mentees)
        else:
            self.made.join_all(mentees)
            self.made.open_seats(mentors, seats)

    def prove(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Make it the best over all eligible pairs, by adding pairs until none offers more."""
        for is_last in (False, True) if self.benches.seats else (True,):
            while True:
                self._settle(is_last)
                mentees, mentors, values = self._look_everywhere()
                self.passes += 1
                progress(
                    f"pass {self.passes}: {self.made.served} served, {len(mentees)} pairs offer more"
                )
                if not len(mentees):
                    break
                self.made.allow(mentees, mentors, values)
                self.added += len(mentees)

    def _settle(self, is_last: bool) -> None:
        """Bring the floors near where they are, by prices; exactly there in the end."""
        if is_last:
            self.benches.set_floors(self.made)
        else:
            self.benches.move_prices(self.made, self.levels)

    def _look_everywhere(self) -> tuple[I64, I32, I64]:
        """Return the pairs that offer more than they cost: (mentees, mentors, values)."""
        cohort, levels, state = self._cohort, self.levels, self.made.state
        there = np.flatnonzero(state.there)
        price = state.price[: len(cohort.seats)] - levels.first
        order = np.argsort(price, kind="stable")
        order = order[state.seats[order] > 0]
        asked = Question(
            cohort.mentees[there],
            self._last[there],
            state.stake[there].astype(float),
            cohort.mentors[order].astype(np.int32),
            price[order].astype(float),
            float(levels.scale),
        )
        k = _MORE_AT_ONCE + int(self._wanted.max(initial=1)) - 1 + self.barred
        gains, lines = offering_more(cohort.market, asked, k)
        row, nth = np.nonzero(lines >= 0)
        mentors = self._places[lines[row, nth]]
        new = ~self.made.has(there[row], mentors)
        row, nth, mentors = row[new], nth[new], mentors[new]
        values = gains[row, nth].astype(np.int64) + state.price[mentors]
        return there[row], mentors, values

    def solution(self) -> Solution:
        """Return the assignment as it is now."""
        made, many = self.made, len(self._cohort.mentors)
        mentor = made.mentor_of
        matched = mentor >= 0
        mentee = made.state.whose[matched]
        return Solution(
            mentee,
            mentor[matched],
            self._cohort.keys(mentee.astype(np.int64), mentor[matched].astype(np.int64)),
            made.state.price[:many].copy(),
            {bench: int(made.state.price[many + n]) for n, bench in enumerate(self.benches.seats)},
            dict(self.benches.floors),
            self.levels,
            made.value,
            made.bound,
            self.passes,
            self.added,
            len(made.arcs.mentee),
        )
