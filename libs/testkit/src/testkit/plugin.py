"""Fixtures that every service's tests share (`pytest_plugins = ["testkit.plugin"]` at the root).

A service's `tests/conftest.py` defines the session fixture `migrations`: its folder of SQL.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from devstack.stack import Stack
from servicekit.tx import Database, Tx
from testkit.containers import stores
from testkit.postgres import Templates, templates

if TYPE_CHECKING:
    from servicekit.tx import Pool

__all__ = ["NOW", "api_database", "database", "database_name", "stack", "templates", "tx"]

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""The instant of `tx`: a Monday morning."""


@pytest.fixture
async def database_name(templates: Templates, migrations: Path) -> AsyncIterator[str]:
    """A fresh database of the service, dropped afterwards."""
    name = await templates.copy(migrations)
    yield name
    await templates.drop(name)


@pytest.fixture
async def tx(templates: Templates, migrations: Path) -> AsyncIterator[Tx]:
    """A worker's transaction at NOW in a database that these tests share, rolled back afterwards."""
    conn = await asyncpg.connect(templates.dsn(await templates.shared(migrations)))
    transaction = conn.transaction()
    await transaction.start()
    yield Tx(conn, NOW)
    await transaction.rollback()
    await conn.close()


@pytest.fixture
async def database(templates: Templates, database_name: str) -> AsyncIterator[Database]:
    """The worker role's connections, for tests that commit or race."""
    async for made in _database(templates.dsn(database_name)):
        yield made


@pytest.fixture
async def api_database(templates: Templates, database_name: str) -> AsyncIterator[Database]:
    """The HTTP edge's connections: row-level security applies."""
    async for made in _database(templates.dsn(database_name, "test_api")):
        yield made


async def _database(dsn: str) -> AsyncIterator[Database]:
    pool: Pool = await asyncpg.create_pool(dsn, min_size=0, max_size=30)
    yield Database(pool, source="/services/test", committed=lambda: None)
    await pool.close()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A real Kafka, PostgreSQL, identity provider and mail catcher for the run; no services."""
    with running_stack(services=()) as made:
        yield made


@contextmanager
def running_stack(
    services: tuple[str, ...] | None = None,
    environment: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Stack]:
    """Yield a stack of its own, ended and deleted afterwards, however far it came.

    `environment` is more of it, by name of the service.

    Its folder is not pytest's: every run of pytest closes the folder above all runs' folders to
    other users, and as root PostgreSQL is one.
    """
    with (
        tempfile.TemporaryDirectory(prefix="om-stack-", ignore_cleanup_errors=True) as name,
        stores(Path(name) / "home") as runner,
    ):
        made = Stack(home=Path(name) / "home", environment=environment, runner=runner)
        try:
            made.up(services=services)
            yield made
        finally:
            made.down()
