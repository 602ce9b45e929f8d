import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from testkit.faults.ground import Ground, ground


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def battlefield(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """A stack behind proxies for the tests of one file: mutated kernels leave no sound history."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what is killed is said to be away
    folder: Path = tmp_path_factory.mktemp("faults")
    async with ground(folder) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def clean(battlefield: Ground) -> AsyncIterator[Ground]:
    """The ground without services; what a test breaks is put right after it."""
    yield battlefield
    await battlefield.stop()
    await battlefield.heal()
    await asyncio.to_thread(battlefield.stack.up, services=())
