"""Invitations, read back by libraries that had no part in writing them."""

import io
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from dateutil import tz  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from ical.calendar_stream import IcsCalendarStream
from ical.event import Event
from services.notification.tests.builders import LINK, SESSION, STARTS_AT

from notification_service.gateways.invitation import Invitation, Mailbox, calendar_of
from testkit.plugin import NOW

ZONES = sorted(available_timezones() - {"Factory", "localtime"})


def an_invitation(
    *,
    starts_at: datetime = STARTS_AT,
    zone: str = "Europe/Lisbon",
    duration: timedelta = timedelta(hours=1),
    sequence: int = 0,
) -> Invitation:
    return Invitation(
        uid=f"{SESSION}@oncomentor",
        sequence=sequence,
        stamped_at=NOW,
        starts_at=starts_at,
        duration=duration,
        zone=ZoneInfo(zone),
        organizer=Mailbox("OncoMentor", "network@oncomentor.example"),
        attendee=Mailbox("Ana Reis", "ana.reis@north.example"),
        summary="Mentoring session with Maya Lindqvist",
        description=f"Mentoring session with Maya Lindqvist\n{LINK}",
        link=LINK,
    )


def lines(calendar: str) -> list[str]:
    """Return the content lines of a calendar, unfolded."""
    return calendar.replace("\r\n ", "").split("\r\n")


def event_of(calendar: str) -> Event:
    (event,) = IcsCalendarStream.calendar_from_ics(calendar).events
    return event


def test_it_says_what_a_mail_client_needs_to_show_buttons() -> None:
    written = lines(calendar_of(an_invitation()))

    assert written[0] == "BEGIN:VCALENDAR"
    assert "METHOD:REQUEST" in written
    assert f"UID:{SESSION}@oncomentor" in written
    assert "SEQUENCE:0" in written
    assert "DTSTART;TZID=Europe/Lisbon:20260309T150000" in written
    assert "DURATION:PT1H" in written
    assert "CLASS:PRIVATE" in written
    assert not [line for line in written if line.startswith("DTEND")]
    (organizer,) = [line for line in written if line.startswith("ORGANIZER")]
    assert organizer == "ORGANIZER;CN=OncoMentor:mailto:network@oncomentor.example"
    (attendee,) = [line for line in written if line.startswith("ATTENDEE")]
    assert attendee.endswith(":mailto:ana.reis@north.example")
    assert {"RSVP=TRUE", "PARTSTAT=NEEDS-ACTION"} <= set(attendee.partition(":")[0].split(";"))


def test_it_says_where_to_meet_in_each_place_that_readers_look() -> None:
    written = lines(calendar_of(an_invitation()))

    assert f"LOCATION:{LINK}" in written
    assert any(w.startswith("CONFERENCE;") and w.endswith(f":{LINK}") for w in written)
    assert any(w.startswith("DESCRIPTION:") and LINK in w for w in written)


def test_made_again_it_is_the_same_text() -> None:
    assert calendar_of(an_invitation()) == calendar_of(an_invitation())


def test_a_moved_session_keeps_its_uid_and_raises_its_sequence() -> None:
    first = event_of(calendar_of(an_invitation()))
    moved = event_of(calendar_of(an_invitation(sequence=1)))

    assert (first.uid, first.sequence) == (moved.uid, 0)
    assert moved.sequence == 1


def test_only_what_the_start_needs_is_told_of_the_zone() -> None:
    calendar = calendar_of(an_invitation(zone="America/New_York"))

    assert calendar.count("BEGIN:STANDARD") + calendar.count("BEGIN:DAYLIGHT") == 1
    assert len(calendar) < 1500


def test_the_second_of_a_repeated_hour_is_given_in_utc() -> None:
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)  # 01:30 in New York, still summer time

    calendars = [
        calendar_of(an_invitation(starts_at=at, zone="America/New_York"))
        for at in (first, first + timedelta(hours=1))
    ]

    assert "DTSTART;TZID=America/New_York:20261101T013000" in lines(calendars[0])
    assert "DTSTART:20261101T063000Z" in lines(calendars[1])


def test_an_hour_across_a_change_of_clocks_stays_an_hour() -> None:
    before = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # 00:30 in Lisbon; 01:00 becomes 02:00

    event = event_of(calendar_of(an_invitation(starts_at=before)))

    assert event.dtstart == before
    assert event.duration == timedelta(hours=1)


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC"])
def test_utc_needs_no_zone(zone: str) -> None:
    calendar = calendar_of(an_invitation(zone=zone))

    assert "VTIMEZONE" not in calendar
    assert "DTSTART:20260309T150000Z" in lines(calendar)


@settings(max_examples=150, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    minutes=st.integers(0, 10 * 365 * 24 * 60),
)
def test_every_reader_finds_the_same_instant_in_every_zone(zone: str, minutes: int) -> None:
    instant = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)

    calendar = calendar_of(an_invitation(starts_at=instant, zone=zone))

    assert event_of(calendar).dtstart == instant  # by the name of the zone
    if "VTIMEZONE" in calendar:  # by what the invitation says of the zone
        start = next(line for line in lines(calendar) if line.startswith("DTSTART;TZID"))
        local = datetime.fromisoformat(start.rpartition(":")[2])
        told = tz.tzical(io.StringIO(calendar)).get()
        assert local.replace(tzinfo=told).astimezone(UTC) == instant
