"""What a round did, in figures: for coordinators who decide, and statisticians who look twice."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from matching_service.engine.blocking import unrest
from matching_service.engine.columns import F64, I64
from matching_service.engine.hold import Asked, Outcome, People, Round
from matching_service.engine.scan import FIRST

FORMAT = 1
_BINS = 20
_WORST = 0.05
_TOP = 5
_BEST = 50  # pairs of each mentee that ranks are told among; who is beyond has a rank above it


@dataclass(frozen=True, slots=True)
class Cost:
    """What a round took, as far as somebody measured it."""

    seconds: float | None = None
    megabytes: float | None = None


def report(
    people: People,
    held: Outcome,
    *,
    synthetic: bool,
    other: Outcome | None = None,
    cost: Cost | None = None,
) -> dict[str, Any]:
    """Return the figures of a round, ready for JSON; O(all pairs), for the blocking pairs.

    Args:
        people: who was matched.
        held: the round, of any kind; terms, proof and incumbents are null where it has none.
        synthetic: whether the people are made up; the report says so on top.
        other: the same people's stable matching, to compare with.
        cost: what the round took.
    """
    best = held if isinstance(held, Round) else None
    found = {
        "format": FORMAT,
        "synthetic": synthetic,
        "terms": _terms(best.asked) if best else None,
        "people": {
            "mentees": len(held.cohort.mentees),
            "mentors": len(held.cohort.mentors),
            "seats": int(held.cohort.seats.sum()),
            "wanted": int(held.cohort.wanted.sum()),
        },
        **outcome(people, held),
        "proof": _proof(best) if best else None,
        "incumbents": _incumbents(best) if best else None,
        "cost": {"seconds": cost.seconds, "megabytes": cost.megabytes} if cost else None,
    }
    if other is not None:
        found["stable"] = outcome(people, other)
    return found


def outcome(people: People, held: Outcome) -> dict[str, Any]:
    """Return the figures of any matching: who is served, how well, and how fairly."""
    cohort = held.cohort
    mentee, mentor = _pairs(people, held)
    keys = cohort.keys(mentee, mentor)
    scores = keys % FIRST
    views = people.views
    by_mentee, by_mentor = (cohort.keys(mentee, mentor, v) % FIRST for v in views)
    count = len(cohort.mentees)
    of_best, ranks = _ranks(people, held, mentee, keys)
    blocks, envied = unrest(cohort, views, mentee, mentor)
    own = np.zeros(count)
    np.maximum.at(own, mentee, scores)
    rates = [c.served / c.mentees for c in held.centers.values() if c.mentees]
    return {
        "served": len(np.unique(mentee)),
        "pairs": len(mentee),
        "unserved": len(held.unserved),
        "points": float(scores.sum()),
        "score": _spread(scores),
        "mentees_gain": _mean(by_mentee),
        "mentors_gain": _mean(by_mentor),
        "score_bins": np.histogram(scores, _BINS, (0, 1))[0].tolist(),
        "blocking_pairs": int(blocks.sum()),
        "in_blocking_pairs": int((blocks > 0).sum()),
        "rank": {
            "first": _share(ranks == 1, mentee),
            f"top_{_TOP}": _share(ranks <= _TOP, mentee),
            f"beyond_{_BEST}": _share(ranks > _BEST, mentee),
            "bins": [int((ranks == n).sum()) for n in range(1, _TOP + 1)]
            + [int(((ranks > _TOP) & (ranks <= _BEST)).sum()), int((ranks > _BEST).sum())],
        },
        "of_own_best": {
            "mean": _mean(of_best),
            "worst_5_percent": _mean(np.sort(of_best)[: math.ceil(_WORST * len(of_best))]),
            "bins": np.histogram(of_best, _BINS, (0, 1))[0].tolist(),
        },
        "centers": {
            name: {
                "mentees": c.mentees,
                "served": c.served,
                "rate": c.served / c.mentees if c.mentees else None,
                "floor": c.floor,
                "shortfall": c.shortfall,
            }
            for name, c in sorted(held.centers.items())
        },
        "fairness": {
            "worst_rate": min(rates, default=None),
            "jain": _jain(np.array(rates)),
            "gini": _gini(own),
            "envious": float((envied > 0).mean()) if count else None,
            "envied_mentors": _mean(envied[envied > 0].astype(float)),
        },
    }


def _proof(held: Round) -> dict[str, int]:
    return {
        "gap": held.gap,
        "pairs_of_all": len(held.cohort.mentees) * len(held.cohort.mentors),
        "passes": held.solution.passes,
        "pairs_looked_at_closely": held.solution.arcs,
    }


def _terms(asked: Asked) -> dict[str, Any]:
    return {
        "floor": asked.floor,
        "floors": dict(asked.floors),
        "ceilings": dict(asked.ceilings),
        "retention": asked.retention,
    }


def _pairs(people: People, held: Outcome) -> tuple[I64, I64]:
    """Return the matched pairs as places in the cohort."""
    cohort = held.cohort
    ours = {people.mentee_at(line): n for n, line in enumerate(cohort.mentees.tolist())}
    theirs = {people.mentor_at(line): n for n, line in enumerate(cohort.mentors.tolist())}
    pairs = [(ours[m.mentee_id], theirs[m.mentor_id]) for m in held.matches]
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def _ranks(people: People, held: Outcome, mentee: I64, keys: F64) -> tuple[F64, I64]:
    """Return, by pair: its share of the mentee's best score, and its rank among all eligible mentors.

    Ranks are by score, and of equal scores all have the better rank.
    """
    if not len(mentee):
        return np.zeros(0), np.zeros(0, np.int64)
    best, lines = people.best_lines(held.cohort.mentees, _BEST)
    known = np.where(lines >= 0, best, -np.inf)[mentee]
    ranks = 1 + (known > keys[:, None]).sum(1)
    top = known[:, 0] % FIRST
    return np.divide(keys % FIRST, top, out=np.ones(len(keys)), where=top > 0), ranks


def _share(which: Any, mentee: I64) -> float | None:
    """Return the share of served mentees of whom it is so of one of their pairs."""
    served = len(np.unique(mentee))
    return len(np.unique(mentee[which])) / served if served else None


def _incumbents(held: Round) -> dict[str, int]:
    ours, theirs = held.cohort.incumbents
    many = len(held.cohort.mentors)
    pairs = held.solution.mentee.astype(np.int64) * many + held.solution.mentor
    kept = int(np.isin(ours * many + theirs, pairs).sum())
    return {"before": len(ours), "kept": kept, "moved": len(ours) - kept}


def _mean(values: F64) -> float | None:
    return float(values.mean()) if len(values) else None


def _spread(values: F64) -> dict[str, float | None]:
    if not len(values):
        return dict.fromkeys(("mean", "lowest", "median", "highest"))
    return {
        "mean": float(values.mean()),
        "lowest": float(values.min()),
        "median": float(np.median(values)),
        "highest": float(values.max()),
    }


def _jain(rates: F64) -> float | None:
    """Return Jain's index: 1 where all centers are served alike, 1/n where one center has all.

    Source: Jain, Chiu and Hawe 1984.
    """
    squares = float((rates**2).sum())
    return float(rates.sum()) ** 2 / (len(rates) * squares) if squares else None


def _gini(values: F64) -> float | None:
    """Return the Gini coefficient of what mentees have, who has nobody has 0."""
    total, count = float(values.sum()), len(values)
    if not total:
        return None
    ordered = np.sort(values)
    return float((2 * np.arange(1, count + 1) - count - 1) @ ordered) / (count * total)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes from one report to another: (before, after) of what a decision is about."""

    def both(*path: str) -> list[Any]:
        found = []
        for one in (before, after):
            value: Any = one
            for name in path:
                value = value[name]
            found.append(value)
        return found

    centers = sorted(before["centers"].keys() | after["centers"].keys())
    return {
        "served": both("served"),
        "score": both("score", "mean"),
        "worst_rate": both("fairness", "worst_rate"),
        "blocking_pairs": both("blocking_pairs"),
        "served_by_center": {name: both("centers", name, "served") for name in centers},
    }
