"""Plain SQL migrations: forward only, in one order, each applied once, checked against edits.

Files are named `<nnnn>_<what>.sql`; the kernel's own come before the service's. The word after the
number says when a file may run while the service does (docs/adr/0013):

- `<nnnn>_pre_<what>.sql` adds what new code needs and old code does not mind: before the new code.
- `<nnnn>_post_<what>.sql` takes away what only old code needs: after the last of it has ended.
- any other: with the service stopped, or on a new database.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import asyncpg

from servicekit.errors import StartupError

if TYPE_CHECKING:
    from servicekit.tx import Connection

Phase = Literal["all", "pre", "post"]
KERNEL = Path(__file__).parents[1] / "migrations"
_NAME = re.compile(r"(?:kernel/|service/)?\d{4}_(?:(pre|post)_)?[a-z0-9_]+\.sql")
_LOCK = 0x0CC0_0001  # advisory lock: two deployments migrate one after the other


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; `name` is unique across the kernel's and the service's."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def phase(self) -> Phase:
        """When it may run: see the module."""
        return _phase(self.name)


def read(service_folder: Path) -> list[Migration]:
    """Return the kernel's and then the service's migrations, in the order they apply.

    Raises:
        StartupError: a file is not named by the rule.
    """
    found = []
    for owner, folder in (("kernel", KERNEL), ("service", service_folder)):
        for path in sorted(folder.glob("*.sql")):
            if not _NAME.fullmatch(path.name):
                raise StartupError(f"migration {path.name} must be named <nnnn>_<what>.sql")
            found.append(Migration(f"{owner}/{path.name}", path.read_text()))
    return found


async def apply(
    conn: "Connection",
    migrations: Sequence[Migration],
    *,
    phase: Phase = "all",
    service: str | None = None,
) -> list[str]:
    """Apply what the database lacks, each in its own transaction; return the names applied.

    With `service` the database is marked as that service's from now on.

    Raises:
        StartupError: nothing more was applied: an applied file was edited since, the database
            knows newer ones or is another service's, the phase is not due, or a file failed.
    """
    await conn.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        await conn.execute(
            """
            CREATE TABLE IF NOT EXISTS public.migrations (
                name text PRIMARY KEY,
                checksum text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )
        await conn.execute("GRANT SELECT ON public.migrations TO oncomentor_worker, oncomentor_api")
        await conn.execute("SET lock_timeout = '10s'")  # rather fail than queue up a busy table
        if service is not None:
            await require_owner(conn, service)
        missing = due(await pending(conn, migrations), phase)
        for migration in missing:
            await _apply(conn, migration)
        if service is not None:
            await _mark(conn, service)
        return [migration.name for migration in missing]
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def _apply(conn: "Connection", migration: Migration) -> None:
    try:
        async with conn.transaction():
            await conn.execute(migration.sql)
            await conn.execute(
                "INSERT INTO public.migrations (name, checksum) VALUES ($1, $2)",
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        raise StartupError(
            f"migration {migration.name} failed and left nothing behind "
            f"({type(error).__name__}: {error.args[0]}): mend the cause and run --migrate again"
        ) from error


def due(missing: Sequence[Migration], phase: Phase) -> list[Migration]:
    """Return which of the missing migrations, in their order, this phase applies.

    Kernel and service are two orders: a service's file may need what the kernel has before it, but
    never what a `post_` of the kernel does, which only takes away.

    Raises:
        StartupError: another phase comes first.
    """
    if phase == "all":
        return list(missing)

    for migration in missing:
        if migration.phase == "all":
            raise StartupError(
                f"migration {migration.name} needs the service stopped: stop it and run --migrate"
            )
    wanted = [migration for migration in missing if migration.phase == phase]
    if phase == "post":
        if early := [migration for migration in missing if migration.phase == "pre"]:
            raise StartupError(
                f"migration {early[0].name} comes before the new code: run --migrate=pre, deploy "
                "the code everywhere, then run --migrate=post"
            )
        return wanted

    for owner in ("kernel/", "service/"):
        phases = [m.phase for m in missing if m.name.startswith(owner)]
        if phases != sorted(phases, reverse=True):  # "pre" sorts behind "post"
            raise StartupError(
                "a post_ migration of an earlier release has not been applied: run that release's "
                "--migrate=post first"
            )
    return wanted


async def pending(conn: "Connection", migrations: Sequence[Migration]) -> list[Migration]:
    """Return the migrations the database lacks.

    Newer ones in the database are fine as long as they are all `pre_`: that is a rolling upgrade.

    Raises:
        StartupError: an applied file was edited since, or the database went on without this code.
    """
    rows = await conn.fetch("SELECT name, checksum FROM public.migrations")
    applied = {row["name"]: row["checksum"] for row in rows}
    known = {migration.name: migration for migration in migrations}
    if newer := sorted(name for name in set(applied) - set(known) if _phase(name) != "pre"):
        raise StartupError(
            f"the database has migration {newer[-1]} that this code does not know: "
            "deploy the newer code, migrations go forward only"
        )
    for name, checksum in applied.items():
        if name in known and known[name].checksum != checksum:
            raise StartupError(
                f"migration {name} was edited after it was applied: "
                "restore the file and write the change as a new migration"
            )
    return [migration for migration in migrations if migration.name not in applied]


async def require_owner(conn: "Connection", service: str) -> None:
    """Refuse a database that another service has marked as its own.

    Raises:
        StartupError: it is not this service's.
    """
    if await conn.fetchval("SELECT to_regclass('kit.service')") is None:
        return
    owner = await conn.fetchval("SELECT name FROM kit.service")
    if owner not in {None, service}:
        raise StartupError(
            f"the database belongs to the service {owner}, not to {service}: "
            "mend ONCOMENTOR_DATABASE_NAME (or _HOST, _PORT)"
        )


async def _mark(conn: "Connection", service: str) -> None:
    if await conn.fetchval("SELECT to_regclass('kit.service')") is not None:
        await conn.execute(
            "INSERT INTO kit.service (name) VALUES ($1) ON CONFLICT DO NOTHING", service
        )


def _phase(name: str) -> Phase:
    match = _NAME.fullmatch(name)
    word = match[1] if match else None
    return "pre" if word == "pre" else "post" if word == "post" else "all"
