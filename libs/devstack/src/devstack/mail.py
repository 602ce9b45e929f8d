"""A mail catcher: `python -m devstack.mail` (not for production).

SMTP on loopback that keeps every message as one file and delivers none, and an inbox over HTTP.
"""

import argparse
import asyncio
import functools
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from devstack.files import make_folder
from devstack.mail_page import SECURITY_HEADERS, inbox_page, message_page
from devstack.mailbox import Mail, Mailbox
from devstack.state import LOOPBACK

SIZE_LIMIT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)  # no slots: aiosmtpd looks at every member, which 3.11.2 breaks on
class Keeper:
    """What SMTP does with a message: keep it, and only then say 250."""

    mailbox: Mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Return the answer; 250 means the message is on disk."""
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        try:
            mail_id = await asyncio.to_thread(
                self.mailbox.keep, envelope.mail_from or "", envelope.rcpt_tos, raw
            )
        except OSError:
            return "451 4.3.0 The message could not be kept, try again later"
        return f"250 2.0.0 Kept as {mail_id}"


@dataclass(frozen=True, slots=True)
class Inbox:
    """The inbox over HTTP, as pages and as JSON."""

    mailbox: Mailbox

    async def page(self, request: Request) -> Response:
        """Show the list."""
        return HTMLResponse(inbox_page(self.mailbox.mails()), headers=SECURITY_HEADERS)

    async def message(self, request: Request) -> Response:
        """Show one message."""
        mail = self.mailbox.mail(request.path_params["mail_id"])
        return (
            _nothing()
            if mail is None
            else HTMLResponse(message_page(mail), headers=SECURITY_HEADERS)
        )

    async def raw(self, request: Request) -> Response:
        """Give one message as it came."""
        content = self.mailbox.raw(request.path_params["mail_id"])
        if content is None:
            return _nothing()
        return Response(content, media_type="message/rfc822", headers=SECURITY_HEADERS)

    async def list_json(self, request: Request) -> Response:
        """Give the list, newest first, without bodies."""
        return JSONResponse([_summary(mail) for mail in self.mailbox.mails()])

    async def message_json(self, request: Request) -> Response:
        """Give one message with bodies, calendars and headers."""
        mail = self.mailbox.mail(request.path_params["mail_id"])
        return _nothing() if mail is None else JSONResponse(asdict(mail))

    def application(self) -> Starlette:
        """Return the inbox as an ASGI application."""
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/messages/{mail_id}.eml", self.raw),
                Route("/messages/{mail_id}", self.message),
                Route("/api/messages", self.list_json),
                Route("/api/messages/{mail_id}.eml", self.raw),
                Route("/api/messages/{mail_id}", self.message_json),
                Route("/health/ready", _ready),
            ]
        )


async def serve(mailbox: Mailbox, host: str, smtp_port: int, http_port: int) -> None:
    """Listen on both ports until ended."""
    make_smtp = functools.partial(
        SMTP, Keeper(mailbox), enable_SMTPUTF8=True, hostname="mail.invalid",
        ident="OncoMentor mail catcher", data_size_limit=SIZE_LIMIT_BYTES,
    )  # fmt: skip
    smtp = await asyncio.get_running_loop().create_server(make_smtp, host, smtp_port)
    config = uvicorn.Config(
        Inbox(mailbox).application(),
        host=host,
        port=http_port,
        access_log=False,
        lifespan="off",
    )
    try:
        await uvicorn.Server(config).serve()
    finally:
        smtp.close()  # without waiting for clients that stay connected


async def _ready(request: Request) -> Response:
    return JSONResponse({"status": "ready"})


def _summary(mail: Mail) -> dict[str, object]:
    parts = [part.content_type for part in mail.attachments]
    return {
        "id": mail.id,
        "received_at": mail.received_at,
        "envelope_from": mail.envelope_from,
        "envelope_to": mail.envelope_to,
        "subject": mail.subject,
        "message_id": mail.message_id,
        "attachments": parts,
        "size_bytes": mail.size_bytes,
    }


def _nothing() -> Response:
    return JSONResponse({"error": "no message of that id"}, 404)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until ended; return a process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m devstack.mail", description=__doc__)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    asked = parser.parse_args(arguments)
    make_folder(asked.folder)
    for draft in asked.folder.glob(".*.eml.*"):
        draft.unlink()  # of a catcher that was killed before it said 250
    asyncio.run(serve(Mailbox(asked.folder), asked.host, asked.smtp_port, asked.http_port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
