from datetime import UTC, date, datetime, timedelta
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from services.matching.tests.builders import a_context, a_pair, mentee_with, mentor_with

from matching_service.domain import overlap
from matching_service.domain.overlap import WEEK, Hours
from matching_service.domain.rules.room import COMMON_HOURS
from matching_service.domain.zone import zone_of

ZONES = [
    "UTC", "Europe/Lisbon", "Europe/Berlin", "America/New_York", "America/St_Johns",
    "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago",
    "Africa/Casablanca",
]  # fmt: skip
WEEKS = [
    datetime(*day, tzinfo=UTC)
    for day in (
        (2026, 3, 2),  # nothing changes
        (2026, 3, 6),  # New York springs forward on the 8th
        (2026, 3, 28),  # Lisbon and Berlin on the 29th
        (2026, 4, 1),  # Lord Howe goes back half an hour on the 5th
        (2026, 10, 23),  # Lisbon and Berlin go back on the 25th
        (2026, 10, 31),  # New York on the 1st
    )
]
HOURS = st.lists(
    st.tuples(
        st.integers(1, 7), st.integers(0, 1439), st.integers(1, 1440)
    ).filter(lambda h: h[1] < h[2]),
    max_size=4,
).map(tuple)  # fmt: skip


@cache
def walk(zone: str, week: datetime) -> dict[tuple[date, int], int]:
    """Go through real time minute by minute: when does the wall clock first show what?"""
    clock = zone_of(zone)
    assert clock is not None
    shown: dict[tuple[date, int], int] = {}
    for minute in range(-4 * 1440, WEEK + 4 * 1440):
        local = (week + timedelta(minutes=minute)).astimezone(clock)
        shown.setdefault((local.date(), local.hour * 60 + local.minute), minute)
    return shown


def free_minutes(hours: Hours, zone: str, week: datetime) -> set[int]:
    """The oracle: someone is free from when the clock shows the start to when it shows the end."""
    shown = walk(zone, week)
    free: set[int] = set()
    for offset in range(-2, 10):
        day = (week + timedelta(days=offset)).date()
        for weekday, starts, ends in hours:
            if weekday == day.isoweekday():
                end = (day + timedelta(days=1), 0) if ends == 1440 else (day, ends)
                free.update(range(shown[day, starts], shown[end]))
    return {minute for minute in free if 0 <= minute < WEEK}


def skipped(hours: Hours, zone: str, week: datetime) -> bool:
    """Whether the clocks skip a start or an end near the week: told by a test of its own."""
    shown = walk(zone, week)
    days = [(week + timedelta(days=offset)).date() for offset in range(-2, 10)]
    ends = {minute % 1440 for _, *both in hours for minute in both}
    return any((day, minute) not in shown for day in days for minute in ends)


@settings(max_examples=200, deadline=None)
@given(
    ours=HOURS,
    theirs=HOURS,
    zones=st.tuples(st.sampled_from(ZONES), st.sampled_from(ZONES)),
    week=st.sampled_from(WEEKS),
)
@example(ours=((7, 0, 240),), theirs=((7, 0, 240),), zones=("Europe/Lisbon",) * 2, week=WEEKS[2])
@example(ours=((7, 0, 240),), theirs=((7, 0, 240),), zones=("America/New_York",) * 2, week=WEEKS[5])
def test_common_time_is_what_both_clocks_show_minute_by_minute(
    ours: Hours, theirs: Hours, zones: tuple[str, str], week: datetime
) -> None:
    if skipped(ours, zones[0], week) or skipped(theirs, zones[1], week):
        return
    expected = free_minutes(ours, zones[0], week) & free_minutes(theirs, zones[1], week)

    found = overlap.common(
        overlap.laid_out(ours, zones[0], week), overlap.laid_out(theirs, zones[1], week)
    )

    minutes = {minute for start, end in found for minute in range(start, min(end, WEEK))}
    assert minutes == expected
    assert overlap.total(found) == len(expected)


def test_hours_over_the_night_the_clocks_go_forward_are_an_hour_shorter() -> None:
    sunday_night: Hours = ((7, 0, 240),)

    ordinary = overlap.total(overlap.laid_out(sunday_night, "Europe/Lisbon", WEEKS[0]))
    shorter = overlap.total(overlap.laid_out(sunday_night, "Europe/Lisbon", WEEKS[2]))

    assert (ordinary, shorter) == (240, 180)


def test_a_start_that_the_clocks_skip_is_read_with_the_offset_before() -> None:
    week = WEEKS[2]  # Lisbon goes from 01:00 to 02:00 on Sunday the 29th
    expected = int((datetime(2026, 3, 29, 1, 30, tzinfo=UTC) - week).total_seconds() // 60)

    (stretch,) = overlap.laid_out(((7, 90, 240),), "Europe/Lisbon", week)

    assert stretch[0] == expected


def test_a_stretch_over_the_end_of_the_week_is_seen_whole() -> None:
    week = overlap.week_of(datetime(2026, 3, 2, 9, tzinfo=UTC))
    over_sunday_midnight: Hours = ((7, 1410, 1440), (1, 0, 30))

    laid = overlap.laid_out(over_sunday_midnight, "UTC", week)

    assert overlap.longest(laid) == 60
    assert overlap.total(laid) == 60


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        (datetime(2026, 3, 2, 9, tzinfo=UTC), False),  # 5 h apart: 14-15 there is 9-10 here
        (datetime(2026, 3, 9, 9, tzinfo=UTC), True),  # 4 h apart for three weeks
        (datetime(2026, 4, 6, 9, tzinfo=UTC), False),
    ],
)
def test_an_hour_in_common_may_come_and_go_with_the_clocks(when: datetime, holds: bool) -> None:
    pair = a_pair(
        mentee_with(hours=((1, 13 * 60, 14 * 60),), time_zone="Europe/Lisbon"),
        mentor_with(hours=((1, 9 * 60, 10 * 60),), time_zone="America/New_York"),
    )

    assert COMMON_HOURS.holds(pair, a_context(now=when)) is holds


def test_the_explanation_says_when_the_common_hour_will_go() -> None:
    pair = a_pair(
        mentee_with(hours=((1, 13 * 60, 14 * 60),), time_zone="Europe/Lisbon"),
        mentor_with(hours=((1, 9 * 60, 10 * 60),), time_zone="America/New_York"),
    )

    fact = COMMON_HOURS.fact(pair, a_context(now=WEEKS[1] + timedelta(days=3)))

    assert fact == (
        "60 minutes in one stretch at this week's clocks, "
        "no less than 0 minutes in the coming 8 weeks"
    )


def test_a_common_stretch_must_be_as_long_as_a_session() -> None:
    context = a_context()
    week = overlap.week_of(context.now)
    half_hours: Hours = tuple((day, 540, 570) for day in range(1, 6))

    scattered = a_pair(mentee_with(hours=half_hours), mentor_with(hours=half_hours))

    assert overlap.total(overlap.laid_out(half_hours, "UTC", week)) == 150
    assert not COMMON_HOURS.holds(scattered, context)


def test_people_who_are_always_free_are_told_no_odd_figure() -> None:
    always = tuple((day, 0, 1440) for day in range(1, 8))
    pair = a_pair(mentee_with(hours=always), mentor_with(hours=always))

    assert COMMON_HOURS.fact(pair, a_context()).startswith("a day and more in one stretch")
