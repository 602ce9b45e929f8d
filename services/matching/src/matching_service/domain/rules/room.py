"""Rules about time and room: common hours, seats, protected minutes."""

from datetime import datetime, timedelta

from matching_service.domain import overlap
from matching_service.domain.pool import Context, Pair
from matching_service.domain.rules.rule import Cause, Rule

OUTLOOK_WEEKS = 8
"""How far the explanation looks ahead: far enough to see a change of the clocks coming."""
_AS_LONG_AS_YOU_LIKE = overlap.DAY


def common_stretches(pair: Pair, week: datetime) -> overlap.Stretches:
    """Return when both are free in the week from `week` on."""
    mentee, mentor = (
        overlap.laid_out(person.hours, person.time_zone, week) for person in pair.people
    )
    return overlap.common(mentee, mentor)


def _common_hours(pair: Pair, context: Context) -> bool:
    week = overlap.week_of(context.now)
    return overlap.longest(common_stretches(pair, week)) >= context.programme.session_minutes


def _common_hours_fact(pair: Pair, context: Context) -> str:
    """The rule holds at the clocks of the coming week; the weeks after it are told beside it."""
    first = overlap.week_of(context.now)
    weeks = [first + timedelta(weeks=ahead) for ahead in range(OUTLOOK_WEEKS)]
    runs = [overlap.longest(common_stretches(pair, week)) for week in weeks]
    now, least = (_minutes(run) for run in (runs[0], min(runs)))
    return (
        f"{now} in one stretch at this week's clocks, "
        f"no less than {least} in the coming {OUTLOOK_WEEKS} weeks"
    )


def _minutes(run: int) -> str:
    return f"{run} minutes" if run < _AS_LONG_AS_YOU_LIKE else "a day and more"


def _seat_free(pair: Pair, context: Context) -> bool:
    return pair.mentor.seats_free > 0


def _seat_free_fact(pair: Pair, context: Context) -> str:
    return f"{pair.mentor.seats_free} of {pair.mentor.seats} seats free"


def _minutes_left(pair: Pair, context: Context) -> bool:
    needed = context.programme.protected_minutes_month
    return needed == 0 or (pair.mentor.minutes_left or 0) >= needed


def _minutes_left_fact(pair: Pair, context: Context) -> str:
    needed = context.programme.protected_minutes_month
    return f"at least {needed} minutes left this month" if needed else "none are asked for"


COMMON_HOURS = Rule("common-hours", _common_hours, _common_hours_fact)
SEAT_FREE = Rule("seat-free", _seat_free, _seat_free_fact, Cause.ROOM)
PROTECTED_MINUTES = Rule("protected-minutes", _minutes_left, _minutes_left_fact, Cause.ROOM)
