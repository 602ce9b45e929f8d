"""What the HTTP edge answers from; row-level security decides what of it a caller sees."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from servicekit.tx import Tx

Row = Mapping[str, Any]


async def list_matches(
    tx: Tx, *, programme_id: str | None, state: str | None, before: UUID | None, limit: int
) -> Sequence[Row]:
    """Return matches, the newest first, after the match `before` in that order.

    No column tells a barred match from one that still waits.
    """
    rows = await tx.conn.fetch(
        """
        SELECT match_id, programme_id, state, score, proposed_at, clear_by, respond_by, settled_at,
               mentor_id, mentor_institution_id, mentor_version, mentor_cleared,
               mentee_id, mentee_institution_id, mentee_version, mentee_cleared
          FROM matches
         WHERE ($1::text IS NULL OR programme_id = $1)
           AND ($2::text IS NULL OR state = $2)
           AND ($3::uuid IS NULL OR (proposed_at, match_id) < (
                SELECT proposed_at, match_id FROM matches WHERE match_id = $3))
         ORDER BY proposed_at DESC, match_id DESC
         LIMIT $4
        """,
        programme_id,
        state,
        before,
        limit,
    )
    return [dict(row) for row in rows]


async def get_match(tx: Tx, match_id: UUID) -> Row | None:
    """Return one match with its explanation (JSON text); None where the caller sees none."""
    row = await tx.conn.fetchrow(
        """
        SELECT match_id, programme_id, state, score, proposed_at, clear_by, respond_by, settled_at,
               mentor_id, mentor_institution_id, mentor_version, mentor_cleared,
               mentee_id, mentee_institution_id, mentee_version, mentee_cleared, explanation
          FROM matches
         WHERE match_id = $1
        """,
        match_id,
    )
    return None if row is None else dict(row)


async def list_steps(tx: Tx, match_id: UUID) -> Sequence[Row]:
    """Return the story of a match in order, as far as it is the caller's to read."""
    rows = await tx.conn.fetch(
        "SELECT at, fact, detail FROM match_steps WHERE match_id = $1 ORDER BY step", match_id
    )
    return [dict(row) for row in rows]


async def has_programme(tx: Tx, programme_id: str) -> bool:
    """Tell whether there is a programme."""
    found = await tx.conn.fetchval(
        "SELECT EXISTS (SELECT 1 FROM programmes WHERE programme_id = $1)", programme_id
    )
    return bool(found)


async def count_pool(tx: Tx, programme_id: str) -> Sequence[Row]:
    """Return per institution how many mentors, seats and mentees a programme has, and who waits.

    Each part is counted by itself: joined, row-level security keeps the planner from seeing how
    many rows there are, and it loops over all of them for each.
    """
    rows = await tx.conn.fetch(
        """
        SELECT institution_id,
               sum(mentors)::integer AS mentors, sum(mentees)::integer AS mentees,
               sum(paused)::integer AS paused, sum(seats)::integer AS seats,
               sum(seats_taken)::integer AS seats_taken, sum(waiting)::integer AS waiting
          FROM (
              SELECT r.institution_id,
                     count(*) FILTER (WHERE r.side = 'mentor' AND p.active) AS mentors,
                     count(*) FILTER (WHERE r.side = 'mentee' AND p.active) AS mentees,
                     count(*) FILTER (WHERE NOT p.active) AS paused,
                     0 AS seats, 0 AS seats_taken, 0 AS waiting
                FROM roles AS r
                JOIN people AS p USING (person_id)
               WHERE r.programme_id = $1
               GROUP BY r.institution_id
              UNION ALL
              SELECT institution_id, 0, 0, 0, sum(seats), sum(seats_taken), 0
                FROM mentor_seats
               WHERE programme_id = $1
               GROUP BY institution_id
              UNION ALL
              SELECT institution_id, 0, 0, 0, 0, 0, count(*)
                FROM waiting_mentees
               WHERE programme_id = $1
               GROUP BY institution_id
          ) AS counted
         GROUP BY institution_id
         ORDER BY institution_id
        """,
        programme_id,
    )
    return [dict(row) for row in rows]


async def list_longest_waiting(tx: Tx, programme_id: str, limit: int) -> Sequence[Row]:
    """Return the mentees who wait for a mentor, who waits longest first."""
    rows = await tx.conn.fetch(
        """
        SELECT person_id, institution_id, since_at
          FROM waiting_mentees
         WHERE programme_id = $1
         ORDER BY since_at, person_id
         LIMIT $2
        """,
        programme_id,
        limit,
    )
    return [dict(row) for row in rows]
