"""Which network a command works on: the embedded stack's, or the one that docker compose runs."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import typer

from devstack.containers import Containers
from devstack.credentials import Credentials
from devstack.part import Progress
from devstack.paths import Home
from devstack.stack import Stack


class Against(StrEnum):
    """Where the network runs."""

    EMBEDDED = "embedded"
    COMPOSE = "compose"


class Network(Protocol):
    """What commands ask of either."""

    @property
    def home(self) -> Home:
        """The folder of its credentials, and of what commands keep."""

    def address(self, name: str) -> str:
        """Return host and port of a part."""

    def provision(self, institution_ids: Sequence[str]) -> tuple[Credentials, ...]:
        """Let institutions in."""


def network(against: Against, say: Progress) -> Stack | Containers:
    """Return a handle of the network; what it does is told to `say`."""
    return Stack(progress=say) if against is Against.EMBEDDED else Containers(progress=say)


def chosen(word: str) -> Against:
    """Return what `--against` says.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        return Against(word)
    except ValueError:
        raise typer.BadParameter(f"--against {word}: say embedded or compose") from None
