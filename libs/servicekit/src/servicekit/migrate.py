"""Plain SQL migrations: forward only, in one order, each applied once, checked against edits.

Files are named `<nnnn>_<what>.sql`; the kernel's own come before the service's. Names that start
`<nnnn>_pre_` may run before the code that needs them is deployed, `<nnnn>_post_` only after.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from servicekit.errors import StartupError

if TYPE_CHECKING:
    from servicekit.tx import Connection

KERNEL = Path(__file__).parent / "migrations"
_NAME = re.compile(r"^\d{4}_[a-z0-9_]+\.sql$")
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


def read(service_folder: Path) -> list[Migration]:
    """Return the kernel's and then the service's migrations, in the order they apply.

    Raises:
        StartupError: a file is not named by the rule.
    """
    found = []
    for owner, folder in (("kernel", KERNEL), ("service", service_folder)):
        for path in sorted(folder.glob("*.sql")):
            if not _NAME.match(path.name):
                raise StartupError(f"migration {path.name} must be named <nnnn>_<what>.sql")
            found.append(Migration(f"{owner}/{path.name}", path.read_text()))
    return found


async def apply(conn: "Connection", migrations: Sequence[Migration]) -> list[str]:
    """Apply what the database lacks, each in its own transaction; return the names applied.

    Raises:
        StartupError: an applied file was edited since, or the database knows newer ones.
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
        missing = await pending(conn, migrations)
        for migration in missing:
            async with conn.transaction():
                await conn.execute(migration.sql)
                await conn.execute(
                    "INSERT INTO public.migrations (name, checksum) VALUES ($1, $2)",
                    migration.name,
                    migration.checksum,
                )
        return [migration.name for migration in missing]
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def pending(conn: "Connection", migrations: Sequence[Migration]) -> list[Migration]:
    """Return the migrations the database lacks.

    Raises:
        StartupError: an applied file was edited since, or the database knows newer ones.
    """
    rows = await conn.fetch("SELECT name, checksum FROM public.migrations")
    applied = {row["name"]: row["checksum"] for row in rows}
    known = {migration.name: migration for migration in migrations}
    if newer := sorted(set(applied) - set(known)):
        raise StartupError(
            f"the database has migration {newer[-1]} that this code does not know: "
            "deploy the newer code, migrations go forward only"
        )
    for name, checksum in applied.items():
        if known[name].checksum != checksum:
            raise StartupError(
                f"migration {name} was edited after it was applied: "
                "restore the file and write the change as a new migration"
            )
    return [migration for migration in migrations if migration.name not in applied]
