"""What was applied before: sequences per subject, and ids where there is no dense sequence."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from oncomentor_contracts.envelope import Envelope
from servicekit.hearing.verdict import Applied
from servicekit.tx import Tx


async def claim_rising(tx: Tx, topic: str, envelopes: Sequence[Envelope]) -> bool:
    """Note a slice of a state topic as applied, in one statement; tell whether all of it is new.

    False means that something in it was applied before or stands out of order: the transaction
    must be rolled back, and each event looked at.
    """
    last = {envelope.subject: envelope for envelope in envelopes}
    first = last
    if len(last) < len(envelopes):  # some subject comes twice
        first = {envelope.subject: envelope for envelope in reversed(envelopes)}
        if not _all_rise(envelopes):
            return False
    tag = await tx.conn.execute(
        """
        INSERT INTO kit.applied_subjects AS a (subject_key, run_from, sequence, event_id)
        SELECT kit.subject_key($1, subject), run_from, sequence, event_id
          FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::uuid[])
                 AS t (subject, run_from, sequence, event_id)
        ON CONFLICT (subject_key) DO UPDATE
           SET run_from = excluded.run_from, sequence = excluded.sequence,
               event_id = excluded.event_id
         WHERE a.sequence < excluded.run_from
        """,
        topic,
        list(last),
        [first[subject].sequence for subject in last],
        [envelope.sequence for envelope in last.values()],
        [envelope.id for envelope in last.values()],
    )
    return tag == f"INSERT 0 {len(last)}"


def _all_rise(envelopes: Sequence[Envelope]) -> bool:
    reached: dict[str, int] = {}
    for envelope in envelopes:
        sequence = envelope.sequence or 0
        if sequence <= reached.get(envelope.subject, 0):
            return False
        reached[envelope.subject] = sequence
    return True


async def last_applied(tx: Tx, topic: str, subjects: Collection[str]) -> dict[str, Applied]:
    """Return the last applied event of each subject that has one."""
    rows = await tx.conn.fetch(
        """
        SELECT subject, sequence, event_id
          FROM unnest($2::text[]) AS subject
               JOIN kit.applied_subjects ON subject_key = kit.subject_key($1, subject)
        """,
        topic,
        list(subjects),
    )
    return {row["subject"]: Applied(row["sequence"], row["event_id"]) for row in rows}


async def upsert_applied(tx: Tx, topic: str, applied: Mapping[str, Applied]) -> None:
    """Note the last applied event of each subject."""
    if not applied:
        return
    await tx.conn.execute(
        """
        INSERT INTO kit.applied_subjects (subject_key, run_from, sequence, event_id)
        SELECT kit.subject_key($1, subject), sequence, sequence, event_id
          FROM unnest($2::text[], $3::bigint[], $4::uuid[]) AS t (subject, sequence, event_id)
        ON CONFLICT (subject_key) DO UPDATE
           SET run_from = excluded.run_from, sequence = excluded.sequence,
               event_id = excluded.event_id
        """,
        topic,
        list(applied),
        [one.sequence for one in applied.values()],
        [one.event_id for one in applied.values()],
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
