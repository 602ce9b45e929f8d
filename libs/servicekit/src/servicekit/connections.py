"""Connections to PostgreSQL that give up in time, and that end in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from servicekit.tx import Connection, Pool

_CONNECT_SECONDS = 10.0
_COMMAND_SECONDS = 30.0  # for a server that no longer answers; one that does ends it before
_CLOSE_SECONDS = 0.5
_LIMITS = {
    "statement_timeout": "25s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}


async def connect(dsn: str) -> "Connection":
    """Return a connection with the limits of all our sessions."""
    return await asyncpg.connect(
        dsn, timeout=_CONNECT_SECONDS, command_timeout=_COMMAND_SECONDS, server_settings=_LIMITS
    )


@asynccontextmanager
async def pool(dsn: str, size: int) -> AsyncIterator["Pool"]:
    """Hold up to `size` connections; at the end those still busy are cut off."""
    made = await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=_CONNECT_SECONDS,
        command_timeout=_COMMAND_SECONDS,
        server_settings=_LIMITS,
    )
    try:
        yield made
    finally:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await made.close()
        except TimeoutError:
            made.terminate()
