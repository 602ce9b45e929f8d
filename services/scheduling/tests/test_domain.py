import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.scheduling.tests.builders import (
    ADA,
    BEN,
    a_person,
    a_session,
    a_wish,
    second,
    windows,
)
from services.scheduling.tests.clocks import ZONES, changes, clock

from scheduling_service.domain import booking, span, zone
from scheduling_service.domain.booking import Reason, bookable_starts, common_starts
from scheduling_service.domain.hours import InvalidHoursError, WeeklyWindow, free_spans, tidied
from scheduling_service.domain.pledge import Person, availability_of, has_minutes
from scheduling_service.domain.span import Span

NEW_YORK = zone.zone_of("America/New_York")
ALL_WEEK = tuple(WeeklyWindow(weekday, 0, 86_400) for weekday in range(1, 8))
MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)
zones = st.sampled_from(ZONES)


@st.composite
def weekly_hours(draw: st.DrawFn) -> tuple[WeeklyWindow, ...]:
    """Windows in whole minutes, half of them around midnight and the hours when clocks change."""
    edge = st.one_of(st.integers(0, 300), st.integers(0, 1440), st.integers(1320, 1440))
    listed = draw(st.lists(st.tuples(st.integers(1, 7), edge, edge), max_size=10))
    return tuple(
        WeeklyWindow(day, min(a, b) * 60, max(a, b) * 60) for day, a, b in listed if a != b
    )


def seconds_in(listed: list[Span]) -> set[int]:
    return {second for begin, end in listed for second in range(begin, end)}


# --- sets of time ---


@given(listed=spans)
def test_a_union_holds_the_same_time_in_order_and_apart(listed: list[Span]) -> None:
    union = span.merged(listed)

    assert seconds_in(union) == seconds_in(listed)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(union))
    assert all(begin < end for begin, end in union)


@given(left=spans, right=spans)
def test_common_time_is_what_both_have(left: list[Span], right: list[Span]) -> None:
    both = span.common(span.merged(left), span.merged(right))

    assert seconds_in(both) == seconds_in(left) & seconds_in(right)


@given(listed=spans, taken=spans)
def test_what_is_taken_is_gone_and_nothing_else(listed: list[Span], taken: list[Span]) -> None:
    left = span.without(span.merged(listed), span.merged(taken))

    assert seconds_in(left) == seconds_in(listed) - seconds_in(taken)


# --- wall time ---


def test_a_time_in_a_gap_is_read_with_the_offset_before_it() -> None:
    instant = zone.wall_instant(date(2026, 3, 8), 2 * 3600 + 1800, NEW_YORK)

    assert instant == second("2026-03-08T03:30-04:00")


def test_a_repeated_time_is_the_first_one() -> None:
    instant = zone.wall_instant(date(2026, 11, 1), 1 * 3600 + 1800, NEW_YORK)

    assert instant == second("2026-11-01T01:30-04:00")


@settings(deadline=None)
@given(name=zones, data=st.data())
def test_wall_time_around_every_change_is_what_a_clock_would_show(
    name: str, data: st.DataObject
) -> None:
    change = data.draw(st.sampled_from(changes(name)))
    oracle = clock(name, change - 3 * 1440, change + 3 * 1440)
    wall = oracle.shown[3 * 1440] + data.draw(st.integers(-1440, 1440))

    instant = zone.wall_instant(
        date(1970, 1, 1) + timedelta(minutes=wall), wall % 1440 * 60, zone.zone_of(name)
    )

    assert instant == oracle.minute_of(wall) * 60


def test_a_zone_that_the_database_lacks_is_named() -> None:
    with pytest.raises(zone.UnknownZoneError, match="Mars/Olympus"):
        zone.zone_of("Mars/Olympus")


def test_the_months_of_a_year_follow_each_other() -> None:
    months = [date(2026, 1, 1)]
    while len(months) < 13:
        months.append(zone.month_after(months[-1]))

    assert months[-1] == date(2027, 1, 1)
    assert {month.day for month in months} == {1}


# --- weekly hours ---


def test_hours_that_touch_become_one_window() -> None:
    tidy = tidied(windows([(2, "10:00", "12:00"), (1, "09:00", "10:00"), (1, "10:00", "00:00")]))

    assert tidy == windows([(1, "09:00", "00:00"), (2, "10:00", "12:00")])


@pytest.mark.parametrize(
    ("weekday", "starts", "ends"),
    [(0, 0, 60), (8, 0, 60), (1, 60, 60), (1, 120, 60), (1, 0, 86401)],
)
def test_hours_that_no_week_has_are_refused(weekday: int, starts: int, ends: int) -> None:
    with pytest.raises(InvalidHoursError):
        WeeklyWindow(weekday, starts, ends)


def test_hours_to_the_end_of_the_day_reach_the_next_day() -> None:
    within = (second("2026-03-02T00:00Z"), second("2026-03-04T00:00Z"))

    free = free_spans(
        windows([(1, "22:00", "00:00"), (2, "00:00", "01:00")]), zone.zone_of("Etc/UTC"), within
    )

    assert free == [(second("2026-03-02T22:00Z"), second("2026-03-03T01:00Z"))]


def test_hours_keep_their_wall_time_when_the_clocks_change() -> None:
    within = (second("2026-03-01T00:00Z"), second("2026-03-15T00:00Z"))

    free = free_spans(windows([(1, "09:00", "10:00")]), NEW_YORK, within)

    assert [begin for begin, _ in free] == [
        second("2026-03-02T14:00Z"),
        second("2026-03-09T13:00Z"),
    ]


@settings(deadline=None, max_examples=150)
@given(name=zones, hours=weekly_hours(), data=st.data())
def test_free_time_is_every_minute_that_the_hours_cover(
    name: str, hours: tuple[WeeklyWindow, ...], data: st.DataObject
) -> None:
    change = data.draw(st.sampled_from(changes(name)))
    begin = change - data.draw(st.integers(0, 8 * 1440))
    end = begin + data.draw(st.integers(0, 10 * 1440))

    free = free_spans(hours, zone.zone_of(name), (begin * 60, end * 60))

    oracle = clock(name, change - 13 * 1440, change + 13 * 1440).free(hours)
    found = {minute for b, e in free for minute in range(b // 60, e // 60)}
    assert found == {minute for minute in oracle if begin <= minute < end}


def test_hours_that_the_clocks_skip_before_midnight_are_read_on_the_next_day() -> None:
    nuuk = zone.zone_of("America/Nuuk")  # on Saturday 2026-03-28, 23:00 is already Sunday 00:00
    within = (second("2026-03-29T01:10Z"), second("2026-03-29T03:00Z"))

    free = free_spans(windows([(6, "23:00", "23:30")]), nuuk, within)

    assert free == [(second("2026-03-29T01:10Z"), second("2026-03-29T01:30Z"))]


# --- the hour of a pair ---


def test_a_pair_gets_the_first_common_hour_with_a_days_notice() -> None:
    mentor = a_person(ADA, zone="America/New_York", hours=[(1, "09:00", "12:00")])
    mentee = a_person(BEN, zone="Europe/Lisbon", hours=[(1, "15:00", "18:00")])

    start = next(common_starts(a_wish(mentor=mentor, mentee=mentee)))

    assert start == second("2026-03-09T15:00Z")  # New York is on summer time, Lisbon is not yet


def test_hours_within_the_notice_are_not_taken() -> None:
    now = second("2026-03-01T10:30Z")

    start = next(common_starts(a_wish(now=now)))

    assert start == second("2026-03-02T10:30Z")


def test_no_start_lies_beyond_eight_weeks() -> None:
    starts = list(common_starts(a_wish()))

    assert zone.utc(starts[-1]) == datetime(2026, 4, 20, 11, tzinfo=UTC)


def test_every_clock_in_use_stands_on_the_quarters_of_utc() -> None:
    now = second("2026-03-02T09:00Z")
    offsets = {
        zone.local_time(now + week * 7 * 86_400, zone.zone_of(name)).utcoffset()
        for name in zone.names()
        for week in range(0, 104, 4)
    }

    assert {offset % booking.GRID for offset in offsets if offset} == {timedelta()}


def test_starts_stand_on_the_quarters_of_the_mentors_clock() -> None:
    mentor = a_person(ADA, zone="Asia/Kathmandu", hours=[(1, "09:05", "10:50")])
    mentee = a_person(BEN, zone="Asia/Kathmandu", hours=[(1, "00:00", "00:00")])

    starts = list(common_starts(a_wish(mentor=mentor, mentee=mentee)))[:3]

    clocks = [zone.local_time(start, zone.zone_of("Asia/Kathmandu")) for start in starts]
    assert [f"{clock:%H:%M}" for clock in clocks] == ["09:15", "09:30", "09:45"]


def test_an_overlap_of_exactly_one_session_off_the_grid_is_used() -> None:
    mentor = a_person(ADA, hours=[(1, "09:05", "10:05")])

    start = next(common_starts(a_wish(mentor=mentor)))

    assert start == second("2026-03-09T09:05Z")


def test_hours_that_the_notice_cuts_wait_for_their_next_week_where_no_quarter_fits() -> None:
    mentor = a_person(ADA, hours=[(1, "09:00", "10:10")])

    start = next(common_starts(a_wish(mentor=mentor, now=second("2026-03-08T09:05Z"))))

    assert start == second("2026-03-16T09:00Z")


def test_another_session_keeps_its_buffer_on_either_side() -> None:
    taken = (second("2026-03-09T10:15Z"), second("2026-03-09T10:30Z"))

    starts = list(common_starts(a_wish(taken=[taken])))

    assert [zone.utc(start).hour * 60 + zone.utc(start).minute for start in starts[:3]] == [
        9 * 60,  # ends at 10:00, its buffer at 10:15
        10 * 60 + 30,
        10 * 60 + 45,
    ]


def test_people_without_a_common_hour_are_told_so() -> None:
    wish = a_wish(mentee=a_person(BEN, hours=[(2, "09:00", "12:00")]))

    assert list(bookable_starts(wish)) == []
    assert booking.why_unbookable(wish) is Reason.NO_COMMON_HOUR


def test_a_month_without_minutes_is_passed_over() -> None:
    mentor = a_person(ADA, pledges={"research": 100})
    wish = a_wish(mentor=mentor, drawn={("research", MARCH): 60})

    start = next(bookable_starts(wish))

    assert zone.utc(start) == datetime(2026, 4, 6, 9, tzinfo=UTC)


def test_a_mentor_without_minutes_in_any_month_is_told_so() -> None:
    wish = a_wish(mentor=a_person(ADA, pledges={"research": 45}))

    assert list(bookable_starts(wish)) == []
    assert booking.why_unbookable(wish) is Reason.NO_MINUTES_LEFT


def test_months_are_those_of_the_mentors_clock() -> None:
    early = [(3, "06:00", "07:00")]
    mentor = a_person(ADA, zone="Pacific/Auckland", hours=early, pledges={"research": 60})
    mentee = a_person(BEN, hours=[(2, "00:00", "00:00")])

    start = next(
        bookable_starts(a_wish(mentor=mentor, mentee=mentee, drawn={("research", MARCH): 60}))
    )

    assert zone.utc(start) == datetime(2026, 3, 31, 17, tzinfo=UTC)  # in Auckland April has begun


@settings(deadline=None, max_examples=60)
@given(
    names=st.tuples(zones, zones),
    hours=st.tuples(weekly_hours(), st.one_of(weekly_hours(), st.just(ALL_WEEK))),
    minutes=st.sampled_from([15, 45, 60, 90]),
    data=st.data(),
)
def test_the_starts_of_a_pair_are_those_that_trying_every_minute_finds(
    names: tuple[str, str],
    hours: tuple[tuple[WeeklyWindow, ...], tuple[WeeklyWindow, ...]],
    minutes: int,
    data: st.DataObject,
) -> None:
    change = data.draw(st.sampled_from(changes(names[0])))
    now = change - 28 * 1440 + data.draw(st.integers(-1440, 1440))
    taken = [
        ((change + begin) * 60, (change + begin + length) * 60)
        for begin, length in data.draw(
            st.lists(st.tuples(st.integers(-20_000, 20_000), st.integers(1, 300)), max_size=5)
        )
    ]
    mentor, mentee = (
        Person(person_id, "north", name, window)
        for person_id, name, window in zip((ADA, BEN), names, hours, strict=True)
    )

    found = list(
        common_starts(
            a_wish(
                mentor=mentor,
                mentee=mentee,
                minutes=minutes,
                now=now * 60,
                taken=span.merged(taken),
            )
        )
    )

    oracles = [clock(name, change - 35 * 1440, change + 35 * 1440) for name in names]
    free = oracles[0].free(hours[0]) & oracles[1].free(hours[1])
    free = {minute for minute in free if now + 1440 <= minute < now + 56 * 1440}
    free -= {m for b, e in taken for m in range(b // 60 - 15, e // 60)}
    quarters = [m for m in sorted(free) if oracles[0].shown[m - oracles[0].begin] % 15 == 0]
    on_grid = [m for m in quarters if all(m + i in free for i in range(minutes))]
    for begin, end in runs(free):
        fits = end - begin >= minutes and begin > now + 1440
        if fits and not any(begin <= start < end for start in on_grid):
            on_grid.append(begin)
    assert found == [start * 60 for start in sorted(on_grid)]


def runs(minutes: set[int]) -> list[tuple[int, int]]:
    """The stretches of minutes that follow each other."""
    begins = sorted(minute for minute in minutes if minute - 1 not in minutes)
    ends = sorted(minute + 1 for minute in minutes if minute + 1 not in minutes)
    return list(zip(begins, ends, strict=True))


# --- pledges, waiting, sessions ---


def test_what_is_left_is_the_pledges_without_what_this_month_drew() -> None:
    person = a_person(ADA, pledges={"research": 120, "clinical": 60})
    drawn = {("research", MARCH): 60, ("research", APRIL): 120, ("clinical", MARCH): 90}

    availability = availability_of(person, drawn, second("2026-03-31T23:00Z"))

    assert availability.minutes_left_month == 60


def test_nothing_is_left_to_say_where_nothing_was_pledged() -> None:
    availability = availability_of(a_person(ADA), {}, second("2026-03-02T09:00Z"))

    assert availability.minutes_left_month is None


def test_a_programme_without_a_pledge_has_minutes_without_end() -> None:
    mentor = a_person(ADA, pledges={"research": 0})

    assert has_minutes(mentor, "clinical", {}, MARCH, 60)
    assert not has_minutes(mentor, "research", {}, MARCH, 60)


def test_waiting_grows_from_a_second_to_an_hour_and_ends_at_the_deadline() -> None:
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    deadline = now + timedelta(hours=2)

    pauses = [booking.wait(tries, now, deadline) for tries in (0, 1, 2, 30)]

    assert pauses == [now + timedelta(seconds=pause) for pause in (1, 2, 4, 3600)]
    assert booking.wait(0, deadline - timedelta(milliseconds=1), deadline) == deadline
    assert booking.wait(0, deadline, deadline) is None


def test_a_session_across_a_change_of_clocks_lasts_as_long_as_it_says() -> None:
    session = a_session(starts="2026-03-08T01:30-05:00", minutes=60, zone="America/New_York")

    assert session.ends_at - session.starts_at == timedelta(hours=1)
    assert f"{session.starts_on} {session.wall_time}" == "2026-03-08 01:30:00"
    assert zone.local_time(int(session.ends_at.timestamp()), NEW_YORK).hour == 3
