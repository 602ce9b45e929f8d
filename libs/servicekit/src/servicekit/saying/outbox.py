"""Appending events to the outbox, in the transaction of the state change they report."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.topics import MAX_VALUE_BYTES
from servicekit.errors import UnprocessableError
from servicekit.observing import trace
from servicekit.saying import record_headers

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
            traceparent=envelope.traceparent or trace.of_event(envelope.id),
            correlationid=envelope.correlationid or str(envelope.id),
            causationid=str(envelope.id),
        )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = ("said_on", "topic", "subject", "sequence", "event_id", "headers", "record_value")
NO_CAUSE = Cause()
"""Of what nothing led to: the first event of a chain."""
Said = tuple[Event, Cause]


async def append(tx: "Tx", said: Sequence[Said]) -> None:
    """Write events to the outbox in order, each with the next sequence of its subject.

    The sequence rows are taken in sorted order, so that transactions that share subjects wait
    for each other instead of deadlocking; call it after the aggregate's row is locked.

    Raises:
        UnprocessableError: an event is larger than its readers accept; nothing could apply it.
    """
    if not said:
        return

    keys = [(event.topic_name, event.subject) for event, _ in said]
    values = [_value(event) for event, _ in said]
    sequences = await _next_sequences(tx, keys)
    ids = _ids(tx.now, len(said))
    time = tx.now.astimezone(UTC).isoformat().replace("+00:00", "Z")
    headers = [
        record_headers.pack(
            (
                event_id,
                tx.source,
                event.TYPE,
                subject,
                time,
                event.dataschema(),
                trace.child(cause.traceparent, event.TYPE),
                cause.correlationid or event_id,
            ),
            cause.causationid,
        )
        for event_id, (_, subject), (event, cause) in zip(ids, keys, said, strict=True)
    ]
    topics, subjects = zip(*keys, strict=True)
    today = [tx.now.date()] * len(said)
    await tx.conn.copy_records_to_table(
        "outbox",
        schema_name="kit",
        columns=_COLUMNS,
        records=zip(today, topics, subjects, sequences, ids, headers, values, strict=True),
    )
    tx.wake = True


async def _next_sequences(tx: "Tx", keys: Sequence[tuple[str, str]]) -> list[int]:
    """Return the next sequence of each (topic, subject), which may stand there several times."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for key in keys:
        counts[key] += 1
    taken = sorted(counts)
    rows = await tx.conn.fetch(
        """
        INSERT INTO kit.subject_sequences AS s (topic, subject, sequence)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
        ON CONFLICT (topic, subject) DO UPDATE SET sequence = s.sequence + excluded.sequence
        RETURNING sequence
        """,  # rows are taken, and come back, in the order of the arrays
        [topic for topic, _ in taken],
        [subject for _, subject in taken],
        [counts[key] for key in taken],
    )
    before = {key: row[0] - counts[key] for key, row in zip(taken, rows, strict=True)}
    sequences = []
    for key in keys:
        before[key] += 1
        sequences.append(before[key])
    return sequences


def check_sizes(said: Sequence[Said]) -> None:
    """Find out what `append` would refuse while it is still known whose answer it is.

    Raises:
        UnprocessableError: an event is larger than its readers accept.
    """
    for event, _ in said:
        _value(event)


def _value(event: Event) -> bytes | None:
    data = event.data()
    if data is not None and len(data) > MAX_VALUE_BYTES:
        raise UnprocessableError(
            f"{event.TYPE} would be {len(data)} bytes, and its readers accept {MAX_VALUE_BYTES}"
        )
    return data


def _ids(now: datetime, count: int) -> list[str]:
    """Return new ids as `oncomentor_contracts.identifiers.uuid7` makes them, all at once."""
    head = f"{(now - _EPOCH) // timedelta(milliseconds=1):012x}"
    first, digits = f"{head[:8]}-{head[8:]}-7", os.urandom(10 * count).hex()
    return [
        f"{first}{digits[at : at + 3]}-{'89ab'[int(digits[at + 3], 16) & 3]}"
        f"{digits[at + 4 : at + 7]}-{digits[at + 7 : at + 19]}"
        for at in range(0, 20 * count, 20)
    ]
