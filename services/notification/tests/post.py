"""Two people, a mail between the hub and one of them, and what a reader makes of it."""

import socket
from email.message import EmailMessage
from typing import Any

from ical.calendar import Calendar
from ical.calendar_stream import IcsCalendarStream
from services.notification.tests.builders import (
    MENTEE,
    MENTOR,
    NORTH,
    READER,
    SOUTH,
    a_contact_and_key,
    a_contact_block,
    a_link,
    a_profile,
    a_programme,
    an_institution,
    an_intent,
)
from services.notification.tests.mailbox import MailCatcher
from services.notification.tests.steps import do_jobs, hear, timers

from notification_service.domain import work
from notification_service.gateways.invitation import Mailbox
from notification_service.gateways.smtp import MailServer
from notification_service.jobs.sending import (
    Sender,
)
from oncomentor_contracts.block import ContactBlock
from oncomentor_contracts.notification import (
    DeliveryIntended,
)
from oncomentor_contracts.programme import ProgrammeKind
from servicekit import security
from servicekit.subscription import Timer
from servicekit.tx import Tx

FROM = Mailbox("OncoMentor", "network@oncomentor.example")


def a_sender(server: MailServer, *, key: security.Key = READER) -> Sender:
    return Sender(key=key, server=server, mailbox=FROM)


async def set_up(
    tx: Tx,
    *,
    mentor: ContactBlock | None = None,
    mentee: ContactBlock | None = None,
    mentee_may_be_named: bool = True,
    kind: ProgrammeKind = ProgrammeKind.RESEARCH,
    programme_name: str = "Early Career",
) -> None:
    """Let the service know two people of two centers, a programme and a link."""
    mentee = mentee or a_contact_block(display_name="Maya Lindqvist", email="maya@south.example")
    await hear(
        tx,
        an_institution(NORTH),
        an_institution(SOUTH),
        a_programme(name=programme_name, kind=kind),
        a_profile(MENTOR),
        a_profile(MENTEE, institution_id=SOUTH, may_be_named=mentee_may_be_named),
        *a_contact_and_key(MENTOR, contact=mentor),
        *a_contact_and_key(MENTEE, institution_id=SOUTH, contact=mentee),
        a_link(),
    )


async def prepared(tx: Tx, intent: DeliveryIntended | None = None) -> Timer:
    """Return the effect's timer of an intent that has everything it needs."""
    await hear(tx, intent or an_intent())
    assert await do_jobs(tx) == []
    (timer,) = await timers(tx, work.SEND_MAIL)
    return timer


async def mailed(tx: Tx, catcher: MailCatcher, intent: DeliveryIntended) -> EmailMessage:
    await a_sender(catcher.server).perform(await prepared(tx, intent))
    (message,) = catcher.messages
    return message


def parts(message: EmailMessage) -> dict[str, Any]:
    return {part.get_content_type(): part for part in message.iter_parts()}


def text_of(message: EmailMessage) -> str:
    return str(parts(message)["text/plain"].get_content())


def decoded(message: EmailMessage) -> str:
    """Return everything a reader can show of a message."""
    shown = [part.get_payload(decode=True) for part in message.iter_parts()]
    return str(message["Subject"]) + b"".join(p for p in shown if isinstance(p, bytes)).decode()


def calendar_of(message: EmailMessage) -> str:
    content: bytes = parts(message)["text/calendar"].get_payload(decode=True)
    return content.decode()


def parsed(calendar: str) -> Calendar:
    """Read a calendar with a library that had no part in writing it."""
    return IcsCalendarStream.calendar_from_ics(calendar)


def a_closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
