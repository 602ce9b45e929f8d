"""What a database knows of the records its service has said."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from oncomentor_contracts.identifiers import uuid7
from servicekit.observing import trace
from servicekit.saying import record_headers

if TYPE_CHECKING:
    import asyncpg

    from servicekit.saying.relay_cursor import Cursor
    from servicekit.saying.relay_watch import Seen


class History:
    """The counters and the outbox of one database, asked about records that lie in Kafka."""

    def __init__(self, cursor: "Cursor") -> None:
        """Ask over the cursor's connection."""
        self._cursor = cursor

    async def unknown(self, records: Sequence["Seen"]) -> Sequence["Seen"]:
        """Return those of these records that the outbox never held.

        Of what was said before its first day it keeps nothing, so that is not judged.
        """
        kept_since: datetime | None = await self._cursor.conn.fetchval(
            """
            SELECT min(to_date(right(relname, 8), 'YYYYMMDD'))::timestamp AT TIME ZONE 'UTC'
              FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
             WHERE inhparent = 'kit.outbox'::regclass AND relname ~ '^outbox_[0-9]{8}$'
            """
        )
        known = await self.known(records)
        return [
            seen
            for seen in records
            if seen.event_id not in known
            and (kept_since is None or not _is_before(kept_since, seen.event_id))
        ]

    async def known(self, records: Sequence["Seen"]) -> set[UUID]:
        """Return the ids among these records' that the outbox holds."""
        ids = {seen.event_id for seen in records}
        if not ids:
            return set()
        rows = await self._cursor.conn.fetch(
            """
            SELECT event_id FROM kit.outbox
             WHERE event_id BETWEEN $1 AND $2 AND event_id = ANY($3::uuid[])
            """,
            min(ids),
            max(ids),
            list(ids),
        )
        return {row["event_id"] for row in rows}

    async def outdated(self, records: Sequence["Seen"]) -> dict[tuple[str, str], int]:
        """Return the subjects (topic, subject) of these that went on since, and their last sequence.

        Kafka has everything up to that one: where something is left to be sent, it will lie
        behind the record, and there is nothing to mend.
        """
        if not records:
            return {}
        window = self._cursor.window
        rows = await self._cursor.conn.fetch(
            """
            SELECT topic, subject, s.sequence AS counted
              FROM unnest($1::text[], $2::text[], $3::bigint[]) AS r (topic, subject, sequence)
              JOIN kit.subject_sequences AS s USING (topic, subject)
             WHERE s.sequence > r.sequence
               AND NOT EXISTS (
                   SELECT FROM kit.outbox AS o
                    WHERE (o.txid >= $4::text::xid8 OR o.txid = ANY($5::text[]::xid8[]))
                      AND o.topic = r.topic AND o.subject = r.subject
                      AND ($6::text IS NULL OR o.seq > $7
                           OR NOT pg_visible_in_snapshot(o.txid, $6::text::pg_snapshot)))
               AND NOT EXISTS (
                   SELECT FROM kit.outbox_held AS h
                    WHERE h.topic = r.topic AND h.subject = r.subject)
            """,
            [seen.partition.topic for seen in records],
            [seen.subject for seen in records],
            [seen.sequence for seen in records],
            *window.unseen,
            window.until,
            window.last_seq,
        )
        return {(row["topic"], row["subject"]): row["counted"] for row in rows}

    async def said(
        self, subjects: Mapping[tuple[str, str], int]
    ) -> "Mapping[tuple[str, str], asyncpg.Record]":
        """Return the outbox's row of each (topic, subject)'s event of that sequence.

        It reads all of the outbox once: a late relay is rare, so no index is kept for it.
        """
        rows = await self._cursor.conn.fetch(
            """
            SELECT topic, subject, sequence, headers, record_value
              FROM kit.outbox
              JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS w (topic, subject, sequence)
                   USING (topic, subject, sequence)
            """,
            [topic for topic, _ in subjects],
            [subject for _, subject in subjects],
            list(subjects.values()),
        )
        return {(row["topic"], row["subject"]): row for row in rows}

    async def say_again(self, row: "asyncpg.Record") -> bool:
        """Append this event as its subject's next one; not when anything was said after it.

        It is on disk before it can be sent: the rest of a session may be lost with a crash, since
        it is only repeated then, but Kafka must not have what the outbox never held.
        """
        now = datetime.now(UTC)
        event_id = uuid7(now)
        added = await self._cursor.conn.execute(
            """
            WITH durable AS MATERIALIZED (SELECT set_config('synchronous_commit', 'on', true)),
            taken AS (
                UPDATE kit.subject_sequences SET sequence = sequence + 1
                 WHERE topic = $1 AND subject = $2 AND sequence = $3
                RETURNING sequence
            )
            INSERT INTO kit.outbox
                   (said_on, topic, subject, sequence, event_id, headers, record_value)
            SELECT $4, $1, $2, sequence, $5, $6, $7 FROM taken, durable
            """,
            row["topic"],
            row["subject"],
            row["sequence"],
            now.date(),
            event_id,
            record_headers.renew(row["headers"], str(event_id), now, trace.child(None)),
            row["record_value"],
        )
        return added == "INSERT 0 1"


def _is_before(instant: datetime, event_id: UUID) -> bool:
    """Whether an id was made before an instant; ids that hold no time (RFC 9562) were not."""
    return event_id.version == 7 and event_id.int >> 80 < instant.timestamp() * 1000  # noqa: PLR2004 - that version
