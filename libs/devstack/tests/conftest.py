import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.stack import Stack

CENTERS = ("north-hospital", "south-hospital")


@pytest.fixture(scope="session")
def network() -> Iterator[Stack]:
    """One stack without services for all tests here; who kills a part brings it up again.

    Its folder's name is meant to be hard: a comma parts lists in Kafka's settings, a blank parts command lines.
    It is not among pytest's own: another run of it closes those to everybody else, PostgreSQL too.
    """
    with tempfile.TemporaryDirectory(
        prefix="a stack, für Tests ", ignore_cleanup_errors=True
    ) as name:
        made = Stack(home=Path(name))
        try:
            made.up(services=())
            made.provision(CENTERS)
            yield made
        finally:
            made.down()
