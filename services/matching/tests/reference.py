"""The rules and the score once more: slow, obvious, one pair at a time, sharing no code with src.

Written from the design (03, domain), in the order it says things. Minutes are sets of numbers,
trees are walked, nothing is clever.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from matching_service.domain.pool import Context, Mentee, Mentor, Person

WEEK_MINUTES = 7 * 24 * 60
Views = tuple[float, float]
"""What a criterion is worth to the mentee and to the mentor."""


def broken_rules(mentee: Mentee, mentor: Mentor, context: Context) -> set[str]:
    """Return the names of the rules that the pair breaks."""
    programme, a, b = context.programme, mentee.person, mentor.person
    lane = programme.kind == "survivorship"
    both = (a, b)
    holds = {
        "programme-open": programme.active
        and "unknown" not in (programme.kind, programme.mode)
        and all(_takes_part(p, programme.participants) for p in both),
        "centers-active": a.center.active and b.center.active,
        "cross-institution": not _one_center(a, b) or _may_be_one(a, b),
        "partners": _one_center(a, b) or (_accepts(a, b) and _accepts(b, a)),
        "jurisdictions": _one_center(a, b) or (_trusts(a, b) and _trusts(b, a)),
        "profile-age": all(_fresh(p, q.center.max_profile_age, context) for p in both for q in both),
        "two-people": a.person_id != b.person_id and not a.identity_tokens & b.identity_tokens,
        "both-active": a.active and b.active,
        "consents": all("matching" in p.consents for p in both)
        and (not lane or all("survivor_data" in p.consents for p in both)),
        "training": all(_trained(b, code, context) for code in programme.required_training),
        "shared-language": bool(_tongues(a) & _tongues(b)),
        "independent": not _depend(a, b),
        "no-conflict": not (a.conflict_tokens & b.identity_tokens)
        and not (b.conflict_tokens & a.identity_tokens),
        "not-blocked": b.person_id not in a.blocked_person_ids
        and a.person_id not in b.blocked_person_ids,
        "never-before": b.person_id not in mentee.met_before,
        "survivor-lane": not lane or (a.center.survivor_lane and b.center.survivor_lane),
        "survivors-ready": not lane or all(p.survivor is not None and p.survivor.ready for p in both),
        "past-treatment": not lane or _years(b) >= programme.min_years_past_treatment,
        "common-hours": _longest_run(a, b, context) >= programme.session_minutes,
        "seat-free": mentor.seats - mentor.seats_taken >= 1,
        "protected-minutes": (mentor.minutes_left or 0) >= programme.protected_minutes_month,
    }  # fmt: skip
    return {name for name, is_so in holds.items() if not is_so}


def score(mentee: Mentee, mentor: Mentor, context: Context) -> float:
    """Return the geometric mean of what both sides gain."""
    programme = context.programme
    own = dict(programme.mentor_weights)
    counted = {name: (weight, own.get(name, weight)) for name, weight in programme.weights}
    views = {name: view(name, mentee, mentor, context) for name in counted}
    gains = []
    for side in (0, 1):
        known = [(counted[n][side], v[side]) for n, v in views.items() if v is not None]
        weight = sum(w for w, _ in known)
        gains.append(sum(w * v for w, v in known) / weight if weight > 0 else None)
    there = [gain for gain in gains if gain is not None]
    return math.sqrt(there[0] * there[-1]) if there else 0.0


def view(name: str, mentee: Mentee, mentor: Mentor, context: Context) -> Views | None:
    """Return (the mentee's, the mentor's) view of one criterion; None if it can't be read."""
    a, b, words = mentee.person, mentor.person, context.taxonomy
    alike = (a.communication_styles, b.communication_styles)
    read: dict[str, Callable[[], Views | None]] = {
        "goals": lambda: _twice(_part(mentee.goals, mentor.offers, words.goals)),
        "topics": lambda: _mutual(a.topics, b.topics, words.topics),
        "methods": lambda: _mutual(a.methods, b.methods, words.methods),
        "communication_style": lambda: _mutual(*alike, {}),
        "career_stage": lambda: _ahead(a.career_stage, b.career_stage, words.career_stages),
        "modality": lambda: _twice(_ways(a.modalities, b.modalities)),
        "availability": lambda: _twice(_hours(a, b, context)),
        "urgency": lambda: _twice(_room(mentee, mentor)),
    }
    banded = lambda: _twice(_band(_nearness(name, a, b, context)))  # noqa: E731 - one of the above
    return read.get(name, banded)()


def _twice(value: float | None) -> Views | None:
    return None if value is None else (value, value)


def _ways(ours: frozenset[str], theirs: frozenset[str]) -> float | None:
    return len(ours & theirs) / min(len(ours), len(theirs)) if ours and theirs else None


def _hours(a: Person, b: Person, context: Context) -> float | None:
    if not a.hours or not b.hours:
        return None
    return min(1.0, len(_common(a, b, context)) / (3 * context.programme.session_minutes))


def _room(mentee: Mentee, mentor: Mentor) -> float | None:
    free = max(0, mentor.seats - mentor.seats_taken) / mentor.seats if mentor.seats else 0.0
    return {"now": free, "soon": (1 + free) / 2}.get(mentee.urgency)


def _band(nearness: float | None) -> float | None:
    if nearness is None:
        return None
    return 1.0 if nearness >= 0.4 else 0.5 if nearness > 0 else 0.0


def _takes_part(person: Person, participants: Any) -> bool:
    return participants is None or person.center.institution_id in participants


def _one_center(a: Person, b: Person) -> bool:
    return a.center.institution_id == b.center.institution_id


def _may_be_one(a: Person, b: Person) -> bool:
    return "required" not in (a.center.cross_institution, b.center.cross_institution)


def _accepts(a: Person, b: Person) -> bool:
    other = b.center.institution_id
    allowed = a.center.partners_allowed
    return other not in a.center.partners_refused and (allowed is None or other in allowed)


def _trusts(a: Person, b: Person) -> bool:
    allowed = a.center.jurisdictions_allowed
    return allowed is None or b.center.jurisdiction in allowed


def _fresh(person: Person, limit: timedelta | None, context: Context) -> bool:
    return limit is None or person.changed_at >= context.now - limit


def _trained(person: Person, code: str, context: Context) -> bool:
    day = context.now.date()
    return any(
        t.code == code and t.completed_on <= day and (t.valid_until_on or day) >= day
        for t in person.training
    )


def _tongues(person: Person) -> set[str]:
    return {tag.split("-")[0] for tag in person.languages}


def _depend(a: Person, b: Person) -> bool:
    return (
        (a.lab_key is not None and a.lab_key == b.lab_key)
        or bool(a.reporting_line_keys & b.reporting_line_keys)
        or (a.unit_key is not None and a.unit_key in b.evaluated_unit_keys)
        or (b.unit_key is not None and b.unit_key in a.evaluated_unit_keys)
    )


def _years(person: Person) -> float:
    if person.survivor is None or person.survivor.years_since_treatment is None:
        return -1.0
    return person.survivor.years_since_treatment


def _free(person: Person, context: Context) -> set[int]:
    """Return the minutes of eight days from the day's first instant (UTC) that somebody is free."""
    try:
        zone = ZoneInfo(person.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return set()
    first = datetime.combine(context.now.astimezone(UTC).date(), datetime.min.time(), UTC)
    found: set[int] = set()
    for ahead in range(-2, 10):
        day = first.date() + timedelta(days=ahead)
        midnight = datetime.combine(day, datetime.min.time())
        for weekday, begin, end in person.hours:
            if weekday == day.isoweekday():
                edges = [midnight + timedelta(minutes=minute) for minute in (begin, end)]
                at = [
                    (e.replace(tzinfo=zone).astimezone(UTC) - first).total_seconds() for e in edges
                ]
                found |= set(range(int(at[0] // 60), int(at[1] // 60)))
    return {minute for minute in found if 0 <= minute < WEEK_MINUTES + 24 * 60}


def _common(a: Person, b: Person, context: Context) -> set[int]:
    return {m for m in _free(a, context) & _free(b, context) if m < WEEK_MINUTES}


def _longest_run(a: Person, b: Person, context: Context) -> int:
    both = _free(a, context) & _free(b, context)
    best = 0
    for start in (m for m in both if m < WEEK_MINUTES and m - 1 not in both):
        end = start
        while end in both:
            end += 1
        best = max(best, end - start)
    return best


def _up(code: str, tree: Any) -> list[str]:
    return [code, *tree.get(code, ())]


def _part(wanted: Any, offered: Any, tree: Any) -> float | None:
    """Return the part of what is wanted that is offered; a branch counts half its twig."""
    if not wanted or not offered:
        return None
    worth: dict[str, float] = {}
    for code in wanted:
        for height, node in enumerate(_up(code, tree)):
            worth[node] = max(worth.get(node, 0), 1 / 2**height)
    there = {node for code in offered for node in _up(code, tree)}
    return sum(w for node, w in worth.items() if node in there) / sum(worth.values())


def _mutual(ours: Any, theirs: Any, tree: Any) -> Views | None:
    first, second = _part(ours, theirs, tree), _part(theirs, ours, tree)
    return None if first is None or second is None else (first, second)


def _ahead(mentee: str | None, mentor: str | None, ladder: Any) -> Views | None:
    """The mentee looks one to three stages up, the mentor one or two back."""
    if mentee is None or mentor is None or mentee not in ladder or mentor not in ladder:
        return None
    ahead = ladder[mentor] - ladder[mentee]
    too_far = {side: max(1 - ahead, ahead - most, 0) for side, most in ((0, 3), (1, 2))}
    return max(0.0, 1 - too_far[0] / 3), max(0.0, 1 - too_far[1] / 4)


def _nearness(name: str, a: Person, b: Person, context: Context) -> float | None:
    """Return how near two survivors are, before it is told in bands."""
    ours, theirs = a.survivor, b.survivor
    if context.programme.kind != "survivorship" or ours is None or theirs is None:
        return None
    if name == "cancer_type":
        pair = _mutual([ours.cancer_type], [theirs.cancer_type], context.taxonomy.cancer_types)
        return math.sqrt(pair[0] * pair[1]) if pair else None
    if name == "age_band":
        bands: Any = context.taxonomy.age_bands
        if ours.age_band not in bands or theirs.age_band not in bands:
            return None
        return float(max(0.0, 1 - abs(bands[ours.age_band] - bands[theirs.age_band]) / 3))
    return _part(getattr(ours, name), getattr(theirs, name), {})
