"""Why two people are matched, why two are not, and what would change that.

What reads "not available" reads so whatever the cause is (a block, an earlier match, a conflict, what
a survivor declared, somebody who is not here): alone, without a reason, a figure or a remedy, so
that asking twice reveals nothing.

Between people who may be matched the prices of a round decide: they say what having the pair matched
would cost at least (`margin`), and so by how much its score would have to be higher.

In the survivor lane an answer holds no number and no digit: a figure would tell of the other side.
"""

from collections.abc import Mapping
from dataclasses import replace

from matching_service.domain.pool import Pair
from matching_service.domain.rules.book import RULES, Checked, checked
from matching_service.domain.rules.rule import Rule
from matching_service.domain.score import Score, most, score
from matching_service.engine.answer import NO_SCORE, Answer, Potential, Reason, Status
from matching_service.engine.effect import Effect
from matching_service.engine.hold import Round
from matching_service.engine.margin import floor_price, is_of_scores, lack_of
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

_IT_HOLDS = "it holds"
_LITTLE, _CLEARLY = 0.05, 0.2
_PARTLY, _CLOSELY = 1 / 3, 2 / 3
_SMALL = 1e-9

NOT_AVAILABLE = Answer(Status.NOT_AVAILABLE)


def is_told(rule: Rule) -> bool:
    """Tell whether it may be said that a pair breaks the rule."""
    return rule.name in REMEDIES


def explain(pool: Pool, held: Round, pair: Pair, effect: Effect | None = None) -> Answer:
    """Return how it stands between two people of a pool in a round, and why; O(mentors and matches).

    Args:
        pool: everybody, as they were when the round was held.
        held: the round.
        pair: the two, as they were put into the pool.
        effect: of the round's floors (`floors_effect`, once for a round). Where it is not given,
            nothing is said of whom they serve.
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
    answer = _between(pool, held, pair)
    if effect is not None:
        answer = replace(
            answer,
            because_of_floor=mentee_id in effect.served,
            lost_by_floor=mentee_id in effect.unserved,
        )
    return _without_numbers(answer) if context.programme.survivor_lane else answer


def _between(pool: Pool, held: Round, pair: Pair) -> Answer:
    """Return how it stands between two people who may be matched, with every number."""
    solution, context = held.solution, pool.context
    mentee, mentor = pair.people
    j, i = held.cohort.place_of(*pool.lines_of(mentee.person_id, mentor.person_id))
    ceiling = held.asked.ceilings.get(mentee.center.institution_id)
    scale, price, fit = solution.levels.scale, floor_price(held, j), score(pair, context)
    of_both = Answer(
        Status.MATCHED,
        rules=checked(pair, context),
        score=fit,
        fits=_how_well(fit.value),
        reasons=_reasons(fit),
        floor_points=None if price is None else price / scale,
        floor_in_words=NO_SCORE if price is None else _how_much(price / scale) if price else "",
        has_ceiling=ceiling is not None,
    )
    if ((solution.mentee == j) & (solution.mentor == i)).any():
        return of_both
    lacks = lack_of(held, j, i, ceiling)
    if not is_of_scores(held, lacks):
        return replace(of_both, status=Status.UNSERVED)
    return replace(
        of_both,
        status=Status.ELSEWHERE if lacks else Status.MARGIN,
        lacks=lacks / scale,
        lacks_in_words=_how_much(lacks / scale) if lacks else "nothing",
        potentials=_potentials(fit.value, most(pair, context)),
    )


def _potentials(now: float, could: Mapping[str, float]) -> tuple[Potential, ...]:
    found = (Potential(name, up, up - now) for name, up in could.items() if up - now > _SMALL)
    return tuple(sorted(found, key=lambda p: (-p.more, p.criterion)))


def _reasons(fit: Score) -> tuple[Reason, ...]:
    known = sorted(fit.contributions, key=lambda c: -c.points)
    return tuple(
        Reason(c.criterion, _how_well(c.value), c.reason) for c in known if c.value is not None
    )


def _without_numbers(answer: Answer) -> Answer:
    """Return an answer as it may be told in the survivor lane: what has a number is left out."""
    return replace(
        answer,
        rules=tuple(
            Checked(r.rule, _IT_HOLDS if _has_digit(r.fact) else r.fact) for r in answer.rules
        ),
        score=None,
        reasons=tuple(
            replace(r, reason="" if _has_digit(r.reason) else r.reason) for r in answer.reasons
        ),
        lacks=None,
        potentials=(),
        floor_points=None,
        in_words=True,
    )


def _has_digit(text: str) -> bool:
    return any(sign.isdigit() for sign in text)


def _how_well(value: float) -> str:
    return "little" if value < _PARTLY else "partly" if value < _CLOSELY else "closely"


def _how_much(points: float) -> str:
    return "a little" if points < _LITTLE else "clearly" if points < _CLEARLY else "much"
