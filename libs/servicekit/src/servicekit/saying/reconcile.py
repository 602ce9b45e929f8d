"""After a restore: raise the counters above what Kafka has, so that history goes on unforked.

Records of ours in Kafka that the outbox does not know were said by the history that was lost.
Their sequences stay taken: what this database says, or has said and not sent, is numbered behind
them (docs/adr/0010).
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from servicekit.errors import StartupError
from servicekit.saying import record_headers
from servicekit.saying.relay_cursor import Cursor, ForeignCursorError, Window
from servicekit.saying.relay_history import History
from servicekit.saying.relay_sender import sending
from servicekit.saying.relay_watch import Ranges, Reader, Watch, reading

if TYPE_CHECKING:
    from servicekit.tx import Connection

TRIES, _PAUSE_SECONDS = 100, 0.1  # at the lock of a relay
Subject = tuple[str, str]
"""Topic and subject."""
Waiting = tuple[int, str, str, int, UUID]
"""A row that waits to be sent: seq, topic, subject, sequence, event id."""


@dataclass(slots=True)
class Sent:
    """What Kafka has of ours: ids, as far as the outbox holds them, and the highest sequences."""

    ids: set[UUID] = field(default_factory=set)
    highest: dict[Subject, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was done, in numbers of records, subjects and rows."""

    unknown: int  # records that the database does not know
    raised: int  # subjects whose counter was below
    dropped: int  # rows that waited, and that Kafka has
    renumbered: int  # rows that waited, and follow the lost history now


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the rows that wait, and where the subjects count on from."""

    dropped: Sequence[int]  # seq
    renumbered: Mapping[int, int]  # seq: sequence
    last: Mapping[Subject, int]


def plan(waiting: Iterable[Waiting], sent: Sent) -> Plan:
    """Return what to do with rows that wait, given in order of seq.

    What Kafka has, or has a later row of the same subject of, was sent. The rest follows densely
    behind the highest sequence that Kafka has. Subjects that Kafka has nothing of stay as they are.
    """
    rows: dict[Subject, list[Waiting]] = defaultdict(list)
    for row in waiting:
        rows[row[1], row[2]].append(row)
    dropped: list[int] = []
    changed: dict[int, int] = {}
    last = dict(sent.highest)
    for subject in rows.keys() & last.keys():
        own = rows[subject]
        count = max((nth for nth, row in enumerate(own, 1) if row[4] in sent.ids), default=0)
        dropped += (row[0] for row in own[:count])
        for seq, _, _, sequence, _ in own[count:]:
            last[subject] += 1
            if sequence != last[subject]:
                changed[seq] = last[subject]
    return Plan(dropped, changed, last)


async def _locked(cursor: Cursor) -> bool:
    """Become the relay; one that stopped is for a moment, every few seconds, when it looks."""
    for _ in range(TRIES):
        if await cursor.lock():
            return True
        await asyncio.sleep(_PAUSE_SECONDS)
    return False


async def reconcile(
    conn: "Connection", *, name: str, source: str, client: Mapping[str, Any]
) -> Reconciled:
    """Bring a database that went back to an earlier time behind what Kafka has of it.

    Nothing of it is sent meanwhile. Every record of ours is read: what was said before the relay's
    last look may have been lost too. A cursor of another cluster is begun anew.

    Raises:
        StartupError: the relay is at work, so the database is not behind.
    """
    cursor = Cursor(conn, name)
    if not await _locked(cursor):
        raise StartupError(f"the relay of {name} is at work: only one that stopped is reconciled")
    try:
        await cursor.take_over()
    except ForeignCursorError:
        await _begin_anew(conn)
        await cursor.take_over()
    async with reading(client, source) as reader, sending(client) as sender:
        history = History(cursor)
        ranges = await Watch(reader, history, name).behind(await sender.all_topics(), {})
        sent, unknown = await _read(reader, history, ranges)
    async with conn.transaction():
        # Whoever says something waits here, and then counts on from what we leave.
        await conn.execute("LOCK TABLE kit.subject_sequences IN EXCLUSIVE MODE")
        await conn.execute("SET LOCAL synchronous_commit = on")  # done is done
        held = await _held(conn)
        made = plan(sorted([*held, *await _waiting(conn, cursor.window, sent)]), sent)
        await _drop(conn, made.dropped, {row[0] for row in held})
        await _renumber(conn, made.renumbered)
        raised = await _raise(conn, made.last)
        await cursor.place({tp: end for tp, (_, end) in ranges.items()})
    return Reconciled(unknown, raised, len(made.dropped), len(made.renumbered))


async def _begin_anew(conn: "Connection") -> None:
    async with conn.transaction():
        await conn.execute("LOCK TABLE kit.subject_sequences IN EXCLUSIVE MODE")
        await conn.execute("UPDATE kit.outbox SET txid = DEFAULT")  # so held rows wait there too
        await conn.execute("DELETE FROM kit.outbox_held WHERE seq IN (SELECT seq FROM kit.outbox)")
        await conn.execute("DELETE FROM kit.relay_cursors")


async def _read(reader: Reader, history: History, ranges: Ranges) -> tuple[Sent, int]:
    """Return what was sent, and how many records the outbox does not hold though it should."""
    sent, unknown = Sent(), 0
    async for records in reader.ours(ranges):
        unknown += len(await history.unknown(records))
        sent.ids |= await history.known(records)
        for seen in records:
            subject = seen.partition.topic, seen.subject
            sent.highest[subject] = max(seen.sequence, sent.highest.get(subject, 0))
    return sent, unknown


async def _waiting(conn: "Connection", window: Window, sent: Sent) -> list[Waiting]:
    """Return the rows that wait to be sent, of subjects that Kafka has records of."""
    rows = await conn.fetch(
        """
        SELECT seq, topic, subject, sequence, event_id
          FROM kit.outbox
          JOIN unnest($5::text[], $6::text[]) AS sent (topic, subject) USING (topic, subject)
         WHERE (txid >= $1::text::xid8 OR txid = ANY($2::text[]::xid8[]))
           AND ($3::text IS NULL OR seq > $4
                OR NOT pg_visible_in_snapshot(txid, $3::text::pg_snapshot))
         ORDER BY seq
        """,
        *window.unseen,
        window.until,
        window.last_seq,
        [topic for topic, _ in sent.highest],
        [subject for _, subject in sent.highest],
    )
    return [(*row,) for row in rows]


async def _held(conn: "Connection") -> list[Waiting]:
    """Return the rows that were put aside; the outbox may have forgotten them."""
    rows = await conn.fetch("SELECT seq, topic, subject, sequence, headers FROM kit.outbox_held")
    return [(*keys, record_headers.event_id(headers)) for *keys, headers in rows]


async def _drop(conn: "Connection", dropped: Sequence[int], held: Collection[int]) -> None:
    """Forget rows that Kafka has; what was put aside stays in the outbox, as what was sent does."""
    await conn.execute("DELETE FROM kit.outbox_held WHERE seq = ANY($1::bigint[])", dropped)
    waited = [seq for seq in dropped if seq not in held]
    await conn.execute("DELETE FROM kit.outbox WHERE seq = ANY($1::bigint[])", waited)


async def _renumber(conn: "Connection", changed: Mapping[int, int]) -> None:
    for table in ("kit.outbox", "kit.outbox_held"):
        await conn.execute(
            f"""
            UPDATE {table} AS o SET sequence = n.sequence
              FROM unnest($1::bigint[], $2::bigint[]) AS n (seq, sequence) WHERE o.seq = n.seq
            """,  # noqa: S608 - one of two names
            list(changed),
            list(changed.values()),
        )


async def _raise(conn: "Connection", last: Mapping[Subject, int]) -> int:
    """Count on from these sequences; return how many subjects were below."""
    raised: int = await conn.fetchval(
        """
        WITH raised AS (
            INSERT INTO kit.subject_sequences AS s (topic, subject, sequence)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
            ON CONFLICT (topic, subject) DO UPDATE SET sequence = excluded.sequence
             WHERE s.sequence < excluded.sequence
            RETURNING 1
        )
        SELECT count(*) FROM raised
        """,
        [topic for topic, _ in last],
        [subject for _, subject in last],
        list(last.values()),
    )
    return raised
