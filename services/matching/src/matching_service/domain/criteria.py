"""The soft criteria: how well a pair fits, one reading each: two views in [0, 1].

The mentee's view says what the mentee gains, the mentor's what the mentor does. Most criteria look
alike from both sides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matching_service.domain import overlap
from matching_service.domain.pool import Context, Pair, Survivor
from matching_service.domain.rules.room import common_stretches
from matching_service.domain.taxonomy import FLAT, Tree, coverage, mutual, steps

PLENTY_OF_SESSIONS = 3  # session lengths in common a week; more adds nothing
_CLOSE = 0.4  # the survivor lane's upper band: siblings in the tumour tree, two of five treatments


@dataclass(frozen=True, slots=True)
class Views:
    """What a criterion is worth to each side, in [0, 1]."""

    mentee: float
    mentor: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one criterion gives; `views` is None where there is nothing to read it from."""

    views: Views | None
    reason: str


def _both(value: float) -> Views:
    return Views(value, value)


Criterion = Callable[[Pair, Context], Reading]


def _goals(pair: Pair, context: Context) -> Reading:
    goals, offers = pair.mentee.goals, pair.mentor.offers
    if not goals or not offers:
        return Reading(None, "goals or offers are not stated")
    value = coverage(goals, offers, context.taxonomy.goals)
    return Reading(_both(value), f"{len(goals & offers)} of {len(goals)} goals are offered")


def _topics(pair: Pair, context: Context) -> Reading:
    mentee, mentor = pair.people
    if not mentee.topics or not mentor.topics:
        return Reading(None, "topics are not stated")
    views = _covered_by_each(mentee.topics, mentor.topics, context.taxonomy.topics)
    return Reading(views, _shared("topics", mentee.topics, mentor.topics, views))


def _methods(pair: Pair, context: Context) -> Reading:
    mentee, mentor = pair.people
    if not mentee.methods or not mentor.methods:
        return Reading(None, "methods are not stated")
    views = _covered_by_each(mentee.methods, mentor.methods, context.taxonomy.methods)
    return Reading(views, _shared("methods", mentee.methods, mentor.methods, views))


def _covered_by_each(mentee: frozenset[str], mentor: frozenset[str], tree: Tree) -> Views:
    """Return how much of what each side has the other side has too."""
    return Views(coverage(mentee, mentor, tree), coverage(mentor, mentee, tree))


def _shared(what: str, ours: frozenset[str], theirs: frozenset[str], views: Views) -> str:
    if same := sorted(ours & theirs)[:3]:
        return f"{what} in common: {', '.join(same)}"
    return f"related {what}" if views.mentee > 0 else f"no {what} in common"


def _career_stage(pair: Pair, context: Context) -> Reading:
    """The mentee looks for someone one to three steps ahead, the mentor remembers two best."""
    mentee, mentor = pair.people
    ahead = steps(mentee.career_stage, mentor.career_stage, context.taxonomy.career_stages)
    if ahead is None:
        return Reading(None, "a career stage is not stated")
    mentees_view = max(0.0, 1 - _outside(ahead, 1, 3) / 3)
    mentors_view = max(0.0, 1 - _outside(ahead, 1, 2) / 4)
    return Reading(Views(mentees_view, mentors_view), f"the mentor is {_ahead(ahead)}")


def _outside(value: int, low: int, high: int) -> int:
    return max(low - value, value - high, 0)


def _ahead(stages: int) -> str:
    if stages == 0:
        return "at the same career stage"
    word = "stage" if abs(stages) == 1 else "stages"
    return f"{abs(stages)} career {word} {'ahead' if stages > 0 else 'behind'}"


def _communication_style(pair: Pair, context: Context) -> Reading:
    mentee, mentor = (person.communication_styles for person in pair.people)
    if not mentee or not mentor:
        return Reading(None, "communication styles are not stated")
    views = _covered_by_each(mentee, mentor, FLAT)
    return Reading(views, _shared("styles", mentee, mentor, views))


def _modality(pair: Pair, context: Context) -> Reading:
    mentee, mentor = (person.modalities for person in pair.people)
    if not mentee or not mentor:
        return Reading(None, "ways to meet are not stated")
    views = _both(len(mentee & mentor) / min(len(mentee), len(mentor)))
    return Reading(views, _shared("ways to meet", mentee, mentor, views))


def _availability(pair: Pair, context: Context) -> Reading:
    if not all(person.hours for person in pair.people):
        return Reading(None, "weekly hours are not stated")
    minutes = overlap.total(common_stretches(pair, overlap.week_of(context.now)))
    plenty = PLENTY_OF_SESSIONS * context.programme.session_minutes
    return Reading(_both(min(1.0, minutes / plenty)), f"{minutes} minutes in common this week")


def _urgency(pair: Pair, context: Context) -> Reading:
    """Whoever is in a hurry fares best with a mentor who has room; others do not care."""
    share = pair.mentor.seats_free / pair.mentor.seats if pair.mentor.seats else 0.0
    reason = f"the mentor has {pair.mentor.seats_free} of {pair.mentor.seats} seats free"
    match pair.mentee.urgency:
        case "now":
            return Reading(_both(share), f"wanted now; {reason}")
        case "soon":
            return Reading(_both((1 + share) / 2), f"wanted soon; {reason}")
        case _:
            return Reading(None, "no hurry was stated")


def _survivors(
    read: Callable[[Survivor, Survivor, Context], float | None], words: tuple[str, str, str]
) -> Criterion:
    """Return a criterion of the survivor lane, told and counted in three bands.

    The band is the value: a finer figure would let one center work out what the other's person
    has, from what it knows of its own.
    """

    def criterion(pair: Pair, context: Context) -> Reading:
        mentee, mentor = (person.survivor for person in pair.people)
        if not context.programme.survivor_lane or mentee is None or mentor is None:
            return Reading(None, "not compared")
        nearness = read(mentee, mentor, context)
        if nearness is None:
            return Reading(None, "not stated")
        if nearness >= _CLOSE:
            return Reading(_both(1.0), words[0])
        return Reading(_both(0.5), words[1]) if nearness > 0 else Reading(_both(0.0), words[2])

    return criterion


def _cancer_type(mentee: Survivor, mentor: Survivor, context: Context) -> float:
    return mutual((mentee.cancer_type,), (mentor.cancer_type,), context.taxonomy.cancer_types)


def _treatments(mentee: Survivor, mentor: Survivor, context: Context) -> float | None:
    return _covered(mentee.treatments, mentor.treatments)


def _concerns(mentee: Survivor, mentor: Survivor, context: Context) -> float | None:
    return _covered(mentee.concerns, mentor.concerns)


def _family_situation(mentee: Survivor, mentor: Survivor, context: Context) -> float | None:
    return _covered(mentee.family_situation, mentor.family_situation)


def _covered(ours: frozenset[str], theirs: frozenset[str]) -> float | None:
    return coverage(ours, theirs, FLAT) if ours and theirs else None


def _age_band(mentee: Survivor, mentor: Survivor, context: Context) -> float | None:
    apart = steps(mentee.age_band, mentor.age_band, context.taxonomy.age_bands)
    return None if apart is None else max(0.0, 1 - abs(apart) / 3)


CRITERIA: Mapping[str, Criterion] = {
    "goals": _goals,
    "topics": _topics,
    "methods": _methods,
    "career_stage": _career_stage,
    "communication_style": _communication_style,
    "modality": _modality,
    "availability": _availability,
    "urgency": _urgency,
    "cancer_type": _survivors(
        _cancer_type, ("same tumour family", "related tumour family", "different tumour families")
    ),
    "treatments": _survivors(
        _treatments, ("similar treatments", "some treatments alike", "different treatments")
    ),
    "age_band": _survivors(
        _age_band, ("similar age at diagnosis", "somewhat different ages", "different ages")
    ),
    "concerns": _survivors(
        _concerns, ("similar concerns", "some concerns alike", "different concerns")
    ),
    "family_situation": _survivors(
        _family_situation,
        ("similar family situation", "partly alike family situation", "different family situation"),
    ),
}
"""Every criterion a programme can weigh, by the name it has in the contract."""
