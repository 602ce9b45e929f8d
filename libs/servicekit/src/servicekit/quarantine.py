"""Records that were not applied: kept byte for byte, with the reason, in the slice's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oncomentor_contracts.envelope import Envelope
from servicekit.tx import Tx
from servicekit.verdict import Record


@dataclass(frozen=True, slots=True)
class Parked:
    """A record to keep, and why it was not applied."""

    record: Record
    reason_class: str
    reason: str
    envelope: Envelope | None
    state: str = "quarantined"
    """`quarantined`, or `parked` where it only follows a bad one of its subject."""


async def insert(tx: Tx, parked: Sequence[Parked]) -> None:
    """Keep these records; one that is kept already stays as it is."""
    if not parked:
        return
    await tx.conn.executemany(
        """
        INSERT INTO kit.quarantine (topic, partition, record_offset, record_key, record_value,
                                    header_names, header_values, event_id, event_type, subject,
                                    reason_class, reason, state, quarantined_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT DO NOTHING
        """,
        [_row(item, tx) for item in parked],
    )


async def list_open(tx: Tx, limit: int) -> list[dict[str, Any]]:
    """Return the newest open records without their bytes."""
    rows = await tx.conn.fetch(
        """
        SELECT quarantine_id, topic, partition, record_offset, event_id, event_type, subject,
               reason_class, reason, state, quarantined_at, length(record_value) AS value_bytes
          FROM kit.quarantine
         WHERE state IN ('quarantined', 'parked')
         ORDER BY quarantine_id DESC
         LIMIT $1
        """,
        limit,
    )
    return [dict(row) for row in rows]


def _row(item: Parked, tx: Tx) -> tuple[object, ...]:
    record, envelope = item.record, item.envelope
    headers = list(record.headers)
    return (
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        [name.replace("\x00", "\N{REPLACEMENT CHARACTER}") for name, _ in headers],
        [value for _, value in headers],
        envelope.id if envelope else None,
        envelope.type if envelope else None,
        envelope.subject if envelope else None,
        item.reason_class,
        item.reason[:2000],
        item.state,
        tx.now,
    )
