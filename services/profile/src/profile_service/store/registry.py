"""Member centers and programmes: SQL."""

import json
from collections.abc import Collection
from typing import Any

from oncomentor_contracts.institution import Institution
from oncomentor_contracts.programme import Programme
from profile_service.domain import Offer
from servicekit.tx import Tx


async def lock_institution(tx: Tx, institution_id: str) -> tuple[Institution, int | None] | None:
    """Return a center and the last sequence it sent; no one else writes it until `tx` ends.

    The lock is advisory, so that it holds for a center that is not there yet, too.
    """
    await _lock(tx, f"institution/{institution_id}")
    row = await tx.conn.fetchrow(
        "SELECT document, sequence FROM institutions WHERE institution_id = $1", institution_id
    )
    if row is None:
        return None
    return Institution.model_validate_json(row["document"]), row["sequence"]


async def upsert_institution(tx: Tx, institution: Institution, sequence: int | None) -> None:
    """Write a center as it is now, with the greatest sequence it sent."""
    await tx.conn.execute(
        """
        INSERT INTO institutions AS i (institution_id, document, sequence, changed_at)
        VALUES ($1, $2::text::jsonb, $3, $4)
        ON CONFLICT (institution_id) DO UPDATE
           SET document = excluded.document, sequence = excluded.sequence,
               changed_at = excluded.changed_at
        """,
        institution.institution_id,
        institution.model_dump_json(),
        sequence,
        tx.now,
    )


async def list_institutions(tx: Tx) -> list[Institution]:
    """Return every center of the registry, by id."""
    rows = await tx.conn.fetch("SELECT document FROM institutions ORDER BY institution_id")
    return [Institution.model_validate_json(row["document"]) for row in rows]


async def list_unknown_institutions(tx: Tx, institution_ids: Collection[str]) -> list[str]:
    """Return those of the ids, sorted, that the registry does not have."""
    rows = await tx.conn.fetch(
        """
        SELECT asked.id FROM unnest($1::text[]) AS asked (id)
         WHERE NOT EXISTS (SELECT FROM institutions WHERE institution_id = asked.id)
         ORDER BY asked.id
        """,
        list(institution_ids),
    )
    return [row["id"] for row in rows]


async def lock_programme(tx: Tx, programme_id: str) -> tuple[Programme, int | None] | None:
    """Return a programme and the last sequence its owner sent; no one else writes it until `tx` ends.

    The lock is advisory, so that of two who race for a new id one comes first.
    """
    await _lock(tx, f"programme/{programme_id}")
    row = await tx.conn.fetchrow(
        "SELECT document, sequence FROM programmes WHERE programme_id = $1", programme_id
    )
    return (
        (Programme.model_validate_json(row["document"]), row["sequence"])
        if row is not None
        else None
    )


async def upsert_programme(tx: Tx, programme: Programme, sequence: int | None) -> None:
    """Write a programme as it is now, with the greatest sequence its owner sent."""
    await tx.conn.execute(
        """
        INSERT INTO programmes AS p (programme_id, document, sequence, changed_at)
        VALUES ($1, $2::text::jsonb, $3, $4)
        ON CONFLICT (programme_id) DO UPDATE
           SET document = excluded.document, sequence = excluded.sequence,
               changed_at = excluded.changed_at
        """,
        programme.programme_id,
        programme.model_dump_json(),
        sequence,
        tx.now,
    )


async def list_programmes(tx: Tx) -> list[Programme]:
    """Return every programme, by id."""
    rows = await tx.conn.fetch("SELECT document FROM programmes ORDER BY programme_id")
    return [Programme.model_validate_json(row["document"]) for row in rows]


async def get_admission(
    tx: Tx, institution_id: str, programme_ids: Collection[str]
) -> tuple[bool, dict[str, Offer]]:
    """Return whether the center is a member, and those of the programmes that exist, by id."""
    row = await tx.conn.fetchrow(
        """
        SELECT EXISTS (SELECT FROM institutions WHERE institution_id = $1) AS is_member,
               (SELECT jsonb_object_agg(programme_id, document)
                  FROM programmes WHERE programme_id = ANY($2::text[])) AS programmes
        """,
        institution_id,
        list(programme_ids),
    )
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return row["is_member"], _offers(row["programmes"])


async def list_offers(tx: Tx) -> dict[str, Offer]:
    """Return every programme, by id, as far as joining goes."""
    text = await tx.conn.fetchval("SELECT jsonb_object_agg(programme_id, document) FROM programmes")
    return _offers(text)


async def _lock(tx: Tx, what: str) -> None:
    await tx.conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", what)


def _offers(programmes: str | None) -> dict[str, Offer]:
    """Return offers by programme id, from a JSON object of programme documents."""
    documents: dict[str, dict[str, Any]] = json.loads(programmes or "{}")
    return {programme_id: _offer(document) for programme_id, document in documents.items()}


def _offer(document: dict[str, Any]) -> Offer:
    participants = document["participants"]
    return Offer(document["active"], None if participants is None else frozenset(participants))
