"""People choose: a shortlist each, a short talk, a private ranking from both sides, then the solver.

A shortlist is a round in which everybody has several: the best over all eligible pairs, while no mentor
has more talks than they have time for. After the talks both sides say in private in which order
they would like each other, and whom they would rather not have at all. Then as many as possible are
served, and of all ways to do that it is the one with the greatest sum of

    worth(j, i) = square root of (how j likes i * how i likes j)

where the first of n is liked 1, the second (n - 1) / n, ..., and whoever was met but not named half as
much as the last who was. Whoever gave no order likes everybody as their gain says. What comes out
names who is matched and nothing of anybody's order or avoidance.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from uuid import UUID

import numpy as np

from matching_service.engine.assign import Assignment
from matching_service.engine.checks import is_whole
from matching_service.engine.cohort import Cohort, Terms
from matching_service.engine.columns import I64
from matching_service.engine.hold import Outcome, People, outcome_of
from matching_service.engine.round import solve
from matching_service.engine.scan import FIRST

_SCALE = 1 << 24
_CANDIDATES = 50


@dataclass(frozen=True, slots=True)
class Said:
    """What one person said in private after the talks."""

    likes: Sequence[UUID] = ()
    """The best liked first; nobody: no order is given."""
    avoids: frozenset[UUID] = frozenset()
    """Never these, whatever else there is."""


class ChoiceError(ValueError):
    """What somebody said cannot be; the text says what and what to do."""


def shortlists(people: People, size: int, talks: int) -> dict[UUID, list[UUID]]:
    """Return each mentee's shortlist, the best first; nobody for whom there is no eligible mentor.

    Args:
        people: everybody.
        size: how many mentors a mentee talks with, at most.
        talks: how many mentees a mentor talks with for each free seat, at most.

    Raises:
        ValueError: one of both is no whole number, or below 1.
    """
    if not (is_whole(size, 1) and is_whole(talks, 1)):
        raise ValueError(
            f"size is {size} and talks is {talks}: give 1 or more of both, whole numbers"
        )
    cohort = people.cohort()
    # Nobody talks with somebody twice: more than everybody means everybody, and fits into 32 bits.
    size = min(int(size), max(1, len(cohort.mentors)))
    talks = min(int(talks), max(1, len(cohort.mentees)))
    seats = np.minimum(cohort.seats.astype(np.int64) * talks, len(cohort.mentees))
    several = replace(
        cohort,
        wanted=np.full(len(cohort.mentees), size, np.int32),
        seats=seats.astype(np.int32),
    )
    found = solve(several, Terms(), people.best_lines(cohort.mentees, max(_CANDIDATES, 2 * size)))
    lists: dict[UUID, list[UUID]] = {}
    for n in np.lexsort((-found.key, found.mentee)).tolist():
        mentee = people.mentee_at(int(cohort.mentees[found.mentee[n]]))
        mentor = people.mentor_at(int(cohort.mentors[found.mentor[n]]))
        lists.setdefault(mentee, []).append(mentor)
    return lists


def hold_chosen(
    people: People, met: Mapping[UUID, Iterable[UUID]], said: Mapping[UUID, Said]
) -> Outcome:
    """Match those who met by what both sides said, for the best over all ways to do it.

    Whoever broke a rule since then is left out. O(pairs that met).

    Args:
        people: everybody, as they are now.
        met: mentee: the mentors they talked with.
        said: what people said, of both sides; who said nothing need not be there.

    Raises:
        ChoiceError: somebody names whom they did not meet, or names somebody twice.
    """
    cohort = people.cohort()
    ours = {people.mentee_at(line): n for n, line in enumerate(cohort.mentees.tolist())}
    theirs = {people.mentor_at(line): n for n, line in enumerate(cohort.mentors.tolist())}
    pairs = sorted({(mentee, mentor) for mentee, mentors in met.items() for mentor in mentors})
    for complaint in _complaints(pairs, said):
        raise ChoiceError(complaint)
    there = [(j, i) for j, i in pairs if j in ours and i in theirs and not _avoided(said, j, i)]
    who = np.array([ours[j] for j, _ in there], np.int64)
    whom = np.array([theirs[i] for _, i in there], np.int64)
    keys = cohort.keys(who, whom)
    worth = np.array(_worths(people, cohort, there, (who, whom), said))
    fit = keys >= 0
    who, whom, worth = who[fit], whom[fit], worth[fit]
    served = (int(min(cohort.wanted.sum(), cohort.seats.sum())) + 1) * _SCALE
    made = Assignment(
        who,
        whom,
        served + np.rint(worth * _SCALE).astype(np.int64),
        cohort.seats.astype(np.int32),
        cohort.wanted,
        first_one=served,
    )
    made.join_all(np.arange(len(cohort.mentees)))
    matched = made.mentor_of >= 0
    chosen = made.state.whose[matched].astype(np.int64), made.mentor_of[matched].astype(np.int64)
    return outcome_of(people, cohort, chosen, cohort.keys(*chosen), {})


def _avoided(said: Mapping[UUID, Said], one: UUID, other: UUID) -> bool:
    return any(a in said and b in said[a].avoids for a, b in ((one, other), (other, one)))


def _worths(
    people: People,
    cohort: Cohort,
    pairs: Sequence[tuple[UUID, UUID]],
    places: tuple[I64, I64],
    said: Mapping[UUID, Said],
) -> list[float]:
    """Return what each pair is worth by what both said; by their gain where somebody said nothing."""
    gains = [np.maximum(cohort.keys(*places, view), 0) % FIRST for view in people.views]
    return [
        sqrt(_liked(said.get(j), i, float(to_j)) * _liked(said.get(i), j, float(to_i)))
        for (j, i), to_j, to_i in zip(pairs, *gains, strict=True)
    ]


def _liked(said: Said | None, whom: UUID, gain: float) -> float:
    if said is None or not said.likes:
        return gain
    many = len(said.likes)
    if whom in said.likes:
        return (many - said.likes.index(whom)) / many
    return 1 / (2 * many)


def _complaints(pairs: Sequence[tuple[UUID, UUID]], said: Mapping[UUID, Said]) -> Iterator[str]:
    met: dict[UUID, set[UUID]] = {}
    for mentee, mentor in pairs:
        met.setdefault(mentee, set()).add(mentor)
        met.setdefault(mentor, set()).add(mentee)
    for who, one in said.items():
        named = [*one.likes, *one.avoids]
        for other in named:
            if named.count(other) > 1:
                yield f"{who} names {other} twice: each is liked once, or avoided"
            if other not in met.get(who, ()):
                yield f"{who} names {other}, whom they did not meet: leave them out"
