"""Kafka and PostgreSQL of a test's stack as containers, where `make test STACK=containers` asks."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from testcontainers.compose import DockerCompose

from devstack.containers import PORTS, Containers
from devstack.part import Part, PartState, PartStatus, Progress
from devstack.paths import Home, find_repository
from devstack.supervisor import Runner

_STORES = ("kafka", "postgres")
# A container's first process may have others do its work, and ignores what it has no handler for.
_FREEZING = {Signals.SIGSTOP: "pause", Signals.SIGCONT: "unpause"}


def in_containers() -> bool:
    """Return whether tests are to run on containers."""
    return os.environ.get("ONCOMENTOR_TEST_STACK") == "containers"


@contextmanager
def stores(home: Path) -> Iterator[Callable[[Home, Runner], Runner]]:
    """Yield what makes a stack's runner; what it started in containers is deleted at the end."""
    if not in_containers():
        yield lambda _, supervisor: supervisor
        return
    containers = Containers(find_repository(), home=home)
    containers.prepare(dict.fromkeys(PORTS, 0))
    compose = DockerCompose(context=find_repository(), env_file=str(containers.environment_file))
    try:
        # A stack starts its parts side by side, and two `up` would make the network twice.
        _run(compose, "build", "--quiet", "kafka-set-up")
        _run(compose, "create", *_STORES)
        yield lambda _, supervisor: _Stores(containers, compose, supervisor)
    finally:
        compose.stop(down=True)


@dataclass(frozen=True, slots=True)
class _Stores:
    """Runs the two stores as docker-compose.yml says, and leaves all else to `others`."""

    containers: Containers
    compose: DockerCompose
    others: Runner

    def start(self, part: Part, progress: Progress) -> bool:
        """Have the part run and be set up; return whether it was started."""
        if part.name not in _STORES:
            return self.others.start(part, progress)
        if self.status(part).state == "up":
            return False
        self._compose("up", "--wait", part.name)
        self._compose("run", "--rm", "--no-deps", f"{part.name}-set-up")
        return True

    def stop(self, part: Part) -> None:
        """End the part."""
        if part.name in _STORES:
            self._compose("stop", part.name)
        else:
            self.others.stop(part)

    def send(self, part: Part, number: Signals, *, wait: float) -> None:
        """Send the container's first process a signal."""
        if part.name not in _STORES:
            return self.others.send(part, number, wait=wait)
        if number in _FREEZING:
            self._compose(_FREEZING[number], part.name)
        else:
            self._compose("kill", "--signal", number.name, part.name)
        deadline = time.monotonic() + wait
        while self._is_running(part.name) and time.monotonic() < deadline:
            time.sleep(0.1)
        return None

    def status(self, part: Part) -> PartStatus:
        """Return how the part is."""
        if part.name not in _STORES:
            return self.others.status(part)
        state: PartState = "down"
        if self._is_running(part.name):
            state = "up" if part.is_ready() else "not ready"
        log = self.containers.home.log(part.name)
        return PartStatus(part.name, state, self.containers.address(part.name), None, 0.0, 0.0, log)

    def _is_running(self, name: str) -> bool:
        listed = self._compose("ps", "--all", "--format", "json", name).splitlines()
        return any(json.loads(line)["State"] == "running" for line in listed if line)

    def _compose(self, *arguments: str) -> str:
        return _run(self.compose, *arguments)


def _run(compose: DockerCompose, *arguments: str) -> str:
    command = [*compose.docker_compose_command(), *arguments]
    done = subprocess.run(command, cwd=compose.context, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout
