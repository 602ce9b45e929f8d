"""What benchmarks run in: a real stack, a service's database, topics to fill, clocks to read."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import murmur2
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it forgets to say what it exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from devstack.kafka_admin import client_config
from devstack.stack import Stack
from oncomentor_contracts.envelope import Header
from servicekit import kafka
from servicekit.process import migrate
from servicekit.settings import Settings

if TYPE_CHECKING:
    from servicekit.tx import Connection

PARTITIONS = 4
_TICK_SECONDS = 0.02
_PATIENCE_SECONDS = 300.0
_REQUEST_SECONDS = 20.0
_BATCH_BYTES = 256 * 1024
Message = tuple[bytes, bytes | None, Sequence[Header]]
"""Key, value, headers."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How a backlog went down: events between the first progress that was seen and the end."""

    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


class Surroundings:
    """A running stack and what every benchmark needs of it."""

    def __init__(self, stack: Stack) -> None:
        """Nothing is connected or migrated yet."""
        self.stack = stack
        self.resident = 0
        """Bytes that the process measured last held in memory at its end."""
        self._migrated: set[str] = set()
        self._migrations = Path(tempfile.mkdtemp(prefix="om-bench-"))

    def settings(self, name: str) -> Settings:
        """Return the settings of a real service."""
        environment = self.stack.service_environment(name, owner=True)
        return Settings.model_validate(
            {key.removeprefix("ONCOMENTOR_").lower(): value for key, value in environment.items()}
        )

    def login(self, user: str) -> dict[str, Any]:
        """Return a Kafka client's arguments as this user."""
        login = self.stack.kafka_login(user)
        return kafka.client_arguments(self.settings("scheduling")) | {
            "sasl_plain_username": login["username"],
            "sasl_plain_password": login["password"],
        }

    async def connect(self, database: str) -> "Connection":
        """Return a superuser's connection."""
        return await asyncpg.connect(self.stack.superuser_dsn(database))

    async def migrate(self, name: str, tables: str) -> None:
        """Give a service's own database the kernel's tables and these besides, once."""
        if name in self._migrated:
            return
        (self._migrations / "0001_bench.sql").write_text(tables)
        settings = self.settings(name)
        assert settings.database_owner_user is not None
        assert settings.database_owner_password_file is not None
        owner = await asyncpg.connect(
            settings.dsn(settings.database_owner_user, settings.database_owner_password_file)
        )
        await migrate.apply(owner, migrate.read(self._migrations))
        await owner.close()
        self._migrated.add(name)

    @asynccontextmanager
    async def process(
        self, script: Path, name: str, *arguments: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a script of this folder in a process of its own, with a service's settings.

        Raises:
            RuntimeError: it ended by itself.
        """
        environment = os.environ | self.stack.service_environment(name)
        running = await asyncio.create_subprocess_exec(
            sys.executable, str(script), *arguments, env=environment, stdout=subprocess.DEVNULL
        )
        try:
            yield running
            if running.returncode is not None:
                raise RuntimeError(f"{script.name} {' '.join(arguments)} ended by itself")
        finally:
            with suppress(ProcessLookupError):
                running.terminate()
            await running.wait()

    async def ready(self, name: str) -> None:
        """Wait until a service says that it is ready.

        Raises:
            TimeoutError: it is not within a minute.
        """
        async with (
            asyncio.timeout(60),
            httpx.AsyncClient(base_url=f"http://{self.stack.address(name)}") as http,
        ):
            while True:
                with suppress(httpx.HTTPError):
                    if (await http.get("/health/ready")).is_success:
                        return
                await asyncio.sleep(0.2)

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        """Return where each partition of a topic ends."""
        async with AIOKafkaConsumer(**self.login("admin")) as consumer:
            partitions = [TopicPartition(topic, nth) for nth in range(PARTITIONS)]
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
            return ends

    async def fill(self, topic: str, messages: Sequence[Message]) -> None:
        """Append messages, each to the partition of its key, as fast as a producer can.

        The topic is compacted no more: half the offsets that one measurement counts would be
        holes by the time of the next.
        """
        await asyncio.to_thread(self._keep_all, topic)
        async with AIOKafkaProducer(
            **self.login("admin"), acks="all", enable_idempotence=True, max_batch_size=_BATCH_BYTES
        ) as producer:
            for partition, own in enumerate(by_partition(messages)):
                batch = producer.create_batch()
                for key, value, headers in own:
                    if batch.append(key=key, value=value, headers=headers, timestamp=None) is None:
                        await producer.send_batch(batch, topic, partition=partition)
                        batch = producer.create_batch()
                        batch.append(key=key, value=value, headers=headers, timestamp=None)
                await (await producer.send_batch(batch, topic, partition=partition))

    def _keep_all(self, topic: str) -> None:
        login = self.stack.kafka_login("admin")
        admin = AdminClient(client_config(login["bootstrap"], login["username"], login["password"]))
        policy = ConfigEntry(
            "cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET
        )
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[policy])
        (done,) = admin.incremental_alter_configs([resource]).values()
        done.result(_REQUEST_SECONDS)


def resident_bytes(pid: int) -> int:
    """Return what a process holds in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def by_partition(messages: Sequence[Message]) -> list[list[Message]]:
    """Return the messages of each partition, as the default partitioner spreads their keys."""
    spread: list[list[Message]] = [[] for _ in range(PARTITIONS)]
    for message in messages:
        spread[(murmur2(message[0]) & 0x7FFFFFFF) % PARTITIONS].append(message)
    return spread


async def drained(done: Callable[[], Awaitable[int]], total: int, *, skip: int = 0) -> Drain:
    """Watch a count of finished events from above `skip` until it reaches `total`.

    Raises:
        TimeoutError: it did not in five minutes.
    """
    first: tuple[float, int] | None = None
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            count, now = await done(), time.perf_counter()
            if count >= total:
                break
            if first is None and count > skip:
                first = now, count
            await asyncio.sleep(_TICK_SECONDS)
    assert first is not None, "too few events to measure"
    return Drain(count - first[1], now - first[0])


def offsets_since(
    conn: "Connection", table: str, topic: str, before: int
) -> Callable[[], Awaitable[int]]:
    """Return a function that counts what an offsets table has passed beyond a sum of offsets."""

    async def passed() -> int:
        at: int = await conn.fetchval(
            f"SELECT coalesce(sum(next_offset), 0)::bigint FROM {table} WHERE topic = $1",  # noqa: S608 - one of two names
            topic,
        )
        return at - before

    return passed
