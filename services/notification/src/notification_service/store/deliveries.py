"""What was decided, and what came of it: the deciding half's own rows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from oncomentor_contracts.notification import DeliveryIntended
from servicekit.tx import Tx


@dataclass(frozen=True, slots=True)
class Delivery:
    """One decided message."""

    delivery_id: UUID
    person_id: UUID
    institution_id: str
    match_id: UUID
    session_id: UUID | None
    template: str
    channel: str
    decided_at: datetime
    state: str = "intended"
    reason: str | None = None
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Which deliveries to list, and how many after which one; None asks for any."""

    match_id: UUID | None = None
    person_id: UUID | None = None
    state: str | None = None
    after: UUID | None = None
    limit: int = 100


def of_intent(intent: DeliveryIntended, decided_at: datetime) -> Delivery:
    """Return the row of a decision."""
    return Delivery(
        delivery_id=intent.delivery_id,
        person_id=intent.person_id,
        institution_id=intent.institution_id,
        match_id=intent.match_id,
        session_id=intent.invitation.session_id if intent.invitation else None,
        template=intent.template.value,
        channel=intent.channel.value,
        decided_at=decided_at,
    )


async def insert_delivery(tx: Tx, delivery: Delivery) -> None:
    """Write a decision; one that is already written stays as it is."""
    await tx.conn.execute(
        """
        INSERT INTO deliveries
               (delivery_id, person_id, institution_id, match_id, session_id, template, channel,
                decided_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (delivery_id) DO NOTHING
        """,
        delivery.delivery_id,
        delivery.person_id,
        delivery.institution_id,
        delivery.match_id,
        delivery.session_id,
        delivery.template,
        delivery.channel,
        delivery.decided_at,
    )


async def list_decided(tx: Tx, delivery_ids: Collection[UUID]) -> frozenset[UUID]:
    """Return those of these ids that were decided before."""
    rows = await tx.conn.fetch(
        "SELECT delivery_id FROM deliveries WHERE delivery_id = ANY($1::uuid[])",
        list(delivery_ids),
    )
    return frozenset(row["delivery_id"] for row in rows)


async def update_settled(
    tx: Tx, delivery_id: UUID, settled_at: datetime, *, reason: str | None
) -> None:
    """Write what came of a delivery: sent, or failed for a reason."""
    await tx.conn.execute(
        """
        UPDATE deliveries
           SET state = CASE WHEN $3::text IS NULL THEN 'sent' ELSE 'failed' END,
               settled_at = $2, reason = $3
         WHERE delivery_id = $1
        """,
        delivery_id,
        settled_at,
        reason,
    )


async def list_deliveries(tx: Tx, page: Page) -> Sequence[Delivery]:
    """Return deliveries that row-level security shows, newest first."""
    rows = await tx.conn.fetch(
        """
        SELECT delivery_id, person_id, institution_id, match_id, session_id, template, channel,
               decided_at, state, reason, settled_at
          FROM deliveries
         WHERE ($1::uuid IS NULL OR match_id = $1)
           AND ($2::uuid IS NULL OR person_id = $2)
           AND ($3::text IS NULL OR state = $3)
           AND ($4::uuid IS NULL OR (decided_at, delivery_id) < (
                   SELECT last.decided_at, last.delivery_id
                     FROM deliveries AS last
                    WHERE last.delivery_id = $4))
         ORDER BY decided_at DESC, delivery_id DESC
         LIMIT $5
        """,
        page.match_id,
        page.person_id,
        page.state,
        page.after,
        page.limit,
    )
    return [Delivery(**dict(row)) for row in rows]
