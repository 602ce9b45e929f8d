"""Sending a mail: opened, written and handed over in memory alone, outside any transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationError

from notification_service.domain import work
from notification_service.domain.dispatch import Stop, after_failure
from notification_service.domain.match import Side
from notification_service.domain.notice import Template
from notification_service.gateways.invitation import Invitation, Mailbox, calendar_of
from notification_service.gateways.letter import Letter, Meeting, Occasion, one_line, write, zone_of
from notification_service.gateways.message import Envelope, compose, message_id
from notification_service.gateways.smtp import MailServer, RefusedError
from notification_service.jobs.order import MailOrder, SealedName
from notification_service.jobs.preparing import fail
from notification_service.store import mails
from oncomentor_contracts.block import ContactBlock
from oncomentor_contracts.event import Event
from oncomentor_contracts.notification import DeliverySent, FailureReason
from servicekit.errors import TransientError
from servicekit.security import Key, UnsealableError, decrypt_block, unseal
from servicekit.subscription import Effect, Timer
from servicekit.tx import Tx

_PURPOSE: Final = "contact"
# Three tries seconds apart get over a restart; what takes longer goes back to be prepared again.
_QUICK_TRIES: Final = 3


class UnreadableContactError(Exception):
    """A contact cannot be opened with the key that came for it; the text holds none of it."""


class AddressUnconfirmedError(Exception):
    """The owner has not confirmed the address, so nothing goes to it."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What the mail server took, and when."""

    message_id: str
    at: datetime


class Sender:
    """Holds what sending takes: the key to contacts, the mail server, and our own mailbox."""

    def __init__(self, *, key: Key, server: MailServer, mailbox: Mailbox) -> None:
        """Nothing is opened before there is a mail to send."""
        self._key = key
        self._server = server
        self._mailbox = mailbox

    def effect(self) -> Effect:
        """Return the effect `send_mail`."""
        return Effect(perform=self.perform, record=record, give_up=give_up, attempts=_QUICK_TRIES)

    async def perform(self, timer: Timer) -> Handed:
        """Hand one mail over; made again for the same timer it has the same Message-ID.

        No error here carries a name or an address, and none keeps a cause that does.

        Raises:
            TransientError: the mail server is away or asks for time.
            AddressUnconfirmedError, UnreadableContactError, RefusedError: it will never go out.
        """
        order = MailOrder.model_validate(timer.payload)
        recipient = self._open(order.recipient)
        if recipient.email_confirmed_at is None:
            raise AddressUnconfirmedError
        counterpart = self._open(order.counterpart) if order.counterpart else None

        to = Mailbox(one_line(recipient.display_name), recipient.email)
        letter = write(_occasion(order, recipient, counterpart))
        delivery_id = order.intent.delivery_id
        message = compose(
            Envelope(delivery_id, self._mailbox, to, datetime.now(UTC)),
            letter,
            self._calendar(order, letter, to),
        )
        await self._server.send(message, sender=self._mailbox.address, recipient=to.address)
        return Handed(message_id(delivery_id, self._mailbox.address), datetime.now(UTC))

    def _open(self, sealed: SealedName) -> ContactBlock:
        try:
            key = unseal(self._key, sealed.jwe)
            opened = decrypt_block(key, _PURPOSE, sealed.person_id, sealed.block)
            return ContactBlock.model_validate_json(opened)
        except (UnsealableError, ValidationError):
            # A validation error quotes what it read.
            raise UnreadableContactError(f"contact of person {sealed.person_id}") from None

    def _calendar(self, order: MailOrder, letter: Letter, to: Mailbox) -> str | None:
        facts = order.intent.invitation
        if facts is None or order.link is None or letter.summary is None:
            return None
        return calendar_of(
            Invitation(
                uid=facts.ical_uid,
                sequence=facts.ical_sequence,
                stamped_at=order.intended_at,
                starts_at=facts.starts_at,
                duration=timedelta(minutes=facts.duration_minutes),
                zone=zone_of(facts.time_zone),
                organizer=self._mailbox,
                attendee=to,
                summary=letter.summary,
                description=f"{letter.summary}\n{order.link}",
                link=order.link,
            )
        )


def _occasion(
    order: MailOrder, recipient: ContactBlock, counterpart: ContactBlock | None
) -> Occasion:
    intent = order.intent
    return Occasion(
        template=Template(intent.template.value),
        side=Side(intent.side.value),
        locale=recipient.locale,
        zone=order.zone,
        name=recipient.display_name,
        center=order.center,
        counterpart=counterpart.display_name if counterpart else None,
        counterpart_center=order.counterpart_center,
        programme=order.programme,
        respond_by=intent.respond_by,
        meeting=_meeting(order),
    )


def _meeting(order: MailOrder) -> Meeting | None:
    facts = order.intent.invitation
    if facts is None or order.link is None:
        return None
    return Meeting(
        starts_at=facts.starts_at,
        duration_minutes=facts.duration_minutes,
        link=order.link,
        moved=facts.ical_sequence > 0,
    )


async def record(timer: Timer, handed: Handed, tx: Tx) -> Sequence[Event]:
    """Settle the mail as sent.

    Emits:
        DeliverySent: the mail server has it.
    """
    order = MailOrder.model_validate(timer.payload)
    delivery_id = order.intent.delivery_id
    await mails.update_state(tx, delivery_id, "sent")
    return [DeliverySent(delivery_id=delivery_id, message_id=handed.message_id, sent_at=handed.at)]


async def give_up(timer: Timer, error: Exception, tx: Tx) -> Sequence[Event]:
    """Try again later where the mail server may come back; else settle the mail as failed.

    Emits:
        DeliveryFailed: it will not be sent.
    """
    order = MailOrder.model_validate(timer.payload)
    delivery_id = order.intent.delivery_id
    mail = await mails.lock_mail(tx, delivery_id)
    if mail is None or mail.is_settled:
        return []
    if not isinstance(error, TransientError):
        return await fail(delivery_id, _reason(error), tx)

    step = after_failure(mail.attempts, intended_at=mail.intended_at, now=tx.now)
    if isinstance(step, Stop):
        return await fail(delivery_id, FailureReason(step.reason.value), tx)
    await tx.schedule(work.PREPARE_MAIL, timer.key, step.at)
    return []


def _reason(error: Exception) -> FailureReason:
    match error:
        case AddressUnconfirmedError():
            return FailureReason.ADDRESS_UNCONFIRMED
        case UnreadableContactError():
            return FailureReason.NO_CONTACT
        case RefusedError():
            return FailureReason.REFUSED
        case _:
            return FailureReason.GAVE_UP
