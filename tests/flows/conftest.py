import asyncio
from collections.abc import Iterator

import pytest

from devstack.stack import Stack
from testkit.network import Network


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The whole stack with all services, for the run; each test brings its own centers."""
    folder = tmp_path_factory.mktemp("network")
    stack = Stack(home=folder / "home")
    stack.up()
    yield Network(stack, folder)
    stack.down()


@pytest.fixture
async def whole(network: Network) -> Network:
    """The network with every part up, whatever the test before did to it."""
    await asyncio.to_thread(network.stack.up)
    return network
