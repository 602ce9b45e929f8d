"""The places of people in programmes: the rows that whoever gives or takes a seat locks."""

from collections.abc import Collection
from uuid import UUID

from servicekit.tx import Tx


async def lock_places(tx: Tx, programme_id: str, person_ids: Collection[UUID]) -> None:
    """Lock these people's places in a programme until `tx` ends.

    Every transaction that decides about seats takes places first, in the order of programme,
    person and side, and rows of matches after them: so they wait for each other, never in a ring
    (PostgreSQL manual, SELECT, "The Locking Clause": ORDER BY comes before the locks).
    """
    await tx.conn.fetch(
        """
        SELECT 1 FROM places
         WHERE programme_id = $1 AND person_id = ANY($2::uuid[])
         ORDER BY programme_id, person_id, side
           FOR UPDATE
        """,
        programme_id,
        person_ids,
    )


async def lock_places_of(tx: Tx, person_id: UUID) -> None:
    """Lock all places of a person until `tx` ends, in the order that everyone takes them."""
    await tx.conn.fetch(
        """
        SELECT 1 FROM places
         WHERE person_id = $1
         ORDER BY programme_id, person_id, side
           FOR UPDATE
        """,
        person_id,
    )


async def delete_stray_places(tx: Tx, person_id: UUID) -> None:
    """Take away a person's places in programmes that they do not take part in any more."""
    await tx.conn.execute(
        """
        DELETE FROM places AS pl
         WHERE person_id = $1
           AND NOT EXISTS (
               SELECT 1 FROM roles AS r
                WHERE r.programme_id = pl.programme_id AND r.side = pl.side
                  AND r.person_id = pl.person_id)
        """,
        person_id,
    )
