"""All hard rules in the order they are asked, and what holding a pair against them gives."""

from dataclasses import dataclass

from matching_service.domain.pool import Context, Pair
from matching_service.domain.rules import centers, people, room, survivor
from matching_service.domain.rules.rule import Cause, Rule

RULES: tuple[Rule, ...] = (
    # Who left is told before what that broke.
    centers.CENTERS_ACTIVE,
    people.BOTH_ACTIVE,
    centers.PROGRAMME_OPEN,
    people.TWO_PEOPLE,
    people.NEVER_BEFORE,
    people.NO_CONFLICT,
    people.NOT_BLOCKED,
    people.INDEPENDENT,
    people.CONSENTS,
    centers.CROSS_INSTITUTION,
    centers.PARTNERS,
    centers.JURISDICTIONS,
    centers.PROFILE_AGE,
    people.TRAINING,
    people.SHARED_LANGUAGE,
    room.SEAT_FREE,
    room.PROTECTED_MINUTES,
    survivor.LANE_OPEN,
    room.COMMON_HOURS,
    survivor.READY,
    survivor.PAST_TREATMENT,
)
_WITHOUT_BLOCKS = tuple(rule for rule in RULES if not rule.reads_survivor)


@dataclass(frozen=True, slots=True)
class Checked:
    """A rule that a pair satisfies, and the fact that shows it."""

    rule: str
    fact: str


def first_broken(pair: Pair, context: Context) -> Rule | None:
    """Return the first rule that the pair breaks, or None: then it may be proposed."""
    return next((rule for rule in RULES if not rule.holds(pair, context)), None)


def worth_opening(pair: Pair, context: Context) -> bool:
    """Tell whether a pair satisfies every rule that can be asked without a survivor's block."""
    return all(rule.holds(pair, context) for rule in _WITHOUT_BLOCKS)


def first_broken_since(pair: Pair, context: Context) -> Rule | None:
    """Return the first rule that a pair with an open proposal breaks now, or None.

    Seats and minutes are not asked again: the proposal's own place is among those taken. A block
    that cannot be read just now decides nothing, since its key may still be on its way.
    """
    unreadable = any(person.survivor_unreadable for person in pair.people)
    return next(
        (
            rule
            for rule in RULES
            if rule.cause is not Cause.ROOM
            and not (rule.reads_survivor and unreadable)
            and not rule.holds(pair, context)
        ),
        None,
    )


def checked(pair: Pair, context: Context) -> tuple[Checked, ...]:
    """Return every rule with its fact, in order, for a pair that breaks none."""
    return tuple(Checked(rule.name, rule.fact(pair, context)) for rule in RULES)
