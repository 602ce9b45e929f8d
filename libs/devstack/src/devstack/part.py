"""What the stack is made of: parts, each one process with an address and a log."""

from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Literal, Protocol

from devstack.process import Command
from devstack.state import LOOPBACK

Progress = Callable[[str], None]
PartState = Literal["up", "not ready", "down"]

PROBE_SECONDS = 2.0
GENTLE = ((SIGTERM, 12.0), (SIGKILL, 5.0))


@dataclass(frozen=True, slots=True)
class PartStatus:
    """How one part is, at the moment of the question."""

    name: str
    state: PartState
    address: str
    """Host and port; what speaks there is the part's own business (see `Stack.address`)."""
    pid: int | None
    memory_mb: float
    age_seconds: float
    log: Path


class Part(Protocol):
    """One process of the stack: how it is prepared, run, asked and ended.

    The supervisor calls `prepare`, starts `command`, waits for `is_ready`, then calls `settle`.
    """

    @property
    def name(self) -> str:
        """Its name in commands and file names."""

    @property
    def title(self) -> str:
        """Its name in sentences."""

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of its ports; the first is its address."""

    @property
    def stop_steps(self) -> tuple[tuple[Signals, float], ...]:
        """Signals to end it with, and the seconds to wait after each."""

    @property
    def start_seconds(self) -> float:
        """How long it may take until it is ready."""

    @property
    def says_where_it_hangs(self) -> Signals | None:
        """A signal that has it write where it is into its log, and it may be started once more."""

    def prepare(self, progress: Progress) -> None:
        """Make everything it needs on disk; mends what an earlier, killed try left behind."""

    def command(self) -> Command:
        """Return what to run, with the ports remembered now."""

    def is_ready(self) -> bool:
        """Ask the running process itself; False on any failure, within `PROBE_SECONDS`."""

    def settle(self, progress: Progress) -> None:
        """Bring what is inside (roles, topics, rights) to what it should be; idempotent."""


def answers_ready(port: int) -> bool:
    """Return whether `GET /health/ready` on the loopback port is answered with 200."""
    connection = HTTPConnection(LOOPBACK, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200  # noqa: PLR2004 - HTTP's own word for yes
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
