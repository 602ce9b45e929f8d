"""The outside world of the test network: it takes messages over HTTP and forgets none."""

import asyncio
import time
from dataclasses import dataclass, field

from devstack.state import LOOPBACK

_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Call:
    """One message that was handed over."""

    key: str
    """Its idempotency key."""
    at: float
    """Seconds since the epoch."""


@dataclass
class Sink:
    """Answers every request with 202 once it has kept its idempotency key."""

    calls: list[Call] = field(default_factory=list)
    url: str = ""
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        self._server = await asyncio.start_server(self._take, LOOPBACK, 0)
        self.url = f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}/"

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            headers = dict(
                line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
            )
            self.calls.append(Call(headers["idempotency-key"], time.time()))
            writer.write(_ANSWER)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the caller was killed in the middle: what it handed over stands
        finally:
            writer.close()
