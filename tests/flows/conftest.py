import asyncio
from collections.abc import Iterator

import pytest

from testkit.network import Network
from testkit.plugin import running_stack


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The whole stack with all services, for the run; each test brings its own centers."""
    with running_stack() as stack:
        yield Network(stack, tmp_path_factory.mktemp("centers"))


@pytest.fixture
async def whole(network: Network) -> Network:
    """The network with every part up, whatever the test before did to it."""
    await asyncio.to_thread(network.stack.up)
    return network
