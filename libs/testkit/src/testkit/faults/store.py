"""Every SQL statement of the test services."""

import os
from collections.abc import Mapping, Sequence
from uuid import UUID

from oncomentor_contracts.event import Event
from servicekit.tx import Tx
from testkit.faults.words import chained

PROCESS = os.environ.get("FAULTS_PROCESS", "?")


async def insert_heard(tx: Tx, events: Sequence[Event]) -> None:
    """Note that a handler was given these events."""
    envelopes = [event.envelope for event in events]
    await tx.conn.execute(
        """
        INSERT INTO heard (topic, event_id, subject, sequence, type, process)
        SELECT * , $6 FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::text[])
        """,
        [event.topic_name for event in events],
        [envelope.id for envelope in envelopes],
        [envelope.subject for envelope in envelopes],
        [envelope.sequence for envelope in envelopes],
        [envelope.type for envelope in envelopes],
        PROCESS,
    )


async def update_member(tx: Tx, person_id: UUID, mark: str) -> int:
    """Take a person's new mark; return their version, counted from 1."""
    version: int = await tx.conn.fetchval(
        """
        INSERT INTO members (person_id, version, mark) VALUES ($1, 1, $2)
        ON CONFLICT (person_id) DO UPDATE SET version = members.version + 1, mark = excluded.mark
        RETURNING version
        """,
        person_id,
        mark,
    )
    return version


async def delete_member(tx: Tx, person_id: UUID) -> bool:
    """Take a person away; tell whether there was one."""
    done: str = await tx.conn.execute("DELETE FROM members WHERE person_id = $1", person_id)
    return done == "DELETE 1"


async def update_people(tx: Tx, people: Mapping[UUID, tuple[int, str]]) -> set[UUID]:
    """Project people; return those that are new.

    It does not look at versions: that the last one stays is the kernel's work, and is judged.
    """
    ids = sorted(people)
    rows = await tx.conn.fetch(
        """
        INSERT INTO people (person_id, version, mark)
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[])
        ON CONFLICT (person_id) DO UPDATE SET version = excluded.version, mark = excluded.mark
        RETURNING person_id, xmax = 0 AS is_new
        """,
        ids,
        [people[person_id][0] for person_id in ids],
        [people[person_id][1] for person_id in ids],
    )
    return {row["person_id"] for row in rows if row["is_new"]}


async def delete_person(tx: Tx, person_id: UUID) -> None:
    """Take a person out of the projection."""
    await tx.conn.execute("DELETE FROM people WHERE person_id = $1", person_id)


async def update_hours(tx: Tx, person_id: UUID, minutes: int) -> None:
    """Project a person's pledge."""
    await tx.conn.execute(
        """
        INSERT INTO hours (person_id, minutes) VALUES ($1, $2)
        ON CONFLICT (person_id) DO UPDATE SET minutes = excluded.minutes
        """,
        person_id,
        minutes,
    )


async def extend_chain(
    tx: Tx, table: str, match_id: UUID, facts: Sequence[tuple[str, ...]]
) -> None:
    """Add facts to a match's chain in `matches` or `match_logs`; its row stays locked."""
    assert table in {"matches", "match_logs"}
    chain = await tx.conn.fetchval(
        f"""
        INSERT INTO {table} (match_id, facts, chain) VALUES ($1, $2, '')
        ON CONFLICT (match_id) DO UPDATE SET facts = {table}.facts + excluded.facts
        RETURNING chain
        """,  # noqa: S608 - one of two names
        match_id,
        len(facts),
    )
    for fact in facts:
        chain = chained(chain, *fact)
    await tx.conn.execute(
        f"UPDATE {table} SET chain = $2 WHERE match_id = $1",  # noqa: S608 - the same
        match_id,
        chain,
    )


async def insert_decline(tx: Tx, match_id: UUID, mark: UUID) -> None:
    """Keep a refusal; no row is locked, so that the outbox alone orders what is said."""
    await tx.conn.execute("INSERT INTO declines VALUES ($1, $2)", match_id, mark)


async def update_pledge(tx: Tx, person_id: UUID, minutes: int) -> int:
    """Add to a person's pledge; return what it is now."""
    total: int = await tx.conn.fetchval(
        """
        INSERT INTO pledges (person_id, minutes) VALUES ($1, $2)
        ON CONFLICT (person_id) DO UPDATE SET minutes = pledges.minutes + excluded.minutes
        RETURNING minutes
        """,
        person_id,
        minutes,
    )
    return total


async def insert_link(tx: Tx, session_id: UUID, mark: UUID) -> None:
    """Keep a link; no row is locked."""
    await tx.conn.execute("INSERT INTO links VALUES ($1, $2)", session_id, mark)


async def insert_session(tx: Tx, session_id: UUID, match_id: UUID) -> None:
    """Keep a session; one that is booked twice stands here twice."""
    await tx.conn.execute("INSERT INTO sessions VALUES ($1, $2)", session_id, match_id)


async def insert_delivery(tx: Tx, delivery_id: UUID) -> None:
    """Keep that a message was sent."""
    await tx.conn.execute("INSERT INTO deliveries VALUES ($1)", delivery_id)
