"""Rules between two people: who they are to each other, and what each has said or done."""

from collections.abc import Iterable

from matching_service.domain.pool import Context, Pair, Person
from matching_service.domain.rules.rule import Cause, Rule, nothing_in_the_way

_MATCHING = "matching"
_SURVIVOR_DATA = "survivor_data"


def _two_people(pair: Pair, context: Context) -> bool:
    mentee, mentor = pair.people
    return mentee.person_id != mentor.person_id and not (
        mentee.identity_tokens & mentor.identity_tokens
    )


def _no_conflict(pair: Pair, context: Context) -> bool:
    mentee, mentor = pair.people
    return not (
        mentee.conflict_tokens & mentor.identity_tokens
        or mentor.conflict_tokens & mentee.identity_tokens
    )


def _not_blocked(pair: Pair, context: Context) -> bool:
    mentee, mentor = pair.people
    return (
        mentor.person_id not in mentee.blocked_person_ids
        and mentee.person_id not in mentor.blocked_person_ids
    )


def _never_before(pair: Pair, context: Context) -> bool:
    return pair.mentor.person.person_id not in pair.mentee.met_before


def _needed_consents(context: Context) -> frozenset[str]:
    survivors = (_SURVIVOR_DATA,) if context.programme.survivor_lane else ()
    return frozenset((_MATCHING, *survivors))


def _consents(pair: Pair, context: Context) -> bool:
    needed = _needed_consents(context)
    return all(needed <= person.consents for person in pair.people)


def _consents_fact(pair: Pair, context: Context) -> str:
    return f"both consent to {' and '.join(sorted(_needed_consents(context)))}"


def _both_active(pair: Pair, context: Context) -> bool:
    return all(person.active for person in pair.people)


def _valid(person: Person, code: str, context: Context) -> bool:
    return any(
        record.code == code
        and record.completed_on <= context.today
        and (record.valid_until_on is None or context.today <= record.valid_until_on)
        for record in person.training
    )


def _trained(pair: Pair, context: Context) -> bool:
    required = context.programme.required_training
    return all(_valid(pair.mentor.person, code, context) for code in required)


def _trained_fact(pair: Pair, context: Context) -> str:
    required = context.programme.required_training
    return f"the mentor's {', '.join(required)} is valid today" if required else "none is required"


def primary(languages: Iterable[str]) -> frozenset[str]:
    """Return the languages without script and region: `pt-BR` and `pt-PT` can talk."""
    return frozenset(tag.partition("-")[0] for tag in languages)


def _shared_languages(pair: Pair) -> frozenset[str]:
    mentee, mentor = pair.people
    return primary(mentee.languages) & primary(mentor.languages)


def _shared_language(pair: Pair, context: Context) -> bool:
    return bool(_shared_languages(pair))


def _shared_language_fact(pair: Pair, context: Context) -> str:
    return f"both speak {', '.join(sorted(_shared_languages(pair)))}"


def _evaluates(person: Person, other: Person) -> bool:
    return other.unit_key is not None and other.unit_key in person.evaluated_unit_keys


def _independent(pair: Pair, context: Context) -> bool:
    mentee, mentor = pair.people
    same_lab = mentee.lab_key is not None and mentee.lab_key == mentor.lab_key
    same_line = bool(mentee.reporting_line_keys & mentor.reporting_line_keys)
    return not (same_lab or same_line or _evaluates(mentor, mentee) or _evaluates(mentee, mentor))


TWO_PEOPLE = Rule("two-people", _two_people, lambda *_: "two different people")
BOTH_ACTIVE = Rule("both-active", _both_active, lambda *_: "both can be matched now", Cause.PAUSED)
CONSENTS = Rule("consents", _consents, _consents_fact)
TRAINING = Rule("training", _trained, _trained_fact)
SHARED_LANGUAGE = Rule("shared-language", _shared_language, _shared_language_fact)
INDEPENDENT = Rule(
    "independent", _independent, lambda *_: "no shared reporting line, evaluated unit or lab"
)
NO_CONFLICT = Rule("no-conflict", _no_conflict, nothing_in_the_way, Cause.BLIND)
NOT_BLOCKED = Rule("not-blocked", _not_blocked, nothing_in_the_way, Cause.BLIND)
# Not judged again: the proposal itself is what makes it fail. A veto or a refusal ends the match.
NEVER_BEFORE = Rule("never-before", _never_before, nothing_in_the_way, Cause.ROOM)
