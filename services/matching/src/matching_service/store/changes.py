"""Who has changed since a pool in memory was last brought up to date."""

from datetime import timedelta
from uuid import UUID

from servicekit.tx import Tx

_REMEMBERED = timedelta(days=2)
"""A pool lives a day at most."""


async def list_changed(tx: Tx, since: int | None) -> tuple[list[UUID], int]:
    """Return who has changed since a look, and what the next look is to be since.

    The next look counts from the oldest transaction that is open now: what it will have changed
    when it commits is found then, what was committed meanwhile is found twice. (PostgreSQL
    manual, "System Information Functions": pg_snapshot_xmin.) Without `since` nobody is looked
    for: read everybody after this.
    """
    (row,) = await tx.conn.fetch(
        """
        SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS now,
               ARRAY(SELECT DISTINCT person_id FROM pool_changes
                      WHERE changed_in >= $1::text::xid8) AS changed
        """,
        None if since is None else str(since),
    )
    return row["changed"], int(row["now"])


async def forget(tx: Tx) -> None:
    """Take away old lines, by the clock of the database that wrote them: no pool is older."""
    await tx.conn.execute(
        "DELETE FROM pool_changes WHERE changed_at < now() - $1::interval", _REMEMBERED
    )
