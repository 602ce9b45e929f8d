from datetime import UTC, datetime

import pytest

from oncomentor_cli.demo.inbox import calendar_in

EVENT = """BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VTIMEZONE
TZID:Europe/Lisbon
BEGIN:STANDARD
DTSTART:19700101T000000
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:4f@oncomentor
{start}
DURATION:PT45M
SUMMARY:Mentoring session with Ada Example\\, a very long name that is folded
  here
ATTENDEE;CN="Example: Ada";RSVP=TRUE:mailto:ada@harbor-demo.invalid
END:VEVENT
END:VCALENDAR
"""


@pytest.mark.parametrize(
    ("start", "instant"),
    [
        ("DTSTART:20260330T130000Z", datetime(2026, 3, 30, 13, tzinfo=UTC)),
        ("DTSTART;TZID=Europe/Lisbon:20260330T130000", datetime(2026, 3, 30, 12, tzinfo=UTC)),
        ('DTSTART;TZID="Africa/Lagos":20260330T130000', datetime(2026, 3, 30, 12, tzinfo=UTC)),
    ],
)
def test_a_start_is_read_in_its_zone(start: str, instant: datetime) -> None:
    calendar = calendar_in(EVENT.format(start=start).replace("\n", "\r\n"))

    assert calendar.starts_at == instant
    assert calendar.method == "REQUEST"
    assert calendar.uid == "4f@oncomentor"
    assert calendar.summary == (
        "Mentoring session with Ada Example, a very long name that is folded here"
    )
    assert calendar.attendees == ("ada@harbor-demo.invalid",)
    assert calendar.duration == "PT45M"


def test_a_calendar_without_an_event_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="DTSTART, SUMMARY, UID"):
        calendar_in("BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n")
