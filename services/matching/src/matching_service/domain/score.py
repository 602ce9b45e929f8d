"""The soft score: what each criterion contributes, in the programme's weights.

    points(c) = weight(c) * value(c) / sum of weights of the criteria that can be read
    score     = sum of points

So missing data is neutral: its weight is shared by what is there. The weights are a policy of
the programme, not evidence.
"""

from dataclasses import dataclass
from math import fsum

from matching_service.domain.criteria import CRITERIA, Reading
from matching_service.domain.pool import Context, Pair


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one criterion gave; `weight` is its share of all the programme's weights."""

    criterion: str
    weight: float
    value: float | None
    points: float
    reason: str


@dataclass(frozen=True, slots=True)
class Score:
    """A pair's score in [0, 1] and the contributions that sum to it (within 1e-9)."""

    value: float
    contributions: tuple[Contribution, ...]


def score(pair: Pair, context: Context) -> Score:
    """Return how well a pair fits; 0 where no weighted criterion can be read."""
    weights = [(name, weight) for name, weight in context.programme.weights if weight > 0]
    all_weights = fsum(weight for _, weight in weights)
    readings = [(name, weight, _read(name, pair, context)) for name, weight in weights]
    known = fsum(weight for _, weight, reading in readings if reading.value is not None)
    contributions = tuple(
        Contribution(
            criterion=name,
            weight=weight / all_weights,
            value=reading.value,
            points=0.0 if reading.value is None else weight * reading.value / known,
            reason=reading.reason,
        )
        for name, weight, reading in readings
    )
    total = fsum(contribution.points for contribution in contributions)
    return Score(min(1.0, total), contributions)


def _read(name: str, pair: Pair, context: Context) -> Reading:
    criterion = CRITERIA.get(name)
    if criterion is None:
        return Reading(None, "a criterion that this version does not know")
    return criterion(pair, context)
