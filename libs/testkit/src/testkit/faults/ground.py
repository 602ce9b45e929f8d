"""Where cycles run: a stack with a proxy before each store, the test services, two centers."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from aiokafka.structs import ConsumerRecord

from devstack.stack import Stack
from devstack.state import LOOPBACK
from oncomentor_client.credentials import Credentials
from testkit.faults.processes import TestProcess, migrate
from testkit.faults.sink import Sink
from testkit.faults.state import Access
from testkit.faults.tail import Tail
from testkit.proxy import Proxy

_TO_BEGIN = 150.0  # seconds until all are ready: seven at once take a minute on two busy cores

SERVICES = ("profile", "matching", "scheduling", "notification")
REPLICAS: Mapping[str, int] = {"profile": 1, "matching": 2, "scheduling": 2, "notification": 1}
CENTERS = ("faults-one", "faults-two")


@dataclass
class Ground:
    """Everything a cycle works with."""

    stack: Stack
    folder: Path
    """Logs of services and histories of cycles."""
    kafka: Proxy
    postgres: Proxy
    sink: Sink
    tail: Tail
    access: Access
    processes: dict[str, TestProcess] = field(default_factory=dict)
    centers: tuple[Credentials, ...] = ()
    disks: Mapping[str, Path] = field(default_factory=dict)
    """Small disks by the part that has all it has there."""
    earlier: list[ConsumerRecord] = field(default_factory=list)
    """Records of the cycle before, for repeating them."""

    def replicas(self, service: str) -> list[TestProcess]:
        """Return the processes of a service."""
        return [one for one in self.processes.values() if one.service == service]

    @property
    def services(self) -> list[str]:
        """The services that run here, in the order of the flow."""
        return [name for name in SERVICES if self.replicas(name)]

    async def start(self, replicas: Mapping[str, int], more: Mapping[str, str]) -> None:
        """Start so many processes of each service, with these settings besides, until ready."""
        self.processes = {}
        for service, count in replicas.items():
            environment = self._environment(service)
            for letter in "abc"[:count]:
                made = TestProcess(service, f"{service}-{letter}", environment, self.folder)
                port = await asyncio.to_thread(self._port, made.name)
                made.environment = {**environment, "ONCOMENTOR_HTTP_PORT": str(port)}
                made.usual = dict(more)
                made.starts = next(_starts)
                self.processes[made.name] = made
        await asyncio.gather(*(one.start() for one in self.processes.values()))
        await asyncio.gather(*(one.ready(_TO_BEGIN) for one in self.processes.values()))

    async def stop(self) -> None:
        """End all test services."""
        await asyncio.gather(*(one.kill() for one in self.processes.values()))

    async def heal(self) -> None:
        """Let nothing of what was broken reach later cycles; the services must be down.

        What is in Kafka counts as heard, what is not in Kafka is not said.
        """
        ends = await self.tail.ends()
        for service in SERVICES:
            async with self.access.to(service) as conn:
                await conn.execute(
                    "DELETE FROM kit.outbox; DELETE FROM kit.outbox_held; DELETE FROM kit.timers"
                )
                for table in ("consumer_offsets", "relay_positions"):
                    await conn.executemany(
                        f"UPDATE kit.{table} SET next_offset = $3"  # noqa: S608 - one of two names
                        " WHERE topic = $1 AND partition = $2",
                        [(tp.topic, tp.partition, end) for tp, end in ends.items()],
                    )

    def _port(self, name: str) -> int:
        # The stack's own memory of ports: one that stays, and that nobody else takes by chance.
        return self.stack._state.port(f"faults-{name}")  # noqa: SLF001

    def _environment(self, service: str) -> dict[str, str]:
        return {
            **self.stack.service_environment(service),
            "ONCOMENTOR_KAFKA_BOOTSTRAP": f"{LOOPBACK}:{self.kafka.port}",
            "ONCOMENTOR_DATABASE_PORT": str(self.postgres.port),
            "FAULTS_SINK": self.sink.url,
        }


_starts = itertools.count(0, 1000)  # so that the notes of one test's processes are not another's


Disks = Callable[[Path], AbstractContextManager[Mapping[str, Path]]]


@contextmanager
def no_disks(home: Path) -> Iterator[Mapping[str, Path]]:
    """Leave stores on the disk that is there."""
    yield {}


@asynccontextmanager
async def ground(folder: Path, disks: Disks = no_disks) -> AsyncIterator[Ground]:
    """Yield a stack of its own with migrated databases and two centers; no service runs yet.

    `disks` is given the stack's home before it starts, and may put file systems there.
    """
    with tempfile.TemporaryDirectory(prefix="om-faults-", ignore_cleanup_errors=True) as name:
        sink = Sink()
        await sink.start()
        addresses: dict[str, tuple[str, int]] = {}
        kafka, postgres = (Proxy(partial(addresses.__getitem__, part)) for part in _BEHIND)
        await kafka.start()
        await postgres.start()
        stack = Stack(home=Path(name) / "home", kafka_behind=kafka.port)
        made = Ground(stack, folder, kafka, postgres, sink, Tail(stack), Access(stack))
        mounts = ExitStack()
        try:
            made.disks = mounts.enter_context(disks(stack.home.root))
            await asyncio.to_thread(stack.up, services=())
            for part in _BEHIND:
                host, _, port = stack.address(part).partition(":")
                addresses[part] = host, int(port)
            centers = await asyncio.to_thread(stack.provision, CENTERS)
            made.centers = tuple(Credentials.load(one.path) for one in centers)
            environments = {s: stack.service_environment(s, owner=True) for s in SERVICES}
            await asyncio.gather(*(migrate(s, e, folder) for s, e in environments.items()))
            yield made
        finally:
            await made.stop()
            made.access.close()
            await made.tail.close()
            for end in (kafka, postgres, sink):
                await end.stop()
            await asyncio.to_thread(stack.down)
            mounts.close()


_BEHIND = ("kafka-behind", "postgres")
