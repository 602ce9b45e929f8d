"""The test services as processes of the system: started, asked, stopped, killed and frozen."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from devstack import paths
from devstack.state import LOOPBACK
from testkit.eventually import eventually
from testkit.faults.plan import Order, carried_out

_STOP_SECONDS = 15.0
_ANSWER_SECONDS = 2.0
_ORDER_SECONDS = 15.0
_MODULE = "testkit.faults.service"


@dataclass
class TestProcess:
    """One replica of one test service; it may be started again and again."""

    __test__ = False  # no test, whatever pytest makes of the name

    service: str
    name: str
    """The service and a letter, such as `matching-b`."""
    environment: Mapping[str, str]
    folder: Path
    usual: Mapping[str, str] = field(default_factory=dict)
    """Settings of every start besides those of its service, such as a mistake to make."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Settings of the next starts alone."""
    starts: int = 0
    _process: asyncio.subprocess.Process | None = None

    @property
    def port(self) -> int:
        """Where its HTTP is."""
        return int(self.environment["ONCOMENTOR_HTTP_PORT"])

    @property
    def url(self) -> str:
        """The base address of its HTTP."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """What it prints, of all starts."""
        return self.folder / f"{self.name}.log"

    @property
    def runs(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None and self._process.returncode is None

    @property
    def notes(self) -> list[tuple[str, str]]:
        """Place and action of each order carried out by the present start."""
        return carried_out(self._notes)

    @property
    def _notes(self) -> Path:
        return self.folder / f"{self.name}.{self.starts}.notes"

    async def start(self) -> None:
        """Begin it; it need not be ready when this returns."""
        assert not self.runs
        self.starts += 1
        own = {
            "FAULTS_SERVICE": self.service,
            "FAULTS_PROCESS": f"{self.name}.{self.starts}",
            "FAULTS_NOTES": str(self._notes),
        }
        environment = {
            **paths.inherited_environment(),
            **self.environment,
            **own,
            **self.usual,
            **self.more,
        }
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", _MODULE,
                env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens where it is gone."""
        if self._process is not None and self.runs:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def ended(self, within: float) -> bool:
        """Wait until it is gone, at most so long; tell whether it is."""
        if self._process is None:
            return True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), within)
        return not self.runs

    async def kill(self) -> None:
        """End it at once and for good."""
        self.send(signal.SIGKILL)
        await self.ended(_STOP_SECONDS)

    async def stop(self) -> float:
        """End it gently, and with force after 15 seconds; return how long that took."""
        began = time.monotonic()
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        if not await self.ended(_STOP_SECONDS):
            await self.kill()
        return time.monotonic() - began

    async def arm(self, orders: Sequence[Order]) -> None:
        """Have it carry these orders out, and no earlier ones.

        Raises:
            httpx.HTTPError: it does not answer.
        """
        async with httpx.AsyncClient(timeout=_ORDER_SECONDS) as client:
            with suppress(httpx.RemoteProtocolError):  # killed by an order before it could answer
                answer = await client.put(f"{self.url}/faults", json=[asdict(o) for o in orders])
                answer.raise_for_status()

    async def reached(self) -> dict[str, int]:
        """Return how often this start has reached each failpoint; empty when it does not answer."""
        return await self._get("/faults")

    async def missing(self) -> list[str] | None:
        """Return what keeps it from its work, by its own word; None when it does not answer."""
        answer = await self._get("/health/ready")
        return answer.get("missing")

    async def ready(self, within: float = 30.0) -> None:
        """Wait until it says that it is ready."""

        async def is_ready() -> bool:
            assert self.runs, f"{self.name} ended: see {self.log}"
            return await self.missing() == []

        await eventually(is_ready, within=within, every=0.1)

    async def _get(self, path: str) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
                body: dict[str, Any] = (await client.get(f"{self.url}{path}")).json()
                return body
        except (httpx.HTTPError, ValueError):
            return {}


async def migrate(service: str, environment: Mapping[str, str], folder: Path) -> None:
    """Bring a service's database to the kernel's and the campaign's tables.

    Raises:
        AssertionError: it failed; the log is named.
    """
    log = folder / f"{service}-migrate.log"
    own = {"FAULTS_SERVICE": service, "FAULTS_NOTES": str(folder / "migrate.notes")}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, "--migrate",
            env={**paths.inherited_environment(), **environment, **own},
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    assert await process.wait() == 0, f"the migration of {service} failed: see {log}"
