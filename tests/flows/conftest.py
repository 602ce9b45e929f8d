import asyncio
from collections.abc import Iterator

import pytest

from devstack.stack import Stack
from testkit.network import Network
from testkit.plugin import stack_folder


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """The whole stack with all services, for the run; each test brings its own centers."""
    with stack_folder() as folder:
        stack = Stack(home=folder / "home")
        stack.up()
        yield Network(stack, folder)
        stack.down()


@pytest.fixture
async def whole(network: Network) -> Network:
    """The network with every part up, whatever the test before did to it."""
    await asyncio.to_thread(network.stack.up)
    return network
