"""The pool of a programme: its mentors and mentees as domain types, from our own rows."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from matching_service.domain.overlap import Hours
from matching_service.domain.pool import Center, Mentee, Mentor, Person, Training
from servicekit.tx import Tx

if TYPE_CHECKING:
    import asyncpg

Centers = Mapping[str, Center]


async def get_mentee(tx: Tx, programme_id: str, mentee_id: UUID, centers: Centers) -> Mentee | None:
    """Return someone's mentee side in a programme; None where there is none."""
    row = await tx.conn.fetchrow(
        """
        SELECT p.*, coalesce(a.time_zone, p.time_zone) AS free_zone,
               coalesce(a.weekly_hours, p.weekly_hours) AS free_hours,
               r.codes, r.urgency, r.capacity AS wanted,
               ARRAY(
                   SELECT CASE WHEN m.mentee_id = p.person_id THEN m.mentor_id
                               ELSE m.mentee_id END
                     FROM matches AS m
                    WHERE (m.mentee_id = p.person_id OR m.mentor_id = p.person_id)
                      AND (m.programme_id = r.programme_id
                           OR m.barred_at IS NOT NULL
                           OR m.state NOT IN ('expired', 'superseded', 'withdrawn'))
               ) AS met_before
          FROM roles AS r
          JOIN people AS p USING (person_id)
          LEFT JOIN availabilities AS a USING (person_id)
         WHERE r.programme_id = $1 AND r.side = 'mentee' AND r.person_id = $2
        """,
        programme_id,
        mentee_id,
    )
    if row is None:
        return None

    return Mentee(
        person=_person(row, centers),
        goals=frozenset(row["codes"]),
        urgency=row["urgency"],
        met_before=frozenset(row["met_before"]),
        wanted=row["wanted"],
    )


async def list_mentors(
    tx: Tx, programme_id: str, centers: Centers, *, only: Collection[UUID] | None = None
) -> list[Mentor]:
    """Return the mentors of a programme, or those of `only`; without it, those with a seat.

    What the database can tell cheaply is left out at once: paused people and full mentors. The
    rules decide about everyone who is left.
    """
    rows = await tx.conn.fetch(
        """
        SELECT p.*, coalesce(a.time_zone, p.time_zone) AS free_zone,
               coalesce(a.weekly_hours, p.weekly_hours) AS free_hours,
               coalesce(a.minutes_left_month, r.protected_minutes_month) AS minutes_left,
               r.codes, s.seats, s.seats_taken
          FROM roles AS r
          JOIN people AS p USING (person_id)
          JOIN mentor_seats AS s USING (programme_id, person_id)
          LEFT JOIN availabilities AS a USING (person_id)
         WHERE r.programme_id = $1 AND r.side = 'mentor'
           AND CASE WHEN $2::uuid[] IS NULL THEN p.active AND s.seats_taken < s.seats
                    ELSE r.person_id = ANY($2) END
        """,
        programme_id,
        only,
    )
    return [
        Mentor(
            person=_person(row, centers),
            offers=frozenset(row["codes"]),
            seats=row["seats"],
            seats_taken=row["seats_taken"],
            minutes_left=row["minutes_left"],
        )
        for row in rows
    ]


async def is_waiting(tx: Tx, programme_id: str, mentee_id: UUID) -> bool:
    """Tell whether a mentee wants more mentors than are proposed or active, and can have one."""
    found = await tx.conn.fetchval(
        "SELECT EXISTS (SELECT 1 FROM waiting_mentees WHERE programme_id = $1 AND person_id = $2)",
        programme_id,
        mentee_id,
    )
    return bool(found)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A mentee who could have one more mentor."""

    person_id: UUID
    since_at: datetime


async def list_waiting(
    tx: Tx, programme_id: str, *, after: Waiting | None, limit: int
) -> list[Waiting]:
    """Return waiting mentees of a programme after one of them, who waits longest first.

    Whom a `propose` row is waiting for already is left out: it will be worked on later than now
    and see what we see, and moving it back each time could keep it from ever coming up.
    """
    rows = await tx.conn.fetch(
        """
        SELECT person_id, since_at
          FROM waiting_mentees AS w
         WHERE programme_id = $1
           AND NOT EXISTS (
               SELECT 1 FROM kit.timers AS t
                WHERE t.kind = 'propose' AND t.claimed_until IS NULL
                  AND t.key = w.programme_id || ':' || w.person_id)
           AND ($2::timestamptz IS NULL OR (since_at, person_id) > ($2, $3::uuid))
         ORDER BY since_at, person_id
         LIMIT $4
        """,
        programme_id,
        after.since_at if after else None,
        after.person_id if after else None,
        limit,
    )
    return [Waiting(row["person_id"], row["since_at"]) for row in rows]


async def count_seats(tx: Tx, programme_id: str, mentor_id: UUID) -> tuple[int, int]:
    """Return a mentor's (seats, seats taken); none of either where there is no such mentor."""
    row = await tx.conn.fetchrow(
        """
        SELECT seats, seats_taken FROM mentor_seats WHERE programme_id = $1 AND person_id = $2
        """,
        programme_id,
        mentor_id,
    )
    return (row["seats"], row["seats_taken"]) if row else (0, 0)


def _person(row: "asyncpg.Record", centers: Centers) -> Person:
    institution_id = row["institution_id"]
    # A center that was never heard of, or has left, takes part in nothing.
    center = centers.get(institution_id) or Center(institution_id, "", active=False)
    return Person(
        person_id=row["person_id"],
        center=center,
        version=row["version"],
        changed_at=row["changed_at"],
        active=row["active"],
        time_zone=row["free_zone"],
        hours=_hours(row["free_hours"]),
        languages=tuple(row["languages"]),
        career_stage=row["career_stage"],
        modalities=frozenset(row["modalities"]),
        communication_styles=frozenset(row["communication_styles"]),
        topics=frozenset(row["topics"]),
        methods=frozenset(row["methods"]),
        unit_key=row["unit_key"],
        lab_key=row["lab_key"],
        reporting_line_keys=frozenset(row["reporting_line_keys"]),
        evaluated_unit_keys=frozenset(row["evaluated_unit_keys"]),
        blocked_person_ids=frozenset(row["blocked_person_ids"]),
        identity_tokens=frozenset(row["identity_tokens"]),
        conflict_tokens=frozenset(row["conflict_tokens"]),
        training=tuple(_training(json.loads(row["training"]))),
        consents=frozenset(row["consents"]),
    )


def _hours(text: str) -> Hours:
    return tuple((weekday, starts, ends) for weekday, starts, ends in json.loads(text))


def _training(records: Iterable[tuple[str, str, str | None]]) -> Iterable[Training]:
    for code, completed_on, valid_until_on in records:
        yield Training(
            code,
            date.fromisoformat(completed_on),
            date.fromisoformat(valid_until_on) if valid_until_on else None,
        )
