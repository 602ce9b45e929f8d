import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from services.notification.tests.mailbox import MailCatcher

from servicekit.service import packaged
from servicekit.tx import Tx
from testkit.plugin import NOW
from testkit.postgres import Templates


@pytest.fixture(scope="session")
def migrations() -> Path:
    return packaged("notification_service")


@pytest.fixture(scope="session")
def rolled_back_database(templates: Templates, migrations: Path) -> str:
    return asyncio.run(templates.copy(migrations))


@pytest.fixture
async def tx(templates: Templates, rolled_back_database: str) -> AsyncIterator[Tx]:
    """A worker's transaction at NOW, rolled back afterwards, in a database that all tests share."""
    conn = await asyncpg.connect(templates.dsn(rolled_back_database))
    transaction = conn.transaction()
    await transaction.start()
    yield Tx(conn, NOW)
    await transaction.rollback()
    await conn.close()


@pytest.fixture
async def catcher() -> AsyncIterator[MailCatcher]:
    """A real SMTP server on loopback."""
    async with MailCatcher() as started:
        yield started
