"""Calendar invitations for one attendee.

Source: RFC 5545 (iCalendar), RFC 5546 (iTIP), RFC 6047 (iMIP), RFC 7986 (CONFERENCE).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from icalendar import (
    Calendar,
    Event,
    Timezone,
    TimezoneDaylight,
    TimezoneStandard,
    vCalAddress,
    vDDDTypes,
    vText,
    vUri,
    vUTCOffset,
)

METHOD: Final = "REQUEST"
_PRODUCT: Final = "-//OncoMentor//Notification//EN"
_PLAIN_IN_MAILTO: Final = "@.+-_'~!$*="


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A name, on one line, and an address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """A session as one attendee is invited to it; `zone` is where it is anchored."""

    uid: str
    sequence: int
    stamped_at: datetime
    starts_at: datetime
    duration: timedelta
    zone: ZoneInfo
    organizer: Mailbox
    attendee: Mailbox
    summary: str
    description: str
    link: str


def calendar_of(invitation: Invitation) -> str:
    """Return the iCalendar object, METHOD:REQUEST, with the one attendee it is sent to.

    The start stands in the anchor zone, with no more of that zone than this start needs, and
    the length is a DURATION, exact whatever the clocks do. Made again it is the same text.
    """
    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", METHOD)
    local = invitation.starts_at.astimezone(invitation.zone)
    if _needs_utc(local):
        local = local.astimezone(UTC)
    else:
        calendar.add_component(_time_zone(local))
    calendar.add_component(_event(invitation, local))
    written: bytes = calendar.to_ical()
    return written.decode()


def _needs_utc(local: datetime) -> bool:
    """Tell whether a local time cannot name this instant: UTC itself, or a repeated hour again.

    A TZID time that occurs twice means the first (RFC 5545, 3.3.5).
    """
    return local.tzname() == "UTC" or local.fold == 1


def _event(invitation: Invitation, start: datetime) -> Event:
    event = Event()
    event.add("uid", invitation.uid)
    event.add("dtstamp", invitation.stamped_at.astimezone(UTC))
    event.add("sequence", invitation.sequence)
    event.add("dtstart", *_start(start))
    event.add("duration", invitation.duration)
    event.add("summary", invitation.summary)
    event.add("description", invitation.description)
    event.add("location", invitation.link)
    event.add(
        "conference",
        vUri(invitation.link),
        parameters={"VALUE": "URI", "FEATURE": "VIDEO"},
    )
    event.add("status", "CONFIRMED")
    event.add("transp", "OPAQUE")
    # Colleagues who see this calendar have no business with who mentors whom.
    event.add("class", "PRIVATE")
    event.add("organizer", _address(invitation.organizer))
    event.add(
        "attendee",
        _address(
            invitation.attendee,
            CUTYPE="INDIVIDUAL",
            ROLE="REQ-PARTICIPANT",
            PARTSTAT="NEEDS-ACTION",
            RSVP="TRUE",
        ),
    )
    return event


def _start(start: datetime) -> tuple[datetime, dict[str, str]]:
    """Return the start and its parameters; left alone, icalendar takes some zones for UTC."""
    if start.tzinfo is UTC:
        return start, {}
    return start.replace(tzinfo=None), {"TZID": str(start.tzinfo)}


def _address(mailbox: Mailbox, **parameters: str) -> vCalAddress:
    address = vCalAddress(f"mailto:{quote(mailbox.address, safe=_PLAIN_IN_MAILTO)}")
    # A parameter cannot hold a double quote (RFC 5545, 3.2); few readers know RFC 6868.
    address.params["CN"] = vText(mailbox.name.replace('"', "'"))
    for name, value in parameters.items():
        address.params[name] = vText(value)
    return address


def _time_zone(start: datetime) -> Timezone:
    """Return the zone as it is at this start: one observance, in force since before it.

    icalendar's own writes every transition from 1970 to 2038, and a transition inside a short
    window an hour late.
    """
    offset = start.utcoffset() or timedelta()
    observance = TimezoneDaylight() if start.dst() else TimezoneStandard()
    observance.add("dtstart", vDDDTypes(datetime(1970, 1, 1)))  # noqa: DTZ001 - local by definition
    observance.add("tzoffsetfrom", vUTCOffset(offset))
    observance.add("tzoffsetto", vUTCOffset(offset))
    observance.add("tzname", start.tzname() or "")
    zone = Timezone()
    zone.add("tzid", str(start.tzinfo))
    zone.add_component(observance)
    return zone
