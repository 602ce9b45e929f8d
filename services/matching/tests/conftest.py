from pathlib import Path

import pytest
from services.matching.tests.network import begin_anew

from servicekit.service import packaged


@pytest.fixture(scope="session")
def migrations() -> Path:
    return packaged("matching_service")


@pytest.fixture(autouse=True)
def a_new_process() -> None:
    """Every test has a database of its own, so nothing of the last one's may be in memory."""
    begin_anew()
