"""A TCP proxy on loopback that can be slow, deaf or cut, and that knows a COMMIT when it sees one."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from devstack.state import LOOPBACK

_CHUNK = 64 * 1024
_COMMIT = b"COMMIT"

Cut = Literal["before", "after"]
"""Whether the server still gets the COMMIT whose answer the client never sees."""


@dataclass(eq=False)
class _Link:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    cut_answer: bool = False

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


@dataclass
class Proxy:
    """Passes connections on to `target`; what is set here holds for new and open ones alike.

    `target` is asked at each connection, so that it may move.
    """

    target: Callable[[], tuple[str, int]]
    delay_seconds: float = 0.0
    """How long each chunk is held, in both directions."""
    refuses: bool = False
    """Whether new connections are ended at once."""
    cut_commits: int = 0
    """How many of the next COMMITs lose their answer."""
    cut_when: Cut = "after"
    commits_cut: int = 0
    port: int = 0
    _links: set[_Link] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen on a free port of loopback; return it."""
        self._server = await asyncio.start_server(self._take, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def stop(self) -> None:
        """Cut everything and listen no more."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """End every open connection with a reset."""
        for link in list(self._links):
            link.abort()

    def heal(self) -> None:
        """Be a plain wire again."""
        self.delay_seconds, self.refuses, self.cut_commits = 0.0, False, 0

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        try:
            from_server, to_server = await asyncio.open_connection(*self.target())
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, to_server)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._up(link, reader))
                both.create_task(self._down(link, from_server))
        except* OSError:
            pass
        finally:
            self._links.discard(link)
            link.abort()

    async def _up(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            if self.cut_commits > 0 and _COMMIT in chunk:
                self.cut_commits -= 1
                self.commits_cut += 1
                link.cut_answer = True
                if self.cut_when == "before":
                    link.abort()
                    return
            await self._pass_on(link.server, chunk)
        with suppress(OSError):
            link.server.write_eof()

    async def _down(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            if link.cut_answer:
                link.abort()
                return
            await self._pass_on(link.client, chunk)
        link.client.close()

    async def _pass_on(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        writer.write(chunk)
        await writer.drain()
