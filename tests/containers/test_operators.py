"""docs/operators.md, command by command, in a checkout of its own."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.containers.conftest import ROOT

PROJECT = "oncomentor-doc"


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in files:
        if (ROOT / name).is_file():
            target = tmp_path / "oncomentor" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    yield tmp_path / "oncomentor"
    if (tmp_path / "oncomentor" / ".env").exists():
        shell("docker compose down --volumes", tmp_path / "oncomentor")


def shell(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", f"set -eo pipefail\n{script}"],
        cwd=folder,
        env={**os.environ, "COMPOSE_PROJECT_NAME": PROJECT},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_every_command_of_the_operators_page_works_as_it_stands_there(checkout: Path) -> None:
    page = (checkout / "docs/operators.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    traced = [f"echo '$ {nth}' >&2\n{line}" for nth, line in enumerate(commands)]

    said = shell("\n".join(traced), checkout)

    assert len(commands) > 25
    assert "checks: 16 of 16 hold" in said
    assert not shell("docker compose ps --quiet", checkout)
    assert {path.name for path in (checkout / "build/backup").iterdir()} == {
        "secrets.tar.gz", "profile.dump", "matching.dump", "scheduling.dump", "notification.dump",
    }  # fmt: skip
