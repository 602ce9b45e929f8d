import asyncio
from collections.abc import Iterator

import pytest

from devstack.service import SERVICE_NAMES
from testkit.collector import Collector, collecting
from testkit.network import Network
from testkit.plugin import running_stack


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the services of `network` send their spans."""
    with collecting() as made:
        yield made


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Network]:
    """The whole stack with all services, for the run; each test brings its own centers."""
    exporting = {"ONCOMENTOR_OTLP_ENDPOINT": collector.endpoint}
    with running_stack(environment=dict.fromkeys(SERVICE_NAMES, exporting)) as stack:
        yield Network(stack, tmp_path_factory.mktemp("centers"))


@pytest.fixture
async def whole(network: Network) -> Network:
    """The network with every part up, whatever the test before did to it."""
    await asyncio.to_thread(network.stack.up)
    return network
