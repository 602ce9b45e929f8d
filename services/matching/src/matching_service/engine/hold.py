"""A round of a pool's people: who is matched with whom, told by their ids."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import numpy as np

from matching_service.engine.checks import is_number, is_whole, of_candidates
from matching_service.engine.cohort import Cohort, Solution, Terms
from matching_service.engine.columns import F64, I32, I64
from matching_service.engine.round import solve
from matching_service.engine.scan import FIRST
from matching_service.engine.stable import Views, stable

_MOST_RETENTION = 1000.0


class People(Protocol):
    """Who can be matched: a `Pool`, or one that was recorded."""

    @property
    def centers(self) -> Mapping[str, int]:
        """The number of each center."""

    @property
    def views(self) -> Views:
        """The market as each side sees it alone."""

    def cohort(self, incumbents: Iterable[tuple[UUID, UUID]] = ()) -> Cohort:
        """Return who takes part in a round."""

    def best_lines(self, lines: I64, k: int) -> tuple[F64, I32]:
        """Return each mentee's best pairs: (keys, mentors' lines)."""

    def mentee_at(self, line: int) -> UUID:
        """Return the mentee on a line."""

    def mentor_at(self, line: int) -> UUID:
        """Return the mentor on a line."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a round keeps to. Names of centers are institution ids."""

    floor: float = 0.0
    """Every center's mentees are served at least at so much of the overall rate, from 0 to 1."""
    floors: Mapping[str, int] = field(default_factory=dict)
    """Center: the least number of its mentees to be served."""
    ceilings: Mapping[str, int] = field(default_factory=dict)
    """Center: the largest number of its mentees to be served; each of them has one mentor at most."""
    retention: float = 0.0
    """What a pair that is together now counts above its score."""
    candidates: int = 50
    """How many pairs of each mentee to begin with: only the time depends on it, and which one it
    is where several rounds are equally good."""


@dataclass(frozen=True, slots=True)
class Matched:
    """One pair of a round."""

    mentee_id: UUID
    mentor_id: UUID
    score: float
    later: bool
    """Whether it comes after all others: a center that prefers other centers' people."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a round does for one center's mentees."""

    mentees: int
    served: int
    floor: int
    """How many were to be served; where fewer are, no assignment serves more without another's loss."""

    @property
    def shortfall(self) -> int:
        """How many more the floor asks for."""
        return max(0, self.floor - self.served)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who is matched with whom."""

    matches: list[Matched]
    unserved: list[UUID]
    """Mentees who break no rule by themselves and have nobody."""
    centers: dict[str, Served]
    cohort: Cohort


@dataclass(frozen=True, slots=True)
class Round(Outcome):
    """What came of a round that is the best over all, with its proof."""

    solution: Solution
    asked: Asked

    @property
    def gap(self) -> int:
        """By how much an assignment over all eligible pairs could be better: proved to be 0."""
        return self.solution.bound - self.solution.value


def hold_round(
    pool: People,
    asked: Asked | None = None,
    incumbents: Iterable[tuple[UUID, UUID]] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Round:
    """Match a pool's people for the best, over all eligible pairs.

    Args:
        pool: everybody; it must not change meanwhile.
        asked: what to keep to; nothing where it is not given.
        incumbents: (mentee, mentor) who are together now, see `Asked.retention`.
        progress: is told what is being done; it may take minutes.

    Raises:
        ValueError: something asked is out of its range; the text names it and says what to do.
    """
    asked = _taken_over(asked or Asked(), pool.centers)
    terms = _terms(asked, pool.centers)
    cohort = pool.cohort(incumbents)
    best = pool.best_lines(cohort.mentees, min(asked.candidates, max(1, len(cohort.mentors))))
    solution = solve(cohort, terms, best, progress)
    pairs = solution.mentee.astype(np.int64), solution.mentor.astype(np.int64)
    told = outcome_of(pool, cohort, pairs, solution.key, solution.floors)
    return Round(told.matches, told.unserved, told.centers, cohort, solution, asked)


def hold_stable(pool: People, progress: Callable[[str], None] = lambda _: None) -> Outcome:
    """Match a pool's people so that no two would both rather have each other.

    Of all stable matchings it is the one that every mentee likes best. Fewer may be served than by
    `hold_round`, the sum of scores is lower, and there are no floors.

    Args:
        pool: everybody; it must not change meanwhile.
        progress: is told what is being done.
    """
    cohort = pool.cohort()
    found = stable(cohort, pool.views, progress)
    order = np.lexsort((found.mentor, found.mentee))
    mentee, mentor = found.mentee[order], found.mentor[order]
    return outcome_of(pool, cohort, (mentee, mentor), cohort.keys(mentee, mentor), {})


def outcome_of(
    pool: People, cohort: Cohort, pairs: tuple[I64, I64], keys: F64, floors: Mapping[int, int]
) -> Outcome:
    """Return pairs of places in a cohort, with their keys, told by ids; floors by center's number."""
    mentee = [pool.mentee_at(line) for line in cohort.mentees.tolist()]
    mentor = [pool.mentor_at(line) for line in cohort.mentors.tolist()]
    matched = zip(pairs[0].tolist(), pairs[1].tolist(), keys.tolist(), strict=True)
    served = np.zeros(len(mentee), np.bool_)
    served[pairs[0]] = True
    everybody = np.bincount(cohort.centers, minlength=len(pool.centers))
    who = np.bincount(cohort.centers[served], minlength=len(pool.centers))
    return Outcome(
        [Matched(mentee[j], mentor[i], key % FIRST, key < FIRST) for j, i, key in matched],
        [mentee[n] for n in np.flatnonzero(~served)],
        {
            name: Served(int(everybody[n]), int(who[n]), floors.get(n, 0))
            for name, n in pool.centers.items()
            if everybody[n]
        },
        cohort,
    )


def _taken_over(asked: Asked, centers: Mapping[str, int]) -> Asked:
    """Return what is asked in plain numbers, as it is recorded: numpy's are no JSON."""
    for complaint in _complaints(asked, centers):
        raise ValueError(complaint)
    floors, ceilings = (
        {center: int(count) for center, count in given.items()}
        for given in (asked.floors, asked.ceilings)
    )
    return Asked(
        float(asked.floor), floors, ceilings, float(asked.retention), int(asked.candidates)
    )


def _terms(asked: Asked, centers: Mapping[str, int]) -> Terms:
    floors = {centers[center]: count for center, count in asked.floors.items()}
    ceilings = {centers[center]: count for center, count in asked.ceilings.items()}
    return Terms(asked.floor, floors, ceilings, asked.retention)


def _complaints(asked: Asked, centers: Mapping[str, int]) -> Iterator[str]:
    """Give what is wrong with what is asked, and what to do."""
    yield from of_candidates(asked.candidates)
    if not is_number(asked.floor, 0, 1):
        yield f"floor is {asked.floor}: a share of the overall rate is from 0 to 1"
    if not is_number(asked.retention, 0, _MOST_RETENTION):
        yield f"retention is {asked.retention}: give points of score, from 0 to {_MOST_RETENTION:g}"
    yield from _complaints_of("floor", asked.floors, centers)
    yield from _complaints_of("ceiling", asked.ceilings, centers)
    for center in asked.floors.keys() & asked.ceilings.keys():
        floor, most = asked.floors[center], asked.ceilings[center]
        if floor > most:
            yield (
                f"center {center!r} has a floor of {floor} above its ceiling of {most}:"
                " lower the one or raise the other"
            )


def _complaints_of(
    name: str, given: Mapping[str, int], centers: Mapping[str, int]
) -> Iterator[str]:
    if not isinstance(given, Mapping):
        yield f"{name}s is {given}: give a number for each center, such as {{'north': 10}}"
        return
    for center, count in given.items():
        if center not in centers:
            yield f"{name}s: nobody in the pool is of center {center!r}; there are {sorted(centers)}"
        if not is_whole(count, 0):
            yield f"the {name} of center {center!r} is {count}: give a whole number, 0 or more"
