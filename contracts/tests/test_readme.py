import json
import re
from pathlib import Path
from typing import Any

import pytest

from oncomentor_contracts.envelope import from_structured


@pytest.fixture(scope="module")
def code(contracts: Path) -> dict[str, Any]:
    """What the README's Python defines."""
    readme = (contracts / "README.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL):
        exec(block, names)  # noqa: S102 - running it is the test
    return names


def a_record(contracts: Path, event_type: str) -> tuple[list[tuple[str, bytes]], bytes | None]:
    sample = (contracts / "samples" / event_type / "1.full.json").read_bytes()
    envelope, data = from_structured(sample)
    return envelope.headers(), data


def test_the_readme_reads_a_record_and_acts_on_it(code: dict[str, Any], contracts: Path) -> None:
    event = code["read"](*a_record(contracts, "match.activated.v1"))

    assert code["told"](event) == "north-cancer-center mentors south-cancer-center"


def test_the_readme_reads_a_deletion(code: dict[str, Any], contracts: Path) -> None:
    event = code["read"](*a_record(contracts, "profile.deleted.v1"))

    assert type(event).__name__ == "ProfileDeleted"
    assert code["told"](event) == "not for us"


def test_the_readme_passes_over_a_type_that_is_newer(code: dict[str, Any], contracts: Path) -> None:
    headers, data = a_record(contracts, "match.activated.v1")
    newer = [(n, b"match.activated.v9" if n == "ce_type" else value) for n, value in headers]

    assert code["told"](code["read"](newer, data)) == "not for us"


def test_the_readme_names_files_that_are_there(contracts: Path) -> None:
    readme = (contracts / "README.md").read_text()

    linked = re.findall(r"\]\(([^)]+)\)", readme)

    assert linked
    assert [link for link in linked if not (contracts / link).exists()] == []
    assert json.loads((contracts / "schemas" / "frozen.json").read_text()) is not None
