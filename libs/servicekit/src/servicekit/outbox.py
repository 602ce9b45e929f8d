"""Appending events to the outbox, in the transaction of the state change they report."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from servicekit import trace

if TYPE_CHECKING:
    from servicekit.tx import Tx


@dataclass(frozen=True, slots=True)
class Cause:
    """What the next events follow from; carried by received events and by timers alike."""

    traceparent: str | None = None
    correlationid: str | None = None
    causationid: str | None = None

    @classmethod
    def of(cls, envelope: Envelope) -> "Cause":
        """Return the cause that a received event is for what is said because of it."""
        return cls(
            traceparent=envelope.traceparent,
            correlationid=envelope.correlationid or str(envelope.id),
            causationid=str(envelope.id),
        )


NO_CAUSE = Cause()
"""Of what nothing led to: the first event of a chain."""
Said = tuple[Event, Cause]


async def append(tx: "Tx", said: Sequence[Said]) -> None:
    """Write events to the outbox in order, each with the next sequence of its subject.

    The sequence rows are taken in sorted order, so that transactions that share subjects wait
    for each other instead of deadlocking; call it after the aggregate's row is locked.
    """
    if not said:
        return

    sequences = await _next_sequences(tx, [event for event, _ in said])
    rows = [_row(tx, event, cause, sequences) for event, cause in said]
    await tx.conn.executemany(
        """
        INSERT INTO kit.outbox
               (said_on, topic, record_key, record_value, header_names, header_values)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        rows,
    )
    tx.wake = True


async def _next_sequences(tx: "Tx", events: Sequence[Event]) -> dict[tuple[str, str], list[int]]:
    """Take as many sequences per (topic, subject) as events need; last first, to be popped."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for event in events:
        counts[event.topic_name, event.subject] += 1
    keys = sorted(counts)
    rows = await tx.conn.fetch(
        """
        INSERT INTO kit.subject_sequences AS s (topic, subject, sequence)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
        ON CONFLICT (topic, subject) DO UPDATE SET sequence = s.sequence + excluded.sequence
        RETURNING topic, subject, sequence
        """,
        [topic for topic, _ in keys],
        [subject for _, subject in keys],
        [counts[key] for key in keys],
    )
    lasts = {(row["topic"], row["subject"]): row["sequence"] for row in rows}
    return {key: list(range(lasts[key], lasts[key] - counts[key], -1)) for key in keys}


def _row(
    tx: "Tx", event: Event, cause: Cause, sequences: dict[tuple[str, str], list[int]]
) -> tuple[object, ...]:
    event_id = uuid7(tx.now)
    envelope = Envelope(
        id=event_id,
        source=tx.source,
        type=event.TYPE,
        subject=event.subject,
        time=tx.now,
        sequence=sequences[event.topic_name, event.subject].pop(),
        dataschema=event.dataschema(),
        traceparent=trace.child(cause.traceparent),
        correlationid=cause.correlationid or str(event_id),
        causationid=cause.causationid,
    )
    headers = envelope.headers()
    return (
        tx.now.date(),
        event.topic_name,
        event.subject.encode(),
        event.data(),
        [name for name, _ in headers],
        [value for _, value in headers],
    )
