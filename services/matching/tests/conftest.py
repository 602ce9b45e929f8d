from pathlib import Path

import pytest

from servicekit.service import packaged


@pytest.fixture(scope="session")
def migrations() -> Path:
    return packaged("matching_service")
