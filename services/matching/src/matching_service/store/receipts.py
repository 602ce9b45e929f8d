"""What each response of a center was answered with."""

from dataclasses import dataclass

from oncomentor_contracts.receipt import ReceiptRejected
from servicekit.tx import Tx


@dataclass(frozen=True, slots=True)
class Answered:
    """A receipt that was given; `rejection` is None where the response was taken."""

    rejection: ReceiptRejected | None


async def insert_receipt(
    tx: Tx, event_id: str, institution_id: str, rejection: ReceiptRejected | None
) -> None:
    """Remember how a response was answered; the first answer stays."""
    await tx.conn.execute(
        """
        INSERT INTO receipts (event_id, institution_id, rejection, answered_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
        """,
        event_id,
        institution_id,
        None if rejection is None else rejection.model_dump_json(),
        tx.now,
    )


async def get_receipt(tx: Tx, event_id: str, institution_id: str) -> Answered | None:
    """Return how a center's response was answered; None where it never was."""
    row = await tx.conn.fetchrow(
        "SELECT rejection FROM receipts WHERE event_id = $1 AND institution_id = $2",
        event_id,
        institution_id,
    )
    if row is None:
        return None
    text = row["rejection"]
    return Answered(None if text is None else ReceiptRejected.model_validate_json(text))
