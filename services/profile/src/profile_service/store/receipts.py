"""What centers were answered: SQL."""

import json
from dataclasses import dataclass
from datetime import datetime

from oncomentor_contracts.receipt import Problem
from servicekit.tx import Tx


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a center was answered: outcome `applied` or `rejected`."""

    institution_id: str
    receipt_for: str
    event_type: str | None
    about: str | None
    outcome: str
    problems: tuple[Problem, ...]
    at: datetime


async def upsert_receipt(tx: Tx, receipt: Receipt) -> None:
    """Keep an answer. One that says `applied` stands whatever comes later under the same id."""
    await tx.conn.execute(
        """
        INSERT INTO receipts AS r (institution_id, receipt_for, event_type, about, outcome,
                                   problems, answered_at)
        VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7)
        ON CONFLICT (institution_id, receipt_for) DO UPDATE
           SET event_type = excluded.event_type, about = excluded.about,
               outcome = excluded.outcome, problems = excluded.problems,
               answered_at = excluded.answered_at
         WHERE r.outcome <> 'applied'
        """,
        receipt.institution_id,
        receipt.receipt_for,
        receipt.event_type,
        receipt.about,
        receipt.outcome,
        json.dumps([problem.model_dump(mode="json") for problem in receipt.problems]),
        receipt.at,
    )


async def get_receipt(tx: Tx, institution_id: str, receipt_for: str) -> Receipt | None:
    """Return what a center was answered, None where it was not (yet)."""
    row = await tx.conn.fetchrow(
        """
        SELECT event_type, about, outcome, problems, answered_at FROM receipts
         WHERE institution_id = $1 AND receipt_for = $2
        """,
        institution_id,
        receipt_for,
    )
    if row is None:
        return None
    return Receipt(
        institution_id,
        receipt_for,
        row["event_type"],
        row["about"],
        row["outcome"],
        tuple(Problem.model_validate(problem) for problem in json.loads(row["problems"])),
        row["answered_at"],
    )
