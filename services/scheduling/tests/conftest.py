import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from servicekit.service import packaged
from servicekit.tx import Tx
from testkit.plugin import NOW
from testkit.postgres import Templates


@pytest.fixture(scope="session")
def migrations() -> Path:
    return packaged("scheduling_service")


@pytest.fixture(scope="session")
def standing_database(templates: Templates, migrations: Path) -> Iterator[str]:
    """One database for all tests that roll back; a fresh copy for each costs more than the test."""
    name = asyncio.run(templates.copy(migrations))
    yield name
    asyncio.run(templates.drop(name))


@pytest.fixture
async def tx(templates: Templates, standing_database: str) -> AsyncIterator[Tx]:
    """A worker's transaction at NOW, rolled back afterwards."""
    conn = await asyncpg.connect(templates.dsn(standing_database))
    transaction = conn.transaction()
    await transaction.start()
    yield Tx(conn, NOW)
    await transaction.rollback()
    await conn.close()
