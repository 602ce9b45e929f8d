"""Rules of the survivor lane. Their facts name what the programme asks, never what anyone has."""

from matching_service.domain.pool import Context, Pair
from matching_service.domain.rules.rule import Cause, Rule

_OTHER_LANE = "not a survivorship programme"


def _lane_open(pair: Pair, context: Context) -> bool:
    return not context.programme.survivor_lane or all(
        center.survivor_lane for center in pair.centers
    )


def _lane_open_fact(pair: Pair, context: Context) -> str:
    return "both centers take part" if context.programme.survivor_lane else _OTHER_LANE


def _ready(pair: Pair, context: Context) -> bool:
    return not context.programme.survivor_lane or all(
        person.survivor is not None and person.survivor.ready for person in pair.people
    )


def _ready_fact(pair: Pair, context: Context) -> str:
    return "both are ready" if context.programme.survivor_lane else _OTHER_LANE


def _far_enough(pair: Pair, context: Context) -> bool:
    if not context.programme.survivor_lane:
        return True
    needed = context.programme.min_years_past_treatment
    survivor = pair.mentor.person.survivor
    years = survivor.years_since_treatment if survivor else None
    return needed == 0 or (years is not None and years >= needed)


def _far_enough_fact(pair: Pair, context: Context) -> str:
    if not context.programme.survivor_lane:
        return _OTHER_LANE
    return (
        f"as far past treatment as asked for ({context.programme.min_years_past_treatment} years)"
    )


LANE_OPEN = Rule("survivor-lane", _lane_open, _lane_open_fact)
READY = Rule("survivors-ready", _ready, _ready_fact, Cause.PAUSED, reads_survivor=True)
PAST_TREATMENT = Rule("past-treatment", _far_enough, _far_enough_fact, reads_survivor=True)
