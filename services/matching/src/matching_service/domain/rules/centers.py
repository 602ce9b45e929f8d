"""Rules between the programme and the two centers."""

from collections.abc import Iterator

from matching_service.domain.pool import UNKNOWN, Center, Context, Pair
from matching_service.domain.rules.rule import Cause, Rule


def _programme_open(pair: Pair, context: Context) -> bool:
    programme = context.programme
    takes_part = programme.participants is None or all(
        center.institution_id in programme.participants for center in pair.centers
    )
    known = UNKNOWN not in (programme.kind, programme.mode)
    return programme.active and known and takes_part


def _centers_active(pair: Pair, context: Context) -> bool:
    return all(center.active for center in pair.centers)


def _across(pair: Pair, context: Context) -> bool:
    policies = {center.cross_institution for center in pair.centers}
    return UNKNOWN not in policies and (pair.across_centers or "required" not in policies)


def _across_fact(pair: Pair, context: Context) -> str:
    if pair.across_centers:
        return "two centers, as both allow"
    return "one center, which allows pairs of its own"


def _both_ways(pair: Pair) -> Iterator[tuple[Center, Center]]:
    """Yield (the center that allows or not, its partner), both ways, where there are two."""
    mentee, mentor = pair.centers
    if pair.across_centers:
        yield mentee, mentor
        yield mentor, mentee


def _partners(pair: Pair, context: Context) -> bool:
    return all(
        other.institution_id not in center.partners_refused
        and (center.partners_allowed is None or other.institution_id in center.partners_allowed)
        for center, other in _both_ways(pair)
    )


def _jurisdictions(pair: Pair, context: Context) -> bool:
    return all(
        center.jurisdictions_allowed is None or other.jurisdiction in center.jurisdictions_allowed
        for center, other in _both_ways(pair)
    )


def _jurisdictions_fact(pair: Pair, context: Context) -> str:
    mentee, mentor = pair.centers
    return f"{mentee.jurisdiction} and {mentor.jurisdiction}, allowed by both"


def _profiles_fresh(pair: Pair, context: Context) -> bool:
    """Each center's limit holds for both profiles: it is about the data its people rely on."""
    limits = [center.max_profile_age for center in pair.centers if center.max_profile_age]
    oldest = max(context.now - person.changed_at for person in pair.people)
    return all(oldest <= limit for limit in limits)


def _profiles_fresh_fact(pair: Pair, context: Context) -> str:
    oldest = max(context.now - person.changed_at for person in pair.people)
    return f"the older profile was confirmed {max(oldest.days, 0)} days ago"


PROGRAMME_OPEN = Rule(
    "programme-open",
    _programme_open,
    lambda _pair, context: f"mentor and mentee of {context.programme.programme_id}, open now",
)
CENTERS_ACTIVE = Rule(
    "centers-active", _centers_active, lambda *_: "both centers take part now", Cause.CENTER
)
CROSS_INSTITUTION = Rule("cross-institution", _across, _across_fact)
PARTNERS = Rule("partners", _partners, lambda *_: "each center accepts the other")
JURISDICTIONS = Rule("jurisdictions", _jurisdictions, _jurisdictions_fact)
PROFILE_AGE = Rule("profile-age", _profiles_fresh, _profiles_fresh_fact)
