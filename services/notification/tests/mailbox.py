"""A real SMTP server on loopback that keeps what it takes, and refuses when told to."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from notification_service.gateways.smtp import MailServer

_OK = "250 OK"


class MailCatcher:
    """Takes every mail, unless `rcpt_replies` or `data_replies` hold other replies to give first."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.rcpt_replies: list[str] = []
        self.data_replies: list[str] = []
        self.sessions = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, hostname="mail.test", enable_SMTPUTF8=False, loop=loop),
            "127.0.0.1",
            0,
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def server(self) -> MailServer:
        return MailServer(host="127.0.0.1", port=self.port, greeting="oncomentor.example")

    @property
    def messages(self) -> list[EmailMessage]:
        """What was taken, parsed as a mail reader would."""
        return [_parsed(envelope) for envelope in self.taken]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        reply = self.rcpt_replies.pop(0) if self.rcpt_replies else _OK
        if reply == _OK:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        reply = self.data_replies.pop(0) if self.data_replies else _OK
        if reply == _OK:
            self.taken.append(envelope)
        return reply


def _parsed(envelope: Envelope) -> EmailMessage:
    content = envelope.original_content or b""
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message
