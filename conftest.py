"""What every test of the repository can use."""

import pytest
from hypothesis import settings

pytest_plugins = ["testkit.plugin"]

# Time is measured in tests/perf; here a busy machine must not fail a right answer.
settings.register_profile("repository", deadline=None)
settings.load_profile("repository")

_LONG = ("tests/flows", "tests/failures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: the workers then end at about the same time."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))
