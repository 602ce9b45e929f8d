"""What a pair lacks at the prices of a round, and what the last place of a floor costs.

The prices of a round bound what any assignment is worth (weak duality of linear programming):

    value = bound = sum over mentees of best(j) + sum of seats * price

best(j) is the most that mentee j could have at these prices, whoever else comes: of bundles of as many
mentors as j wants at most, or of having none. A bundle gains what each of its mentors does,

    gain(j, i) = what being served counts (`first`) + score - price of i's seat

less `first` for every mentor after the one who serves j. If j has to have i, nothing in the bound
changes but j's own part: no assignment in which they are matched is worth more than

    value - (best(j) - the best of j's bundles that i is in)

so the difference is the least that forcing the pair costs. Scores alone never sum to half a level
(`Table._weighed`): from there on somebody is not served, or a place of a floor is not filled.
"""

from typing import NamedTuple

import numpy as np

from matching_service.engine.columns import F64, I64
from matching_service.engine.hold import Round


class _Center(NamedTuple):
    """How a round stands for the mentees of one center."""

    served: int
    floor: int
    least: float
    """What those who are served gain, at least; inf where nobody is."""


def lack_of(held: Round, j: int, i: int, ceiling: int | None) -> int:
    """Return what having two places matched would cost at least, in units; O(mentors).

    Args:
        held: the round.
        j: the mentee's place in its cohort.
        i: the mentor's, to whom they may go.
        ceiling: of the mentee's center, where it has one: then each has one mentor at most.
    """
    first = held.solution.levels.first
    gains = _gains(held, j)
    wanted = 1 if ceiling is not None else int(held.cohort.wanted[j])
    all_of_them, others = _best_first(gains), _best_first(np.delete(gains, i))
    best = float(all_of_them[0]) + _above(all_of_them[1:wanted], first)
    with_i = float(gains[i]) + _above(others[: wanted - 1], first)
    return max(0, round(max(best, _having_none(held, j, ceiling)) - with_i))


def floor_price(held: Round, j: int) -> int | None:
    """Return what the last place of the floor of a mentee's center costs; None where scores cannot tell.

    It is in units of score: so much more being served counts for each mentee of that center. If it
    did and there were no floor, the same assignment would be the best, and it is the least number of
    which that is so at these prices. With one place less the sum of scores were greater by no more.

    There is no such number where the floor is short of its places, or where the last of them costs
    somebody else's being served: for no score would that place be given up.
    """
    it = _center(held, j)
    if not it.floor or it.served > it.floor:
        return 0
    price = max(0, held.solution.levels.bench - it.least)
    if it.served < it.floor or not is_of_scores(held, price):
        return None
    return round(price)


def is_of_scores(held: Round, units: float) -> bool:
    """Tell whether scores alone can make so much; beyond it somebody's being served is at stake."""
    return 2 * units < held.solution.levels.served


def _gains(held: Round, j: int) -> F64:
    """Return float[mentors]: what a mentee gains from each, -inf where they may not."""
    cohort, solution = held.cohort, held.solution
    levels, count = solution.levels, len(cohort.mentors)
    keys = cohort.keys(np.full(count, j), np.arange(count))
    gains: F64 = np.rint(keys * levels.scale) + levels.first - solution.prices
    ours, theirs = cohort.incumbents
    gains[theirs[ours == j]] += _bonus(held)
    gains[(keys < 0) | (cohort.seats == 0)] = -np.inf
    return gains


def _bonus(held: Round) -> int:
    return round(held.asked.retention * held.solution.levels.scale)


def _best_first(gains: F64) -> F64:
    ordered: F64 = -np.sort(-gains)
    return ordered


def _above(gains: F64, first: int) -> float:
    """Return what further mentors give: they serve nobody anew, and none is taken at a loss."""
    return float(np.maximum(0, gains - first).sum())


def _having_none(held: Round, j: int, ceiling: int | None) -> float:
    """Return what floors and ceilings give to a mentee who is not served, and no more to who is.

    Who goes unserved sits on a bench (`floors`). One with a free seat costs nothing. One that is full
    may cost as little as those who are served allow: what its seats lose, its people gain. Where
    somebody has no seat on it, it is worth nothing.
    """
    levels, it = held.solution.levels, _center(held, j)
    if it.served < it.floor:
        bench = 0.0
    elif it.floor and it.served == it.floor:
        bench = min(levels.bench, it.least)
    else:
        bench = levels.bench
    return max(bench, min(4 * levels.served, it.least)) if it.served == ceiling else bench


def _center(held: Round, j: int) -> _Center:
    cohort, solution = held.cohort, held.solution
    own = cohort.centers == cohort.centers[j]
    gains, mentors = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)
    np.add.at(gains, solution.mentee, _gains_of_pairs(held))
    np.add.at(mentors, solution.mentee, 1)
    gains -= solution.levels.first * np.maximum(0, mentors - 1)
    served = own & (mentors > 0)
    return _Center(
        int(np.count_nonzero(served)),
        solution.floors.get(int(cohort.centers[j]), 0),
        float(gains[served].min()) if served.any() else np.inf,
    )


def _gains_of_pairs(held: Round) -> I64:
    """Return int[pairs]: what each matched pair gives to its mentee."""
    cohort, solution = held.cohort, held.solution
    levels, many = solution.levels, len(cohort.mentors)
    ours, theirs = cohort.incumbents
    pairs = solution.mentee.astype(np.int64) * many + solution.mentor
    together = np.isin(pairs, ours * many + theirs)
    points = np.rint(solution.key * levels.scale).astype(np.int64)
    gains: I64 = points + levels.first - solution.prices[solution.mentor] + together * _bonus(held)
    return gains
