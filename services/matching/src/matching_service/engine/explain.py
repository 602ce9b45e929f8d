"""Why two people are matched, why two are not, and what would change that.

What reads "not available" reads so whatever the cause is (a block, an earlier match, a conflict, what
a survivor declared, somebody who is not here): alone, without a reason, a figure or a remedy, so
that asking twice reveals nothing.

Between people who may be matched the prices of a round decide. The pair (j, i) is worth

    gain(j, i) = score + what being served counts - price of i's seat

to j, and is in no best assignment if j gains more elsewhere. By how much is what the pair lacks: the
score would have to be at least so much higher (linear programming: its reduced cost).
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from matching_service.domain.pool import Context, Pair
from matching_service.domain.rules.book import RULES, Checked, checked
from matching_service.domain.rules.rule import Rule
from matching_service.domain.score import Score, most, score
from matching_service.engine.cohort import CEILING, FLOOR
from matching_service.engine.columns import F64
from matching_service.engine.hold import Round
from matching_service.engine.pool import Pool

REMEDIES = {
    "centers-active": "both centers take part in the network",
    "both-active": "both can be matched: one is paused, or is not ready",
    "programme-open": "the programme is open to both centers",
    "independent": "they share no reporting line, evaluated unit or lab",
    "consents": "both have consented to what the programme needs",
    "cross-institution": "both centers allow, or do not ask for, people of other centers",
    "partners": "each center accepts the other as a partner",
    "jurisdictions": "each center accepts the other's jurisdiction",
    "profile-age": "both profiles are as fresh as their centers ask: have them looked through again",
    "training": "the mentor has completed the training that the programme requires",
    "shared-language": "they share a language",
    "seat-free": "the mentor has a free seat: more seats, or one that is given back",
    "protected-minutes": "the mentor has enough protected minutes left this month",
    "survivor-lane": "both centers take part in the survivor lane",
    "common-hours": "both are free at the same time for as long as a session lasts",
}
"""By rule: what has to be so for it to hold. A rule without a remedy is never told."""

_MARGIN = (
    "Nothing speaks against these two by themselves: what decided is a lot, a floor that is just met,"
    " or others' seats that hang together with theirs."
)
_LITTLE, _CLEARLY = 0.05, 0.2
_PARTLY, _CLOSELY = 1 / 3, 2 / 3
_HALF = 0.5
_SMALL = 1e-9


class Status(StrEnum):
    """How it stands between two people."""

    MATCHED = "matched"
    NOT_AVAILABLE = "not available"
    RULES = "rules"
    """Something stands in the way that can be told."""
    UNSERVED = "unserved"
    """To match them would leave somebody else without a mentor, or a floor unmet: no score counts for more."""
    ELSEWHERE = "elsewhere"
    """They may be matched, and more is gained by having them elsewhere."""
    MARGIN = "at the margin"
    """The prices say nothing against these two by themselves: what decided is a lot, a floor that is
    just met, or others' seats that hang together with theirs."""


@dataclass(frozen=True, slots=True)
class Potential:
    """What the score would be if one criterion fitted fully."""

    criterion: str
    score: float
    more: float


@dataclass(frozen=True, slots=True)
class Answer:
    """How it stands between two people, and why; what does not apply is empty."""

    status: Status
    rules: tuple[Checked, ...] = ()
    """Every rule with the fact that shows that it holds."""
    broken: tuple[tuple[str, str], ...] = ()
    """(rule, what has to be so for it to hold)."""
    score: Score | None = None
    """With the contributions that sum to it."""
    lacks: float | None = None
    """By how much the score would have to be higher, at least; None in the survivor lane."""
    lacks_in_words: str = ""
    potentials: tuple[Potential, ...] = ()
    """What a better fit could give, the most first; empty in the survivor lane."""
    floor_points: float = 0.0
    """How much more each of the mentee's center counts, so that its floor is met."""
    because_of_floor: bool = False
    """The mentee is served because their center has a floor: by scores alone they would not be."""
    in_words: bool = False
    """In the survivor lane no sentence has a figure: it would tell of the other side."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words, for a coordinator."""
        return _sentences(self)


NOT_AVAILABLE = Answer(Status.NOT_AVAILABLE)


def is_told(rule: Rule) -> bool:
    """Tell whether it may be said that a pair breaks the rule."""
    return rule.name in REMEDIES


def explain(pool: Pool, held: Round, pair: Pair) -> Answer:
    """Return how it stands between two people of a pool in a round, and why; O(mentors).

    Args:
        pool: everybody, as they were when the round was held.
        held: the round.
        pair: the two, as they were put into the pool.
    """
    context = pool.context
    mentee_id, mentor_id = (person.person_id for person in pair.people)
    if mentee_id not in pool.mentee_ids or mentor_id not in pool.mentor_ids:
        return NOT_AVAILABLE
    broken = [rule for rule in RULES if not rule.holds(pair, context)]
    if not all(map(is_told, broken)):
        return NOT_AVAILABLE
    if broken:
        return Answer(Status.RULES, broken=tuple((r.name, REMEDIES[r.name]) for r in broken))
    return _between(pool, held, pair, context)


def _between(pool: Pool, held: Round, pair: Pair, context: Context) -> Answer:
    """Return how it stands between two people who may be matched."""
    levels, solution = held.solution.levels, held.solution
    mentee, mentor = pair.people
    j, i = held.cohort.place_of(*pool.lines_of(mentee.person_id, mentor.person_id))
    gains, rest = _gains(held, j)
    mine = float(gains[i])
    floor = solution.bench_prices.get((int(held.cohort.centers[j]), FLOOR), 0)
    of_both = Answer(
        Status.MATCHED,
        rules=checked(pair, context),
        score=score(pair, context),
        floor_points=floor / levels.scale,
        in_words=context.programme.survivor_lane,
    )
    if ((solution.mentee == j) & (solution.mentor == i)).any():
        return replace(of_both, because_of_floor=mine < levels.bench)
    # The last of those they would rather have, of as many as they want; a second counts no `first`.
    has_ceiling = (int(held.cohort.centers[j]), CEILING) in solution.bench_prices
    wanted = 1 if has_ceiling else int(held.cohort.wanted[j])
    others = -np.sort(-np.delete(gains, i))
    last = float(others[wanted - 1]) if len(others) >= wanted else -np.inf
    lacks = max(0.0, max(last, levels.first if wanted > 1 else rest) - mine)
    if lacks > levels.served * _HALF:
        return replace(of_both, status=Status.UNSERVED)
    points = lacks / levels.scale
    return replace(
        of_both,
        status=Status.ELSEWHERE if lacks else Status.MARGIN,
        lacks=None if of_both.in_words else points,
        lacks_in_words=_in_words(points),
        potentials=() if of_both.in_words else _potentials(pair, context),
    )


def _potentials(pair: Pair, context: Context) -> tuple[Potential, ...]:
    now = score(pair, context).value
    could = (Potential(name, up, up - now) for name, up in most(pair, context).items())
    return tuple(
        sorted((p for p in could if p.more > _SMALL), key=lambda p: (-p.more, p.criterion))
    )


def _gains(held: Round, j: int) -> tuple[F64, float]:
    """Return float[mentors]: what a mentee gains from each, -inf where they may not; and by nobody."""
    cohort, solution = held.cohort, held.solution
    levels, count = solution.levels, len(cohort.mentors)
    everybody = np.arange(count)
    keys = cohort.keys(np.full(count, j), everybody)
    gains: F64 = np.rint(keys * levels.scale) + levels.first - solution.prices
    ours, theirs = cohort.incumbents
    gains[theirs[ours == j]] += round(held.asked.retention * levels.scale)
    gains[(keys < 0) | (cohort.seats == 0)] = -np.inf
    center = int(cohort.centers[j])
    worth = {FLOOR: levels.bench, CEILING: 4 * levels.served}
    benches = [w - solution.bench_prices[center, kind] for kind, w in worth.items()
               if (center, kind) in solution.bench_prices]  # fmt: skip
    return gains, float(max([0, *benches]))


def _in_words(points: float) -> str:
    if points == 0:
        return "nothing"
    return "a little" if points < _LITTLE else "clearly" if points < _CLEARLY else "much"


def _fit(answer: Answer) -> str:
    value = answer.score.value if answer.score else 0.0
    if not answer.in_words:
        return f"by {value:.2f}"
    return "little" if value < _PARTLY else "partly" if value < _CLOSELY else "closely"


def _sentences(answer: Answer) -> tuple[str, ...]:
    match answer.status:
        case Status.NOT_AVAILABLE:
            return ("Not available.",)
        case Status.RULES:
            return tuple(f"Possible once {remedy}." for _, remedy in answer.broken)
        case Status.UNSERVED:
            return (
                "They may be matched, but somebody else would then have no mentor, or a center less"
                " than its floor; no score counts for more.",
                "What would change it: a free seat of this mentor, or of others for those who have one.",
            )
    fit = f"They fit {_fit(answer)}"
    parts = [c for c in answer.score.contributions if c.value is not None] if answer.score else []
    best = max(parts, key=lambda c: c.points, default=None)
    lines = [f"{fit}, most of it by {best.criterion}: {best.reason}." if best else f"{fit}."]
    if answer.status is Status.MATCHED:
        if answer.because_of_floor:
            lines.append("This seat is theirs because their center has a floor.")
        return tuple(lines)
    if answer.status is Status.MARGIN:
        return (*lines, _MARGIN)
    by = answer.lacks_in_words if answer.lacks is None else f"{answer.lacks:.3f}"
    lines.append(
        f"Others gain more by these seats: the fit would have to be {by} better, at least."
    )
    lines += [
        f"If {p.criterion} fitted fully, it would be {p.score:.2f}." for p in answer.potentials[:2]
    ]
    return tuple(lines)
