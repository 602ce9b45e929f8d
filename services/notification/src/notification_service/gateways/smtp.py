"""The mail server."""

import asyncio
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Final, Literal

import aiosmtplib

from servicekit.errors import TransientError

Security = Literal["opportunistic", "starttls", "tls"]
"""STARTTLS where the server offers it, STARTTLS or nothing, or TLS from the first byte."""

# The lease of an effect is 60 s: a send that takes longer would be made twice.
_WHOLE_SEND: Final = 45.0  # seconds
_PERMANENT: Final = 500  # replies from here on are for good (RFC 5321, 4.2.1)
_START_TLS: Final[dict[str, bool | None]] = {"opportunistic": None, "starttls": True, "tls": False}


class RefusedError(Exception):
    """This message will never be taken; the text names the step and the code, no address."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over; `greeting` is the name we give ourselves (EHLO)."""

    host: str
    port: int
    greeting: str
    security: Security = "opportunistic"
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    async def send(self, message: EmailMessage, *, sender: str, recipient: str) -> None:
        """Hand over one message; once this returns, the server has taken it.

        Errors carry no cause: what the server answers may quote the address.

        Raises:
            RefusedError: the server refused this recipient or this content for good.
            TransientError: it is away, asked to try later, or refuses us, not them; whether it
                took the message may be unknown.
        """
        try:
            async with asyncio.timeout(_WHOLE_SEND):
                await aiosmtplib.send(
                    message,
                    sender=sender,
                    recipients=[recipient],
                    hostname=self.host,
                    port=self.port,
                    local_hostname=self.greeting,
                    timeout=_WHOLE_SEND,
                    username=self.username,
                    password=self.password,
                    use_tls=self.security == "tls",
                    start_tls=_START_TLS[self.security],
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _judged("recipient", error.recipients[0].code) from None
        except aiosmtplib.SMTPDataError as error:
            raise _judged("data", error.code) from None
        except aiosmtplib.SMTPNotSupported:
            if recipient.isascii():
                raise TransientError("mail server: lacks STARTTLS or AUTH") from None
            raise RefusedError("mail server: no SMTPUTF8") from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise TransientError(f"mail server: {type(error).__name__}") from None


def _judged(step: str, code: int) -> Exception:
    """Return what a reply means: 5yz is for good, all others may pass."""
    text = f"mail server: {step} {code}"
    return RefusedError(text) if code >= _PERMANENT else TransientError(text)
