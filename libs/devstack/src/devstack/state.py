"""What the stack remembers between runs: ports, institutions, what was done already."""

import json
import secrets
import socket
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from devstack.errors import DevstackError
from devstack.files import write_whole

LOOPBACK = "127.0.0.1"

# Below the range from which systems take ports for outgoing connections (Linux from 32768, macOS
# and the IANA from 49152): a remembered port from there would now and then be taken by chance.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_TRIES = 200


class _Content(TypedDict):
    ports: dict[str, int]
    institutions: list[str]
    done: dict[str, str]


@dataclass
class State:
    """The state file. Every change is on disk, whole, when its call returns.

    Usable by several threads; between processes the holder of the stack's lock alone may change it.
    """

    path: Path
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def port(self, name: str, wanted: int = 0) -> int:
        """Return the port of that name; the first time one that is free, `wanted` if it is."""
        with self._guard:
            content = self._read()
            if name not in content["ports"]:
                taken = set(content["ports"].values())
                is_wanted = wanted and wanted not in taken and is_free(wanted)
                content["ports"][name] = wanted if is_wanted else _free_port(taken)
                self._write(content)
            return content["ports"][name]

    def known_port(self, name: str) -> int | None:
        """Return the port of that name if it has one; changes nothing."""
        return self._read()["ports"].get(name)

    def change_port(self, name: str) -> int:
        """Forget the port of that name, which somebody else has taken, and return another."""
        with self._guard:
            content = self._read()
            taken = set(content["ports"].values())
            content["ports"][name] = _free_port(taken)
            self._write(content)
            return content["ports"][name]

    def institutions(self) -> tuple[str, ...]:
        """Return the institutions that were provisioned, in order of id."""
        return tuple(self._read()["institutions"])

    def add_institutions(self, ids: Iterable[str]) -> None:
        """Remember these institutions too."""
        with self._guard:
            content = self._read()
            content["institutions"] = sorted({*content["institutions"], *ids})
            self._write(content)

    def done(self, work: str) -> str | None:
        """Return the fingerprint of what a piece of work was last done for."""
        return self._read()["done"].get(work)

    def mark_done(self, fingerprints: Mapping[str, str]) -> None:
        """Remember for which fingerprints these pieces of work were done."""
        if not fingerprints:
            return
        with self._guard:
            content = self._read()
            content["done"].update(fingerprints)
            self._write(content)

    def _read(self) -> _Content:
        if not self.path.exists():
            return {"ports": {}, "institutions": [], "done": {}}
        try:
            content: _Content = json.loads(self.path.read_text())
        except ValueError as error:
            raise DevstackError(
                f"{self.path} is not readable as JSON: delete it, then run this again; new ports "
                "are chosen and data stays"
            ) from error
        return content

    def _write(self, content: _Content) -> None:
        write_whole(self.path, json.dumps(content, indent=1, sort_keys=True))


def is_free(port: int) -> bool:
    """Return whether nobody listens on this port of the loopback interface."""
    with socket.socket() as probe:
        # Without this a port counts as taken for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_port(taken: set[int]) -> int:
    for _ in range(_TRIES):
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        if port not in taken and is_free(port):
            return port

    raise DevstackError(
        f"no free port was found between {_FIRST_PORT} and {_LAST_PORT} on {LOOPBACK}: "
        "end what listens there, then run this again"
    )
