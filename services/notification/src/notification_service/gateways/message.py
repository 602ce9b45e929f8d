"""The mail itself, around a letter and, where there is one, an invitation.

Source: RFC 5322 (headers), RFC 2046 (multipart/alternative), RFC 6047 (iMIP), RFC 3834
(Auto-Submitted).
"""

from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from uuid import UUID

from notification_service.gateways.invitation import METHOD, Mailbox
from notification_service.gateways.letter import Letter
from notification_service.gateways.smtp import RefusedError


@dataclass(frozen=True, slots=True)
class Envelope:
    """Between whom a mail goes, as which delivery, when."""

    delivery_id: UUID
    sender: Mailbox
    recipient: Mailbox
    dated_at: datetime


def message_id(delivery_id: UUID, sender: str) -> str:
    """Return the Message-ID of a delivery: the same on every attempt, so readers see doubles."""
    return f"<{delivery_id}@{sender.rpartition('@')[2]}>"


def compose(envelope: Envelope, letter: Letter, calendar: str | None) -> EmailMessage:
    """Return the mail: plain text, HTML, and the invitation as parts that say the same.

    The invitation is one `text/calendar` alternative whose `method` equals the one inside; a
    second copy as an attachment would show as a second event in some readers.

    Raises:
        RefusedError: the recipient's address cannot be written into a header.
    """
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = _address(envelope.sender)
    message["To"] = _address(envelope.recipient)
    message["Subject"] = letter.subject
    message["Date"] = envelope.dated_at
    message["Message-ID"] = message_id(envelope.delivery_id, envelope.sender.address)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    if calendar is not None:
        message.add_alternative(
            calendar, subtype="calendar", cte="base64", params={"method": METHOD}
        )
    # Last: making a mail multipart moves what Content- headers it has into the first part.
    message["Content-Language"] = letter.language
    return message


def _address(mailbox: Mailbox) -> Address:
    try:
        return Address(mailbox.name, addr_spec=mailbox.address)
    except (MessageError, ValueError, IndexError):
        # Without its cause, which quotes the address.
        raise RefusedError("the address cannot be written into a header") from None
