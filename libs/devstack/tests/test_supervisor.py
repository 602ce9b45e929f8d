"""Starting what hangs: once more, and it says where."""

import sys
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGQUIT, SIGTERM, Signals

import pytest

from devstack.errors import DevstackError
from devstack.part import Progress
from devstack.paths import Home
from devstack.process import Command
from devstack.state import State
from devstack.supervisor import Supervisor

# Hangs the first `times` times, and says so when asked; then it listens.
PROGRAM = """
import pathlib, signal, socket, sys, time
port, times = int(sys.argv[1]), int(sys.argv[2])
tries = pathlib.Path("tries")
seen = int(tries.read_text()) if tries.exists() else 0
tries.write_text(str(seen + 1))
signal.signal(signal.SIGQUIT, lambda *_: print("stuck in the mud", flush=True))
if seen < times:
    while True:
        time.sleep(1)
with socket.socket() as there:
    there.bind(("127.0.0.1", port))
    there.listen()
    while True:
        there.accept()[0].close()
"""


@dataclass(frozen=True)
class Moody:
    home: Home
    state: State
    hangs: int
    says_where_it_hangs: Signals | None = SIGQUIT
    name: str = "moody"
    title: str = "Moody"
    ports: tuple[str, ...] = ("moody",)
    stop_steps: tuple[tuple[Signals, float], ...] = ((SIGTERM, 2.0), (SIGKILL, 2.0))
    start_seconds: float = 1.5

    def prepare(self, progress: Progress) -> None:
        """Nothing is needed."""

    def command(self) -> Command:
        """The program."""
        argv = (sys.executable, "-c", PROGRAM, str(self.state.port("moody")), str(self.hangs))
        return Command(argv, {}, self.home.root)

    def is_ready(self) -> bool:
        """That it listens is asked by the supervisor."""
        return True

    def settle(self, progress: Progress) -> None:
        """Nothing is inside."""


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    home = Home(tmp_path)
    return Supervisor(home, State(tmp_path / "state.json"))


def start(supervisor: Supervisor, part: Moody) -> list[str]:
    said: list[str] = []
    try:
        supervisor.start(part, said.append)
    finally:
        supervisor.stop(part)
    return said


def test_what_hangs_in_its_start_is_started_once_more(supervisor: Supervisor) -> None:
    said = start(supervisor, Moody(supervisor.home, supervisor.state, hangs=1))

    assert [line.partition(" (")[0] for line in said] == [
        "Moody runs but is not ready after 2 s: nothing",
        "Moody is up",
    ]
    assert said[0].endswith("; started once more")
    assert "stuck in the mud" in supervisor.home.log("moody").read_text()


def test_what_hangs_twice_is_an_error_that_says_where(supervisor: Supervisor) -> None:
    part = Moody(supervisor.home, supervisor.state, hangs=2)

    with pytest.raises(DevstackError, match=r"(?s)not ready after .*, twice\. stuck in the mud"):
        start(supervisor, part)


def test_what_does_not_say_where_it_hangs_is_waited_for(supervisor: Supervisor) -> None:
    part = Moody(supervisor.home, supervisor.state, hangs=1, says_where_it_hangs=None)

    with pytest.raises(DevstackError, match="not ready after"):
        start(supervisor, part)

    assert (supervisor.home.root / "tries").read_text() == "1"
