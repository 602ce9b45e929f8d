"""What the sending half was asked to send, and how often it tried."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from servicekit.tx import Tx


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to send; `intent` is the JSON of the event that asked for it."""

    delivery_id: UUID
    intent: str
    intended_at: datetime
    state: str
    attempts: int

    @property
    def is_settled(self) -> bool:
        """Whether it was sent, or will not be."""
        return self.state in {"sent", "failed"}


async def insert_mail(tx: Tx, delivery_id: UUID, intent: str, intended_at: datetime) -> bool:
    """Write what is to be sent; return False where it was asked for before."""
    status = await tx.conn.execute(
        """
        INSERT INTO mails (delivery_id, intent, intended_at) VALUES ($1, $2::text::jsonb, $3)
        ON CONFLICT (delivery_id) DO NOTHING
        """,
        delivery_id,
        intent,
        intended_at,
    )
    return status == "INSERT 0 1"


async def lock_mail(tx: Tx, delivery_id: UUID) -> Mail | None:
    """Return a mail, locked until `tx` ends; None where nobody asked for it."""
    row = await tx.conn.fetchrow(
        """
        SELECT delivery_id, intent::text AS intent, intended_at, state, attempts
          FROM mails
         WHERE delivery_id = $1
           FOR UPDATE
        """,
        delivery_id,
    )
    return Mail(**dict(row)) if row else None


async def update_attempted(tx: Tx, delivery_id: UUID) -> None:
    """Count an attempt that is about to be made."""
    await tx.conn.execute(
        """
        UPDATE mails
           SET state = 'sending', attempts = attempts + 1, attempted_at = $2
         WHERE delivery_id = $1
        """,
        delivery_id,
        tx.now,
    )


async def update_state(tx: Tx, delivery_id: UUID, state: str) -> None:
    """Write where a mail stands."""
    await tx.conn.execute("UPDATE mails SET state = $2 WHERE delivery_id = $1", delivery_id, state)
