"""Matches as they stand."""

from typing import TYPE_CHECKING
from uuid import UUID

from matching_service.domain.match import Match, Party, Side, State
from servicekit.tx import Tx

if TYPE_CHECKING:
    import asyncpg


async def get_pair_ids(tx: Tx, match_id: UUID) -> tuple[str, UUID, UUID] | None:
    """Return (programme, mentor, mentee) of a match, which never change, without a lock."""
    row = await tx.conn.fetchrow(
        "SELECT programme_id, mentor_id, mentee_id FROM matches WHERE match_id = $1", match_id
    )
    return (row["programme_id"], row["mentor_id"], row["mentee_id"]) if row else None


async def lock_match(tx: Tx, match_id: UUID) -> Match | None:
    """Return a match, locked until `tx` ends; None where there is none.

    Whoever decides about seats holds the places of both people before.
    """
    row = await tx.conn.fetchrow("SELECT * FROM matches WHERE match_id = $1 FOR UPDATE", match_id)
    return None if row is None else _match(row)


async def lock_open_matches(tx: Tx, person_id: UUID) -> list[Match]:
    """Return a person's open matches in id order, locked until `tx` ends."""
    rows = await tx.conn.fetch(
        """
        SELECT * FROM matches
         WHERE (mentor_id = $1 OR mentee_id = $1)
           AND state IN ('proposed', 'offered_to_mentor', 'offered_to_mentee')
         ORDER BY match_id
           FOR UPDATE
        """,
        person_id,
    )
    return [_match(row) for row in rows]


async def lock_newest_holds(tx: Tx, programme_id: str, mentor_id: UUID, limit: int) -> list[Match]:
    """Return a mentor's held offers, the newest first, locked until `tx` ends."""
    rows = await tx.conn.fetch(
        """
        SELECT * FROM matches
         WHERE programme_id = $1 AND mentor_id = $2 AND barred_at IS NULL
           AND state IN ('offered_to_mentor', 'offered_to_mentee')
         ORDER BY held_at DESC, match_id
         LIMIT $3
           FOR UPDATE
        """,
        programme_id,
        mentor_id,
        limit,
    )
    return [_match(row) for row in rows]


async def list_mentors_with_open_matches(
    tx: Tx, *, institution_id: str | None = None, programme_id: str | None = None
) -> list[UUID]:
    """Return the mentors of the open matches of an institution, or of a programme."""
    rows = await tx.conn.fetch(
        """
        SELECT DISTINCT mentor_id FROM matches
         WHERE state IN ('proposed', 'offered_to_mentor', 'offered_to_mentee')
           AND ($1::text IS NULL OR $1 IN (mentor_institution_id, mentee_institution_id))
           AND ($2::text IS NULL OR programme_id = $2)
         ORDER BY mentor_id
        """,
        institution_id,
        programme_id,
    )
    return [row["mentor_id"] for row in rows]


def _match(row: "asyncpg.Record") -> Match:
    declined_by = row["declined_by"]
    return Match(
        match_id=row["match_id"],
        programme_id=row["programme_id"],
        mentor=_party(row, "mentor"),
        mentee=_party(row, "mentee"),
        state=State(row["state"]),
        clear_by=row["clear_by"],
        response_window=row["response_window"],
        respond_by=row["respond_by"],
        barred=row["barred_at"] is not None,
        barred_by=row["barred_by"],
        declined_by=Side(declined_by) if declined_by else None,
    )


def _party(row: "asyncpg.Record", side: str) -> Party:
    return Party(
        person_id=row[f"{side}_id"],
        institution_id=row[f"{side}_institution_id"],
        version=row[f"{side}_version"],
        clears_at=row[f"{side}_clears_at"],
        cleared=row[f"{side}_cleared"],
    )
