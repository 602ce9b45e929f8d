"""Whom a round serves because of its floors, and whom it does not: the same round held without them.

Prices do not tell. Where a floor cannot be met they say that no score counts for more, and of many
people whom that is true of all but a few would be served anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from matching_service.engine.cohort import Cohort, Solution, Terms
from matching_service.engine.hold import People, Round
from matching_service.engine.round import Table


@dataclass(frozen=True, slots=True)
class Effect:
    """What the floors of a round do for its mentees."""

    served: frozenset[UUID] = frozenset()
    """They have a mentor and would have none without the floors."""
    unserved: frozenset[UUID] = frozenset()
    """They have none and would have one."""


def floors_effect(
    people: People, held: Round, progress: Callable[[str], None] = lambda _: None
) -> Effect:
    """Return whom a round serves, or does not, because of its floors; as long as `hold_round` takes.

    It is held against the best round with the same people, ceilings and retention and no floors. Of
    several that are equally good it is one that is near: no lot makes somebody look served by a floor.

    Args:
        people: everybody, as they were when the round was held.
        held: the round.
        progress: is told what is being done.
    """
    asked, cohort = held.asked, held.cohort
    if not asked.floor and not any(asked.floors.values()):
        return Effect()
    ceilings = {people.centers[center]: count for center, count in asked.ceilings.items()}
    terms = Terms(ceilings=ceilings, retention=asked.retention)
    table = Table(cohort, terms, people.best_lines(cohort.mentees, asked.candidates))
    table.fill()
    table.prove(progress)
    now = np.zeros(len(cohort.mentees), np.bool_)
    now[held.solution.mentee] = True
    scale = table.levels.scale
    if _worth(held, held.solution, scale) == _worth(held, table.solution(), scale):
        return Effect()  # with the floors it is one of the best without them
    _draw_near(table, now)
    then = table.made.state.has > 0
    return Effect(_ids(people, cohort, now & ~then), _ids(people, cohort, then & ~now))


def _worth(held: Round, solution: Solution, scale: int) -> tuple[int, int]:
    """Return how many are served, and the sum of scores in units, more where pairs stay together."""
    many = len(held.cohort.mentors)
    ours, theirs = held.cohort.incumbents
    pairs = solution.mentee.astype(np.int64) * many + solution.mentor
    together = int(np.count_nonzero(np.isin(pairs, ours * many + theirs)))
    points = int(np.rint(solution.key * scale).astype(np.int64).sum())
    return len(np.unique(solution.mentee)), points + together * round(held.asked.retention * scale)


def _draw_near(table: Table, now: npt.NDArray[np.bool_]) -> None:
    """Have everybody who is served there and not now come again, last: whose place is worth as much keeps it."""
    for mentee in np.flatnonzero((table.made.state.has > 0) & ~now).tolist():
        table.made.leave(mentee)
        table.made.join(mentee)
    table.prove()


def _ids(people: People, cohort: Cohort, which: npt.NDArray[np.bool_]) -> frozenset[UUID]:
    return frozenset(people.mentee_at(line) for line in cohort.mentees[which].tolist())
