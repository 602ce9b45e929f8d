"""What was applied before: sequences per subject, and ids where there is no dense sequence."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from oncomentor_contracts.envelope import Envelope
from servicekit.tx import Tx
from servicekit.verdict import Applied

_KEY_BYTES = 16  # of SHA-256: two of 10^12 subjects meet with a chance of 10^-15


async def claim_rising(tx: Tx, topic: str, envelopes: Iterable[Envelope]) -> bool:
    """Note a slice of a state topic as applied, in one statement; tell whether all of it is new.

    False means that something in it was applied before or stands out of order: the transaction
    must be rolled back, and each event looked at.
    """
    runs: dict[str, tuple[int, int, UUID]] = {}
    for envelope in envelopes:
        subject, sequence = envelope.subject, envelope.sequence or 0
        first, last, _ = runs.get(subject, (sequence, 0, None))
        if sequence <= last:
            return False
        runs[subject] = (first, sequence, envelope.id)
    tag = await tx.conn.execute(
        """
        INSERT INTO kit.applied_subjects AS a (subject_key, run_from, sequence, event_id)
        SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::uuid[])
        ON CONFLICT (subject_key) DO UPDATE
           SET run_from = excluded.run_from, sequence = excluded.sequence,
               event_id = excluded.event_id
         WHERE a.sequence < excluded.run_from
        """,
        _keys(topic, runs),
        *map(list, zip(*runs.values(), strict=True)),
    )
    return tag == f"INSERT 0 {len(runs)}"


async def last_applied(tx: Tx, topic: str, subjects: Collection[str]) -> dict[str, Applied]:
    """Return the last applied event of each subject that has one."""
    by_key = dict(zip(_keys(topic, subjects), subjects, strict=True))
    rows = await tx.conn.fetch(
        """
        SELECT subject_key, sequence, event_id FROM kit.applied_subjects
         WHERE subject_key = ANY($1::bytea[])
        """,
        list(by_key),
    )
    return {by_key[row["subject_key"]]: Applied(row["sequence"], row["event_id"]) for row in rows}


async def upsert_applied(tx: Tx, topic: str, applied: Mapping[str, Applied]) -> None:
    """Note the last applied event of each subject."""
    if not applied:
        return
    await tx.conn.execute(
        """
        INSERT INTO kit.applied_subjects (subject_key, run_from, sequence, event_id)
        SELECT subject_key, sequence, sequence, event_id
          FROM unnest($1::bytea[], $2::bigint[], $3::uuid[]) AS t (subject_key, sequence, event_id)
        ON CONFLICT (subject_key) DO UPDATE
           SET run_from = excluded.run_from, sequence = excluded.sequence,
               event_id = excluded.event_id
        """,
        _keys(topic, applied),
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


def _keys(topic: str, subjects: Iterable[str]) -> list[bytes]:
    """Return the keys of a topic's subjects, as the SQL function kit.subject_key makes them."""
    start = hashlib.sha256(f"{topic}\x1f".encode())
    keys = []
    for subject in subjects:
        digest = start.copy()
        digest.update(subject.encode())
        keys.append(digest.digest()[:_KEY_BYTES])
    return keys
