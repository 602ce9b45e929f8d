from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from services.notification.tests.mailbox import MailCatcher

from servicekit.service import packaged


@pytest.fixture(scope="session")
def migrations() -> Path:
    return packaged("notification_service")


@pytest.fixture
async def catcher() -> AsyncIterator[MailCatcher]:
    """A real SMTP server on loopback."""
    async with MailCatcher() as started:
        yield started
