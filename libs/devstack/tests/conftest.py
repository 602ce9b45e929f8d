from collections.abc import Iterator

import pytest

from devstack.stack import Stack

CENTERS = ("north-hospital", "south-hospital")


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack without services for all tests here; who kills a part brings it up again.

    Its folder's name is meant to be hard: a comma parts lists in Kafka's settings, a blank parts command lines.
    """
    made = Stack(home=tmp_path_factory.mktemp("a stack, für Tests"))
    try:
        made.up(services=())
        made.provision(CENTERS)
        yield made
    finally:
        made.down()
