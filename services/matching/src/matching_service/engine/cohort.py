"""What a round is asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from matching_service.engine import scan
from matching_service.engine.columns import F64, I32, I64
from matching_service.engine.prices import keys_of
from matching_service.engine.rules import LOW

FLOOR, CEILING = "floor", "ceiling"
Bench = tuple[int, str]
"""A center, and FLOOR or CEILING."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a round keeps to; centers are numbered as in the market."""

    floor: float = 0.0
    """Every center is served at least at so much of the overall rate, from 0 to 1."""
    floors: Mapping[int, int] = field(default_factory=dict)
    """Center: the least number of people to be served; above what `floor` says."""
    ceilings: Mapping[int, int] = field(default_factory=dict)
    """Center: the largest number of people who may be served; one mentor each."""
    retention: float = 0.0
    """What an incumbent pair counts above its score."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Who takes part in a round."""

    market: scan.Market
    mentees: I64
    """int[n]: lines of the mentees, in an order that decides between equals."""
    mentors: I64
    """int[m]: lines of the mentors, in the same sense."""
    wanted: I32
    """int[n]"""
    seats: I32
    """int[m]"""
    incumbents: tuple[I64, I64] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    """Pairs that are together now, as places in `mentees` and in `mentors`."""

    @property
    def places(self) -> I32:
        """int32[mentors' lines + 1]: each line's place in `mentors`, -1 for none and for no line (-1)."""
        places = np.full(len(self.market.mentors.lot) + 1, -1, np.int32)
        places[self.mentors] = np.arange(len(self.mentors))
        return places

    def place_of(self, mentee: int, mentor: int) -> tuple[int, int]:
        """Return the places of people who take part, given their lines."""
        ours, theirs = np.flatnonzero(self.mentees == mentee), self.places[mentor]
        return int(ours[0]), int(theirs)

    def keys(self, mentees: I64, mentors: I64, market: scan.Market | None = None) -> F64:
        """Return float[n]: the keys of pairs of places, in the cohort's market if no other is given.

        -1 where a rule is broken.
        """
        keys = np.empty(len(mentees))
        keys_of(market or self.market, self.mentees[mentees], self.mentors[mentors], keys)
        return keys

    @property
    def centers(self) -> I64:
        """int[n]: each mentee's center."""
        centers: I64 = (self.market.mentees.columns.key[self.mentees, 0] & LOW).astype(np.int64)
        return centers


@dataclass(frozen=True, slots=True)
class Levels:
    """What things are worth in the integers that are added up."""

    scale: int
    """A score of 1."""
    served: int
    """Somebody is served who else were not; also a place of a center's floor."""
    bench: int
    """To have somebody on the bench whom the floor lets go unserved: `served`, or 0 without floors."""

    @property
    def first(self) -> int:
        """What a pair is worth besides its key, where it is somebody's first."""
        return self.bench + self.served


@dataclass(frozen=True, slots=True)
class Solution:
    """Who is matched with whom, and the prices that prove it to be the best."""

    mentee: I32
    mentor: I32
    """int[pairs]: places in `Cohort.mentees` and `Cohort.mentors`."""
    key: F64
    """float[pairs]: `scan.best_mentors`."""
    prices: I64
    """int[m]"""
    bench_prices: dict[Bench, int]
    """What a place on each bench costs: by how much a floor or a ceiling lowers the sum, at the margin."""
    floors: dict[int, int]
    """Center: how many have to be served there."""
    levels: Levels
    value: int
    bound: int
    passes: int
    added: int
    """Pairs that were added because they offered more than they cost."""
    arcs: int
