"""The demonstration, as a visitor runs it: broken off in the middle, completed, run again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.stack import Stack
from testkit.plugin import running_stack

COMMAND = [sys.executable, "-m", "oncomentor_cli", "demo"]


@pytest.fixture
def home() -> Iterator[Path]:
    with running_stack(services=()) as stack:
        yield stack.home.root


def run(home: Path) -> dict[str, Any]:
    done = subprocess.run(
        [*COMMAND, "--keep", "--json"],
        env=os.environ | {"ONCOMENTOR_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def kill_in_the_middle(home: Path) -> None:
    """Kill the demonstration as soon as one center has published and the others have not."""
    with subprocess.Popen(
        [*COMMAND, "--keep"],
        env=os.environ | {"ONCOMENTOR_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        published = next((line for line in running.stderr if " published " in line), None)
        running.kill()
    assert published, "it ended before anybody had published"


@pytest.mark.timeout(240)
def test_a_demonstration_killed_in_the_middle_is_completed_by_the_next_and_doubled_by_none(
    home: Path,
) -> None:
    kill_in_the_middle(home)

    completed, repeated = run(home), run(home)

    assert completed["ok"]
    assert repeated["ok"]
    assert repeated["repetition"]
    assert repeated["counts"] == completed["counts"]
    active = [match for match in completed["matches"] if match["state"] == "active"]
    assert len(active) >= 20
    assert all(part.state == "up" for part in Stack(home=home).status())
