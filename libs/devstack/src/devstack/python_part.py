"""Parts that are Python programs with an HTTP edge: identity provider, mail catcher, services."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals

from devstack import paths
from devstack.errors import DevstackError, about_words
from devstack.files import last_line
from devstack.part import GENTLE, Progress, answers_ready
from devstack.paths import Home
from devstack.process import Command
from devstack.state import State

_MIGRATE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class PythonPart:
    """One Python program with `GET /health/ready`; it runs in this interpreter's environment."""

    home: Home
    state: State
    name: str
    title: str
    module: str
    ports: tuple[str, ...]
    """The first is its HTTP port."""
    arguments: Callable[[], tuple[str, ...]] = tuple
    environment: Callable[[], Mapping[str, str]] = field(default=dict)
    before: Callable[[], None] = lambda: None
    """Makes the files it needs."""
    stop_steps: tuple[tuple[Signals, float], ...] = GENTLE
    start_seconds: float = 60.0
    says_where_it_hangs: Signals | None = None

    def prepare(self, progress: Progress) -> None:
        """Make the files it needs."""
        self.before()

    def command(self) -> Command:
        """Return its command line, which holds no secret: those are in files."""
        environment = {**paths.inherited_environment(), **self.environment()}
        # -P: the home, where it runs, has folders named like modules.
        argv = (sys.executable, "-P", "-m", self.module, *self.arguments())
        return Command(argv, {"PYTHONUNBUFFERED": "1", **environment}, self.home.root)

    def is_ready(self) -> bool:
        """Return whether it says so itself."""
        return answers_ready(self.state.port(self.ports[0]))

    def settle(self, progress: Progress) -> None:
        """Nothing: a program brings itself to what it should be."""


def require_installed(module: str, title: str) -> Path:
    """Return the folder of an installed package, without importing it.

    Raises:
        DevstackError: it is not installed in this interpreter's environment.
    """
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise DevstackError(
            f"{title} is not installed in {sys.prefix}: set the repository's environment up "
            "(make dev), then run this again with its Python"
        )
    return Path(next(iter(found.submodule_search_locations)))


def run_to_end(command: Command, log: Path, title: str) -> None:
    """Run a command that ends by itself, output to the log.

    Raises:
        DevstackError: it failed, with the last line of its log.
    """
    with log.open("ab") as output:
        done = subprocess.run(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=command.folder,
            env=dict(command.environment),
            timeout=_MIGRATE_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        raise about_words(f"{title} failed (see {log})", last_line(log), command.folder)
