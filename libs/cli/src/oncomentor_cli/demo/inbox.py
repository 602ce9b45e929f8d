"""What the mail catcher has for the centers' people, calendars included.

Source: RFC 5545, sections 3.1 (folding) and 3.2 (parameters).
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx

from oncomentor_cli.demo.cast import CENTERS
from oncomentor_client.errors import UnreachableError

_DOMAINS: Final = tuple(f"@{center.mail_domain}" for center in CENTERS)
_TIMEOUT_SECONDS: Final = 15.0
_CONCURRENT: Final = 8


@dataclass(frozen=True, slots=True)
class Calendar:
    """The invitation of one mail, as far as it is checked and shown."""

    method: str
    uid: str
    summary: str
    starts_at: datetime
    duration: str
    attendees: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mail:
    """One caught mail to one of the centers' people."""

    id: str
    received_at: datetime
    recipients: tuple[str, ...]
    subject: str
    message_id: str
    words: str
    """Text and HTML together: whatever a reader could see."""
    calendar: Calendar | None


class Inbox:
    """Reads the catcher's HTTP API; a mail that was read once is not read again."""

    def __init__(self, address: str) -> None:
        """Take host and port of the inbox."""
        self._url = f"http://{address}/api/messages"
        self._known: dict[str, Mail] = {}

    async def mails(self) -> list[Mail]:
        """Return the mails to the centers' people, oldest first.

        Raises:
            UnreachableError: the mail catcher does not answer.
        """
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
                listed = (await client.get(self._url)).raise_for_status().json()
                new = [
                    one["id"] for one in listed if _is_ours(one) and one["id"] not in self._known
                ]
                slots = asyncio.Semaphore(_CONCURRENT)
                await asyncio.gather(*(self._read(client, slots, mail_id) for mail_id in new))
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"the mail catcher at {self._url} does not answer ({type(error).__name__}): see "
                "'oncomentor dev logs mail'"
            ) from error
        ours = {one["id"] for one in listed}
        return sorted(
            (mail for mail in self._known.values() if mail.id in ours),
            key=lambda mail: mail.received_at,
        )

    async def _read(
        self, client: httpx.AsyncClient, slots: asyncio.Semaphore, mail_id: str
    ) -> None:
        async with slots:
            body = (await client.get(f"{self._url}/{mail_id}")).raise_for_status().json()
        self._known[mail_id] = _mail(body)


def calendar_in(text: str) -> Calendar:
    """Return the one event of an iCalendar text.

    Raises:
        ValueError: there is no event in it, or its start can't be read.
    """
    lines = list(_lines(text))
    inside = False
    found: dict[str, tuple[Mapping[str, str], str]] = {}
    attendees = []
    for name, parameters, value in lines:
        if (name, value) in {("BEGIN", "VEVENT"), ("END", "VEVENT")}:
            inside = name == "BEGIN"
        elif name == "ATTENDEE" and inside:
            attendees.append(value.partition(":")[2])
        elif inside or name == "METHOD":
            found[name] = (parameters, value)
    if missing := {"METHOD", "UID", "DTSTART", "SUMMARY"} - found.keys():
        raise ValueError(f"the calendar has no {', '.join(sorted(missing))}")

    return Calendar(
        method=found["METHOD"][1],
        uid=found["UID"][1],
        summary=_unescaped(found["SUMMARY"][1]),
        starts_at=_instant(*found["DTSTART"]),
        duration=found.get("DURATION", ({}, ""))[1],
        attendees=tuple(attendees),
    )


def _lines(text: str) -> Iterator[tuple[str, Mapping[str, str], str]]:
    for line in re.sub(r"\r?\n[ \t]", "", text).splitlines():
        # The colon that ends name and parameters is the first one outside quotes.
        found = re.match(r'((?:[^":]|"[^"]*")*):(.*)', line)
        if found is None:
            continue
        name, *parameters = re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', found[1])
        pairs = (parameter.partition("=") for parameter in parameters)
        yield name.upper(), {key.upper(): value.strip('"') for key, _, value in pairs}, found[2]


def _instant(parameters: Mapping[str, str], value: str) -> datetime:
    if value.endswith("Z"):
        return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    local = datetime.strptime(value, "%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo(parameters["TZID"]))
    return local.astimezone(UTC)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] in "nN" else found[1], text)


def _is_ours(summary: Mapping[str, Any]) -> bool:
    return any(one.endswith(_DOMAINS) for one in summary["envelope_to"])


def _mail(body: Mapping[str, Any]) -> Mail:
    calendars = (
        part["text"]
        for part in body["attachments"]
        if part["content_type"] == "text/calendar" and part["text"]
    )
    text = next(calendars, None)
    return Mail(
        id=body["id"],
        received_at=datetime.fromtimestamp(body["received_at"], UTC),
        recipients=tuple(body["envelope_to"]),
        subject=body["subject"],
        message_id=body["message_id"],
        words=f"{body['subject']}\n{body['text']}\n{body['html']}",
        calendar=None if text is None else calendar_in(text),
    )
