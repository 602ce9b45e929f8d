"""The network in containers, as `make test STACK=containers` runs it: a project of its own."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from devstack.containers import PORTS, Containers
from devstack.paths import find_repository

ROOT = find_repository()


@dataclass(frozen=True, slots=True)
class Network:
    """A compose project, and what it was given."""

    containers: Containers

    @property
    def environment(self) -> Mapping[str, str]:
        """What commands need to find it."""
        return {**os.environ, "ONCOMENTOR_COMPOSE_HOME": str(self.containers.home.root)}

    def compose(self, *arguments: str) -> str:
        """Run `docker compose` on this project and return what it prints; it must succeed."""
        files = ("--env-file", str(self.containers.environment_file))
        return run("docker", "compose", *files, *arguments)

    def up(self) -> None:
        """Have all of it run and be healthy."""
        self.compose("up", "--wait", "--wait-timeout", "240")

    def oncomentor(self, *arguments: str) -> str:
        """Run the command against this network and return what it prints; it must succeed."""
        return run(str(ROOT / ".venv/bin/oncomentor"), *arguments, env=self.environment)

    def tries(self, *arguments: str) -> bool:
        """Run the command against this network and return whether it succeeded."""
        command = [str(ROOT / ".venv/bin/oncomentor"), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, timeout=600, check=False
        )
        return done.returncode == 0

    def publish(self, file: Path, center: str) -> str:
        """Publish a center's file and return what is printed, one JSON object per row."""
        credentials = str(self.containers.credentials(center).path)
        return self.oncomentor(
            "publish", str(file), "--as", center, "--credentials", credentials, "--json"
        )


def run(*command: str, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return its standard output."""
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, (
        f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done.stdout


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """The network, built and started; ended and deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="om-compose-") as name:
        made = Network(Containers(ROOT, home=Path(name) / "home"))
        made.containers.prepare(dict.fromkeys(PORTS, 0))
        try:
            made.compose("build", "--quiet")
            made.up()
            yield made
        finally:
            made.compose("down", "--volumes", "--timeout", "15")
