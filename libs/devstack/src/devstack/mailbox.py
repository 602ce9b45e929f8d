"""Caught mail on disk: one `.eml` file per message, never changed after it is there."""

import email
import email.policy
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from devstack.files import write_whole

_ID_CHARACTERS = frozenset("0123456789abcdef-")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One part of a message that is not its text, calendars included."""

    name: str
    content_type: str
    text: str | None
    """Its content where that is text."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One caught message, as text; nothing in it is to be trusted."""

    id: str
    """Ids sort by time of arrival."""
    received_at: float
    """Seconds since the epoch."""
    envelope_from: str
    envelope_to: tuple[str, ...]
    """To whom it was really delivered, blind copies included."""
    subject: str
    message_id: str
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str
    attachments: tuple[Attachment, ...]
    size_bytes: int


@dataclass
class Mailbox:
    """The folder of caught messages."""

    folder: Path
    _known: dict[str, Mail] = field(default_factory=dict)

    def keep(self, sender: str, recipients: Sequence[str], content: bytes) -> str:
        """Store a message and return its id; it is on disk, whole, when this returns.

        The envelope is put in front as a delivering server does (RFC 5321, 4.4: Return-Path).
        """
        now_ms = time.time_ns() // 1_000_000
        mail_id = f"{now_ms:012x}-{secrets.token_hex(4)}"
        envelope = [f"Return-Path: <{_one_line(sender)}>"]
        envelope += [f"Delivered-To: {_one_line(recipient)}" for recipient in recipients]
        head = "".join(f"{line}\r\n" for line in envelope).encode(errors="surrogateescape")
        write_whole(self.folder / f"{mail_id}.eml", head + content)
        return mail_id

    def mails(self) -> list[Mail]:
        """Return all messages, newest first."""
        there = {path.stem: path for path in self.folder.glob("*.eml") if is_id(path.stem)}
        for gone in self._known.keys() - there.keys():
            del self._known[gone]
        for mail_id in there.keys() - self._known.keys():
            self._known[mail_id] = parse(mail_id, there[mail_id].read_bytes())
        return [self._known[mail_id] for mail_id in sorted(there, reverse=True)]

    def mail(self, mail_id: str) -> Mail | None:
        """Return one message; None when there is none of that id."""
        content = self.raw(mail_id)
        return None if content is None else parse(mail_id, content)

    def raw(self, mail_id: str) -> bytes | None:
        """Return one message as it came, the envelope in front; None when there is none."""
        path = self.folder / f"{mail_id}.eml"
        # Only what looks like an id becomes a path.
        return path.read_bytes() if is_id(mail_id) and path.is_file() else None


def is_id(text: str) -> bool:
    """Return whether the text has the form of a message's id."""
    return bool(text) and set(text) <= _ID_CHARACTERS


def parse(mail_id: str, content: bytes) -> Mail:
    """Return the message in its parts; whatever is broken in it is shown as well as it goes."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    headers = tuple(
        (name, _header(message, name, index)) for index, name in enumerate(message.keys())
    )
    of_text = [part for part in message.walk() if not part.is_multipart()]
    bodies = [part for part in of_text if _is_body(part)]
    return Mail(
        id=mail_id,
        received_at=int(mail_id.split("-", maxsplit=1)[0] or "0", 16) / 1000,
        envelope_from=_first(headers, "return-path").strip("<>"),
        envelope_to=tuple(value for name, value in headers if name.lower() == "delivered-to"),
        subject=_first(headers, "subject"),
        message_id=_first(headers, "message-id"),
        headers=headers,
        text="\n".join(_text(part) for part in bodies if part.get_content_type() == "text/plain"),
        html="\n".join(_text(part) for part in bodies if part.get_content_type() == "text/html"),
        attachments=tuple(_attachment(part) for part in of_text if not _is_body(part)),
        size_bytes=len(content),
    )


def _is_body(part: EmailMessage) -> bool:
    shown = part.get_content_type() in {"text/plain", "text/html"}
    return shown and part.get_content_disposition() != "attachment"


def _attachment(part: EmailMessage) -> Attachment:
    is_text = part.get_content_maintype() in {"text", "message"} or _names_calendar(part)
    return Attachment(
        name=part.get_filename() or "",
        content_type=part.get_content_type(),
        text=_text(part) if is_text else None,
    )


def _names_calendar(part: EmailMessage) -> bool:
    return (part.get_filename() or "").lower().endswith(".ics")


def _text(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        return payload.decode(part.get_content_charset("utf-8"), errors="replace")
    except LookupError:
        return payload.decode("utf-8", errors="replace")


def _header(message: EmailMessage, name: str, index: int) -> str:
    # By position: a name may stand there twice, and parsing a broken value may fail.
    try:
        return str(message.values()[index])
    except (ValueError, IndexError, AttributeError):
        return str(next(_raw_values(message, index), name))


def _raw_values(message: EmailMessage, index: int) -> Iterator[str]:
    for position, (_, value) in enumerate(message.raw_items()):
        if position == index:
            yield value


def _first(headers: Sequence[tuple[str, str]], wanted: str) -> str:
    return next((value for name, value in headers if name.lower() == wanted), "")


def _one_line(address: str) -> str:
    return "".join(character for character in address if character.isprintable())
