"""Kept records as the requeue works on them: read, locked and closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from servicekit.hearing import inbox
from servicekit.hearing.verdict import Applied
from servicekit.keeping.succession import Advance, Waiting
from servicekit.tx import Tx

if TYPE_CHECKING:
    import asyncpg

    from oncomentor_contracts.envelope import Header

_NOBODY = UUID(int=0)  # stands for the id of a passed record whose id could not be read
_STEP_RECORDS = 500
_STEP_BYTES = 8 * 1024 * 1024


class UnknownRecordError(Exception):
    """There is no such record in this service's quarantine."""


class RefusedError(Exception):
    """Nothing was changed; the text says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept record, readable like any record of Kafka, and where it stands."""

    quarantine_id: int
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence["Header"]
    event_id: UUID | None
    subject: str | None
    sequence: int | None
    state: str
    settled: str
    """Who closed it, when and why; empty while it is open."""


async def lock(tx: Tx, quarantine_id: int) -> Kept:
    """Return the record with its partition and itself locked, in the order a lane locks them.

    Raises:
        UnknownRecordError: there is none.
        RefusedError: its partition can't be locked.
    """
    place = await tx.conn.fetchrow(
        "SELECT topic, partition FROM kit.quarantine WHERE quarantine_id = $1", quarantine_id
    )
    if place is None:
        raise UnknownRecordError
    await lock_lane_out(tx, place["topic"], place["partition"])
    (kept,) = await lock_all(tx, [quarantine_id])
    return kept


async def lock_lane_out(tx: Tx, topic: str, partition: int) -> None:
    """Keep the partition's lane out until the transaction ends; HTTP (-1) has no lane.

    Raises:
        RefusedError: the partition has no position, so nothing would keep its lane out.
    """
    if partition < 0:
        return
    rows = await tx.conn.fetch(
        "SELECT 1 FROM kit.consumer_offsets WHERE topic = $1 AND partition = $2 FOR UPDATE",
        topic,
        partition,
    )
    if not rows:
        raise RefusedError(f"{topic}[{partition}] has no position yet: wait until it is read")


async def lock_all(tx: Tx, quarantine_ids: Sequence[int]) -> list[Kept]:
    """Return these records in this order, locked."""
    rows = await tx.conn.fetch(
        "SELECT * FROM kit.quarantine WHERE quarantine_id = ANY($1) FOR UPDATE", quarantine_ids
    )
    found = {row["quarantine_id"]: _kept(row) for row in rows}
    return [found[quarantine_id] for quarantine_id in quarantine_ids]


async def last_applied(tx: Tx, topic: str, subject: str | None) -> int:
    """Return the last sequence applied of a subject; 0 where there is none."""
    if subject is None:
        return 0
    applied = await inbox.last_applied(tx, topic, {subject})
    return applied[subject].sequence if subject in applied else 0


async def list_waiting(tx: Tx, topic: str, subject: str, beyond: int) -> list[Waiting]:
    """Return what the subject has in quarantine beyond a sequence: the first 500, or 8 MiB of it."""
    rows = await tx.conn.fetch(
        """
        SELECT quarantine_id, sequence, state
          FROM (SELECT quarantine_id, sequence, state,
                       sum(octet_length(record_value)) OVER (ORDER BY sequence, quarantine_id)
                       - octet_length(record_value) AS bytes_before
                  FROM (SELECT * FROM kit.quarantine
                         WHERE topic = $1 AND subject = $2 AND sequence > $3 AND state <> 'retried'
                         ORDER BY sequence
                         LIMIT $4) AS near) AS counted
         WHERE coalesce(bytes_before, 0) < $5
        """,
        topic,
        subject,
        beyond,
        _STEP_RECORDS,
        _STEP_BYTES,
    )
    return [Waiting(row["quarantine_id"], row["sequence"], row["state"]) for row in rows]


async def pass_over(tx: Tx, topic: str, subject: str, step: Advance) -> bool:
    """Move the subject past a discarded record; False where none was discarded there."""
    if step.quarantine_id is not None:
        row = await tx.conn.fetchrow(
            "SELECT event_id FROM kit.quarantine WHERE quarantine_id = $1", step.quarantine_id
        )
    else:  # a hole: where a discarded record was whose place couldn't be read
        row = await tx.conn.fetchrow(
            """
            UPDATE kit.quarantine SET sequence = $3
             WHERE quarantine_id = (SELECT min(quarantine_id) FROM kit.quarantine
                                     WHERE topic = $1 AND subject = $2 AND sequence IS NULL
                                       AND state = 'discarded' AND reason_class <> 'foreign_source')
            RETURNING event_id
            """,
            topic,
            subject,
            step.sequence,
        )
    if row is None:
        return False
    passed = Applied(step.sequence, row["event_id"] or _NOBODY)
    await inbox.upsert_applied(tx, topic, {subject: passed})
    return True


async def settle(tx: Tx, quarantine_ids: Sequence[int], state: str, by: str, why: str) -> None:
    """Close records as `retried` or `discarded`, and note who did, when and why."""
    await tx.conn.execute(
        """
        UPDATE kit.quarantine
           SET state = $2, settled_at = $3, settled_by = $4, settled_why = $5
         WHERE quarantine_id = ANY($1)
        """,
        quarantine_ids,
        state,
        tx.now,
        by,
        why,
    )


async def update_reason(tx: Tx, kept: Kept, state: str, reason_class: str, reason: str) -> None:
    """Note why a record that was to be released is still here."""
    await tx.conn.execute(
        """
        UPDATE kit.quarantine SET state = $2, reason_class = $3, reason = $4
         WHERE quarantine_id = $1
        """,
        kept.quarantine_id,
        state,
        reason_class,
        reason[:2000],
    )


def _kept(row: "asyncpg.Record") -> Kept:
    settled = ""
    if row["settled_at"] is not None:
        at = f"{row['settled_at']:%Y-%m-%d %H:%M:%SZ}"
        settled = f"by {row['settled_by']} at {at} ({row['settled_why']})"
    return Kept(
        quarantine_id=row["quarantine_id"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
        key=row["record_key"],
        value=row["record_value"],
        headers=list(zip(row["header_names"], row["header_values"], strict=True)),
        event_id=row["event_id"],
        subject=row["subject"],
        sequence=row["sequence"],
        state=row["state"],
        settled=settled,
    )
