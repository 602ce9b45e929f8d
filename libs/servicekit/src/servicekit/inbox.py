"""What was applied before: sequences per subject, and ids where there is no dense sequence."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from servicekit.tx import Tx
from servicekit.verdict import Applied


async def last_applied(tx: Tx, topic: str, subjects: Collection[str]) -> dict[str, Applied]:
    """Return the last applied event of each subject that has one."""
    rows = await tx.conn.fetch(
        """
        SELECT subject, sequence, event_id FROM kit.applied_sequences
         WHERE topic = $1 AND subject = ANY($2::text[])
        """,
        topic,
        list(subjects),
    )
    return {row["subject"]: Applied(row["sequence"], row["event_id"]) for row in rows}


async def upsert_applied(tx: Tx, topic: str, applied: Mapping[str, Applied]) -> None:
    """Note the last applied event of each subject."""
    if not applied:
        return
    subjects = sorted(applied)
    await tx.conn.execute(
        """
        INSERT INTO kit.applied_sequences (topic, subject, sequence, event_id)
        SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::uuid[])
        ON CONFLICT (topic, subject) DO UPDATE
           SET sequence = excluded.sequence, event_id = excluded.event_id
        """,
        topic,
        subjects,
        [applied[subject].sequence for subject in subjects],
        [applied[subject].event_id for subject in subjects],
    )


async def insert_new(tx: Tx, topic: str, ids: Collection[UUID], now: datetime) -> set[UUID]:
    """Note ids as received; return those that were not known before."""
    rows = await tx.conn.fetch(
        """
        INSERT INTO kit.inbox (topic, event_id, received_at)
        SELECT $1, event_id, $3 FROM unnest($2::uuid[]) AS event_id
        ON CONFLICT DO NOTHING
        RETURNING event_id
        """,
        topic,
        sorted(ids),
        now,
    )
    return {row["event_id"] for row in rows}
