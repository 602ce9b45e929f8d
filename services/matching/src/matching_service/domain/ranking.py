"""The best mentor for one mentee. A pure seam: a faster engine can stand behind it unseen."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from matching_service.domain.pool import Context, Mentee, Mentor, Pair
from matching_service.domain.rules.book import first_broken
from matching_service.domain.score import Score, score


@dataclass(frozen=True, slots=True)
class Ranked:
    """A pair that breaks no rule, and how well it fits."""

    pair: Pair
    score: Score


def best_mentor(mentee: Mentee, mentors: Iterable[Mentor], context: Context) -> Ranked | None:
    """Return the eligible mentor who fits best, or None where there is none.

    A center that prefers other centers' people gets one of its own only if no other is left.
    Ties are broken by a hash of the ids, salted by programme and version: nobody is favoured for
    an id, and the same pool gives the same pair in whatever order it comes.
    """
    pairs = (Pair(mentee, mentor) for mentor in mentors)
    eligible = [pair for pair in pairs if first_broken(pair, context) is None]
    ranked = (Ranked(pair, score(pair, context)) for pair in eligible)
    return max(
        ranked,
        key=lambda r: (_as_preferred(r.pair), r.score.value, _lot(r.pair, context)),
        default=None,
    )


def _as_preferred(pair: Pair) -> bool:
    return pair.across_centers or all(
        center.cross_institution != "preferred" for center in pair.centers
    )


def _lot(pair: Pair, context: Context) -> bytes:
    programme = context.programme
    mentee, mentor = pair.people
    text = (
        f"{programme.programme_id}/{programme.criteria_version}"
        f"/{mentee.person_id}/{mentor.person_id}"
    )
    return hashlib.sha256(text.encode()).digest()
