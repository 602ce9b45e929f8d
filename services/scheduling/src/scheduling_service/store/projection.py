"""What other services said last: centers, programmes, people and matches."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple
from datetime import datetime
from uuid import UUID

from scheduling_service.domain.booking import Reason
from scheduling_service.domain.hours import WeeklyWindow
from scheduling_service.domain.match import Booking, Match
from scheduling_service.domain.pledge import Person
from servicekit.saying.outbox import Cause
from servicekit.tx import Tx


async def upsert_institution(tx: Tx, institution_id: str, *, active: bool) -> None:
    """Keep whether a center takes part."""
    await tx.conn.execute(
        """
        INSERT INTO institutions (institution_id, active) VALUES ($1, $2)
        ON CONFLICT (institution_id) DO UPDATE SET active = excluded.active
        """,
        institution_id,
        active,
    )


async def delete_institution(tx: Tx, institution_id: str) -> None:
    """Forget a center."""
    await tx.conn.execute("DELETE FROM institutions WHERE institution_id = $1", institution_id)


async def list_active_institutions(tx: Tx, institution_ids: Collection[str]) -> set[str]:
    """Return which of these centers are known and take part now."""
    rows = await tx.conn.fetch(
        "SELECT institution_id FROM institutions WHERE institution_id = ANY($1) AND active",
        list(institution_ids),
    )
    return {row["institution_id"] for row in rows}


async def upsert_programme(tx: Tx, programme_id: str, session_minutes: int) -> None:
    """Keep how long a programme's sessions are."""
    await tx.conn.execute(
        """
        INSERT INTO programmes (programme_id, session_minutes) VALUES ($1, $2)
        ON CONFLICT (programme_id) DO UPDATE SET session_minutes = excluded.session_minutes
        """,
        programme_id,
        session_minutes,
    )


async def delete_programme(tx: Tx, programme_id: str) -> None:
    """Forget a programme."""
    await tx.conn.execute("DELETE FROM programmes WHERE programme_id = $1", programme_id)


async def get_session_minutes(tx: Tx, programme_id: str) -> int | None:
    """Return how long a programme's sessions are; None while the programme is not known."""
    minutes: int | None = await tx.conn.fetchval(
        "SELECT session_minutes FROM programmes WHERE programme_id = $1", programme_id
    )
    return minutes


async def upsert_people(tx: Tx, people: Sequence[Person]) -> None:
    """Keep what people's profiles say, all in one statement; nobody may stand in it twice."""
    await tx.conn.execute(
        """
        INSERT INTO people (person_id, institution_id, time_zone, weekly_hours, pledges,
                            projected_at)
        SELECT person_id, institution_id, time_zone, weekly_hours::jsonb, pledges::jsonb, $6
          FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
               AS p (person_id, institution_id, time_zone, weekly_hours, pledges)
        ON CONFLICT (person_id) DO UPDATE
           SET institution_id = excluded.institution_id, time_zone = excluded.time_zone,
               weekly_hours = excluded.weekly_hours, pledges = excluded.pledges,
               projected_at = excluded.projected_at
        """,
        [person.person_id for person in people],
        [person.institution_id for person in people],
        [person.time_zone for person in people],
        [hours_to_json(person.hours) for person in people],
        [json.dumps(dict(person.pledges)) for person in people],
        tx.now,
    )


async def delete_people(tx: Tx, person_ids: Collection[UUID]) -> None:
    """Forget people's hours and pledges."""
    await tx.conn.execute("DELETE FROM people WHERE person_id = ANY($1)", list(person_ids))


async def list_people(tx: Tx, person_ids: Collection[UUID]) -> dict[UUID, Person]:
    """Return the people of these who are known."""
    rows = await tx.conn.fetch(
        """
        SELECT person_id, institution_id, time_zone, weekly_hours, pledges
          FROM people
         WHERE person_id = ANY($1)
        """,
        list(person_ids),
    )
    return {
        row["person_id"]: Person(
            row["person_id"],
            row["institution_id"],
            row["time_zone"],
            hours_from_json(row["weekly_hours"]),
            json.loads(row["pledges"]),
        )
        for row in rows
    }


async def list_pledged_people(tx: Tx, time_zone: str) -> list[UUID]:
    """Return the people of a zone for whom minutes were pledged, in id order."""
    rows = await tx.conn.fetch(
        "SELECT person_id FROM people WHERE time_zone = $1 AND pledges <> '{}' ORDER BY 1",
        time_zone,
    )
    return [row["person_id"] for row in rows]


async def list_pledged_zones(tx: Tx, person_ids: Collection[UUID]) -> list[str]:
    """Return the zones of those of these people for whom minutes were pledged, in order."""
    rows = await tx.conn.fetch(
        """
        SELECT DISTINCT time_zone FROM people
         WHERE person_id = ANY($1) AND pledges <> '{}'
         ORDER BY time_zone
        """,
        list(person_ids),
    )
    return [row["time_zone"] for row in rows]


async def insert_match(
    tx: Tx, match: Match, *, institution_ids: Sequence[str], activated_at: datetime
) -> None:
    """Keep an active match with the cause it was heard for; a known one is left as it is."""
    await tx.conn.execute(
        """
        INSERT INTO matches (match_id, programme_id, mentor_id, mentee_id, institution_ids,
                             activated_at, booking, deadline_at,
                             traceparent, correlationid, causationid)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (match_id) DO NOTHING
        """,
        match.match_id,
        match.programme_id,
        match.mentor_id,
        match.mentee_id,
        sorted(set(institution_ids)),
        activated_at,
        match.booking,
        match.deadline_at,
        *astuple(tx.cause),
    )


async def get_match(tx: Tx, match_id: UUID) -> Match | None:
    """Return a match and how far its booking has come."""
    row = await tx.conn.fetchrow(
        """
        SELECT match_id, programme_id, mentor_id, mentee_id, booking, reason, tries, deadline_at
          FROM matches
         WHERE match_id = $1
        """,
        match_id,
    )
    if row is None:
        return None

    return Match(
        match_id=row["match_id"],
        programme_id=row["programme_id"],
        mentor_id=row["mentor_id"],
        mentee_id=row["mentee_id"],
        booking=Booking(row["booking"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        tries=row["tries"],
        deadline_at=row["deadline_at"],
    )


async def update_match(tx: Tx, match: Match) -> None:
    """Keep how far a match's booking has come."""
    await tx.conn.execute(
        "UPDATE matches SET booking = $2, reason = $3, tries = $4 WHERE match_id = $1",
        match.match_id,
        match.booking,
        match.reason,
        match.tries,
    )


async def list_open_matches(
    tx: Tx,
    *,
    person_ids: Collection[UUID] = (),
    programme_id: str | None = None,
    institution_id: str | None = None,
) -> Mapping[UUID, Cause]:
    """Return the matches without a session that any of these facts concerns, in id order."""
    rows = await tx.conn.fetch(
        """
        SELECT match_id, traceparent, correlationid, causationid
          FROM matches
         WHERE booking <> 'booked'
           AND (mentor_id = ANY($1) OR mentee_id = ANY($1) OR programme_id = $2
                OR institution_ids @> ARRAY[$3::text])
         ORDER BY match_id
        """,
        list(person_ids),
        programme_id,
        institution_id,
    )
    return {
        row["match_id"]: Cause(row["traceparent"], row["correlationid"], row["causationid"])
        for row in rows
    }


def hours_to_json(hours: Sequence[WeeklyWindow]) -> str:
    """Return weekly hours as the tables keep them."""
    return json.dumps([astuple(window) for window in hours])


def hours_from_json(text: str) -> tuple[WeeklyWindow, ...]:
    """Return the weekly hours that a table keeps."""
    return tuple(WeeklyWindow(*window) for window in json.loads(text))
