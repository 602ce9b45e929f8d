"""Records that were not applied: kept byte for byte, with the reason, in the slice's transaction.

`requeue` is how they leave it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from oncomentor_contracts.envelope import Envelope, EnvelopeError, from_headers
from oncomentor_contracts.topics import Kind, topic_of
from servicekit.hearing.verdict import Record
from servicekit.tx import Tx

_MAX_SUBJECT = 512  # characters, as in an envelope


@dataclass(frozen=True, slots=True)
class Parked:
    """A record to keep, and why it was not applied."""

    record: Record
    reason_class: str
    reason: str
    envelope: Envelope | None
    state: str = "quarantined"
    """`quarantined`, or `parked` where it only follows a bad one of its subject."""


class Selection(BaseModel, frozen=True, extra="forbid"):
    """Which open records an operator asks for; None leaves it open."""

    reason_class: str | None = None
    subject: str | None = None
    topic: str | None = None
    superseded: bool = False
    """Only those whose subject has moved past them."""
    followers: bool = False
    """Also the parked ones that wait behind another record of their subject."""
    after: int = Field(default=0, ge=0, lt=2**63)
    """Only ids above this one."""
    limit: int = Field(default=100, ge=1, le=1000)


async def insert(tx: Tx, parked: Sequence[Parked]) -> None:
    """Keep these records; one that is kept already stays as it is."""
    if not parked:
        return
    await tx.conn.executemany(
        """
        INSERT INTO kit.quarantine (topic, partition, record_offset, record_key, record_value,
                                    header_names, header_values, event_id, event_type, subject,
                                    sequence, reason_class, reason, state, quarantined_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        ON CONFLICT DO NOTHING
        """,
        [_row(item, tx) for item in parked],
    )


async def counts(tx: Tx) -> dict[tuple[str, str], int]:
    """Return how many records are open by (reason class, state); reads one small index."""
    rows = await tx.conn.fetch(
        """
        SELECT reason_class, state, count(*) AS records FROM kit.quarantine
         WHERE state IN ('quarantined', 'parked')
         GROUP BY reason_class, state
         ORDER BY reason_class, state
        """
    )
    return {(row["reason_class"], row["state"]): row["records"] for row in rows}


async def list_open(tx: Tx, wanted: Selection) -> list[dict[str, Any]]:
    """Return open records without their bytes, those that have waited longest first.

    `followers` is how many records of the subject wait behind it, `superseded` whether the
    subject has moved past it.
    """
    rows = await tx.conn.fetch(
        """
        SELECT q.quarantine_id, q.topic, q.partition, q.record_offset, q.event_id, q.event_type,
               q.subject, q.sequence, q.reason_class, q.reason, q.state, q.quarantined_at,
               octet_length(q.record_value) AS value_bytes,
               extract(epoch FROM $1 - q.quarantined_at)::bigint AS age_seconds,
               coalesce(applied.sequence >= q.sequence, false) AS superseded,
               CASE WHEN q.state = 'quarantined' OR NOT $5 THEN
                    (SELECT count(*) FROM kit.quarantine AS behind
                      WHERE behind.topic = q.topic AND behind.subject = q.subject
                        AND behind.state = 'parked' AND behind.quarantine_id <> q.quarantine_id)
               END AS followers
          FROM kit.quarantine AS q
          LEFT JOIN kit.applied_subjects AS applied
            ON applied.subject_key = kit.subject_key(q.topic, q.subject)
         WHERE q.state IN ('quarantined', 'parked')
           AND ($2::text IS NULL OR q.reason_class = $2)
           AND ($3::text IS NULL OR q.subject = $3)
           AND ($4::text IS NULL OR q.topic = $4)
           AND ($5 OR q.state = 'quarantined' OR NOT EXISTS
                (SELECT 1 FROM kit.quarantine AS before
                  WHERE before.topic = q.topic AND before.subject = q.subject
                    AND before.sequence < q.sequence
                    AND before.state IN ('quarantined', 'parked')))
           AND (NOT $6 OR applied.sequence >= q.sequence)
           AND q.quarantine_id > $7
         ORDER BY q.quarantine_id
         LIMIT $8
        """,
        tx.now,
        wanted.reason_class,
        wanted.subject,
        wanted.topic,
        wanted.followers,
        wanted.superseded,
        wanted.after,
        wanted.limit,
    )
    return [dict(row) for row in rows]


async def get(tx: Tx, quarantine_id: int) -> dict[str, Any] | None:
    """Return everything known of a record but its value; None where there is none."""
    row = await tx.conn.fetchrow(
        """
        SELECT q.quarantine_id, q.topic, q.partition, q.record_offset, q.record_key,
               q.header_names, q.header_values, q.event_id, q.event_type, q.subject, q.sequence,
               q.reason_class, q.reason, q.state, q.quarantined_at, q.settled_at, q.settled_by,
               q.settled_why, octet_length(q.record_value) AS value_bytes,
               encode(sha256(q.record_value), 'hex') AS value_sha256,
               applied.sequence AS applied_sequence,
               (SELECT count(*) FROM kit.quarantine AS behind
                 WHERE behind.topic = q.topic AND behind.subject = q.subject
                   AND behind.state = 'parked' AND behind.quarantine_id <> q.quarantine_id)
               AS followers
          FROM kit.quarantine AS q
          LEFT JOIN kit.applied_subjects AS applied
            ON applied.subject_key = kit.subject_key(q.topic, q.subject)
         WHERE q.quarantine_id = $1
        """,
        quarantine_id,
    )
    return dict(row) if row else None


async def get_value(tx: Tx, quarantine_id: int) -> bytes | None:
    """Return the bytes of a record's value: they may be personal, so say who read them."""
    value: bytes | None = await tx.conn.fetchval(
        "SELECT record_value FROM kit.quarantine WHERE quarantine_id = $1", quarantine_id
    )
    return value


def _row(item: Parked, tx: Tx) -> tuple[object, ...]:
    record = item.record
    # One that is too large is refused before its envelope is read.
    envelope = item.envelope or (_envelope_of(record) if item.reason_class == "too_large" else None)
    headers = list(record.headers)
    # Whoever may not speak for a subject doesn't count in it either.
    believed = envelope if item.reason_class != "foreign_source" else None
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
        envelope.subject if envelope else _subject_in_key(record),
        believed.sequence if believed else None,
        item.reason_class,
        item.reason[:2000],
        item.state,
        tx.now,
    )


def _envelope_of(record: Record) -> Envelope | None:
    try:
        return from_headers(record.headers)
    except EnvelopeError:
        return None


def _subject_in_key(record: Record) -> str | None:
    """Return the subject that a service of the network must have meant.

    A center's key may be any text, so it is kept as bytes alone.
    """
    topic = topic_of(record.topic)
    if topic is None or topic.kind is Kind.INGRESS or record.key is None:
        return None
    key = record.key.decode(errors="replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return key[:_MAX_SUBJECT]
