"""The soft score: what a pair is worth to each side, and what each criterion contributes.

    gain of a side = sum of weight(c) * view(c) / sum of weight(c), over the criteria that can be read
    score          = sqrt(mentee's gain * mentor's gain)

So missing data is neutral: its weight is shared by what is there. The geometric mean is high only
where both gain. The weights are a policy of the programme, not evidence.

A criterion's points are its part in the score: half of what it moves the mentee's gain by, at the
rate of the other gain, and half of the same the other way round. They sum to the score, since a
geometric mean is homogeneous of the first degree (Euler's theorem).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from matching_service.domain.criteria import CRITERIA, Reading, Views
from matching_service.domain.pool import Context, Pair

LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
"""What a weight may be that is not 0: the engine adds in single precision, and the score here agrees."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one criterion gave.

    `weight` is its share of all the programme's weights, the mean of both sides'; `value` is the
    geometric mean of both views, None where there was nothing to read.
    """

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
    """Return how well a pair fits; 0 where no weighted criterion can be read.

    Where none can be read that counts for one side, that side gains as the other does.
    """
    weighed = weights(context)
    readings = [_read(name, pair, context) for name, *_ in weighed]
    to_mentee, to_mentor = _to_both(weighed, [reading.views for reading in readings])
    mentee_gain, mentor_gain = fsum(to_mentee), fsum(to_mentor)
    value = sqrt(mentee_gain * mentor_gain)
    all_mentee, all_mentor = fsum(u for _, u, _ in weighed) or 1, fsum(v for *_, v in weighed) or 1
    contributions = tuple(
        Contribution(
            criterion=name,
            weight=(mentee / all_mentee + mentor / all_mentor) / 2,
            value=sqrt(views.mentee * views.mentor) if (views := reading.views) else None,
            points=(own * mentor_gain + others * mentee_gain) / (2 * value) if value else 0.0,
            reason=reading.reason,
        )
        for (name, mentee, mentor), reading, own, others in zip(
            weighed, readings, to_mentee, to_mentor, strict=True
        )
    )
    return Score(min(1.0, value), contributions)


def most(pair: Pair, context: Context) -> dict[str, float]:
    """Return by criterion what the score would be if that one fitted fully, all else as it is."""
    weighed = weights(context)
    views = [_read(name, pair, context).views for name, *_ in weighed]
    found = {}
    for place, (name, *_) in enumerate(weighed):
        fitting = [*views[:place], Views(1.0, 1.0), *views[place + 1 :]]
        to_mentee, to_mentor = _to_both(weighed, fitting)
        found[name] = min(1.0, sqrt(fsum(to_mentee) * fsum(to_mentor)))
    return found


def weights(context: Context) -> list[tuple[str, float, float]]:
    """Return (criterion, its weight for the mentee, for the mentor) of all that counts."""
    programme = context.programme
    mentors_own = dict(programme.mentor_weights)
    both = [(name, weight, mentors_own.get(name, weight)) for name, weight in programme.weights]
    return [one for one in both if one[1] > 0 or one[2] > 0]


def _to_both(
    weighed: Sequence[tuple[str, float, float]], views: Sequence[Views | None]
) -> tuple[list[float], list[float]]:
    """Return what each criterion gives to the mentee, and to the mentor."""
    to_mentee = _gains([u for _, u, _ in weighed], [v.mentee if v else None for v in views])
    to_mentor = _gains([v for *_, v in weighed], [v.mentor if v else None for v in views])
    nothing = [0.0] * len(weighed)
    return to_mentee or to_mentor or nothing, to_mentor or to_mentee or nothing


def _gains(counts: Sequence[float], views: Sequence[float | None]) -> list[float]:
    """Return what each criterion gives to a side; nothing where none can be read that counts."""
    known = fsum(w for w, view in zip(counts, views, strict=True) if view is not None)
    if not known:
        return []
    return [w * (view or 0.0) / known for w, view in zip(counts, views, strict=True)]


def _read(name: str, pair: Pair, context: Context) -> Reading:
    criterion = CRITERIA.get(name)
    if criterion is None:
        return Reading(None, "a criterion that this version does not know")
    return criterion(pair, context)
