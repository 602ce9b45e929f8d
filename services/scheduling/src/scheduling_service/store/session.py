"""Sessions, who attends them, the minutes they draw, and the link that opens them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from uuid import UUID

from scheduling_service.domain.session import Attendee, Draw, Session, Side
from scheduling_service.domain.zone import TZDB_VERSION
from servicekit.tx import Tx


class _RefusedError(Exception):
    """Rolls back to before the session; it never leaves this module."""


async def insert_session(tx: Tx, session: Session, draw: Draw | None) -> bool:
    """Book a session for all its attendees and draw its minutes, or leave no trace of it.

    False where an attendee's time is taken or the pledge has too few minutes left: the caller
    may try another start in the same transaction. Attendees are inserted in id order with ON
    CONFLICT DO NOTHING: plain inserts against an exclusion constraint deadlock under contention.
    """
    try:
        async with tx.conn.transaction():
            if draw is not None and not await _draw_minutes(tx, draw):
                raise _RefusedError
            await _insert_session(tx, session)
            if await _insert_attendees(tx, session) < len(session.attendees):
                raise _RefusedError
    except _RefusedError:
        return False

    return True


async def _draw_minutes(tx: Tx, draw: Draw) -> bool:
    status = await tx.conn.execute(
        """
        INSERT INTO protected_months AS p (person_id, programme_id, month_on, minutes_drawn)
        SELECT $1, $2, $3, $4::integer WHERE $4 <= $5::integer
        ON CONFLICT (person_id, programme_id, month_on) DO UPDATE
           SET minutes_drawn = p.minutes_drawn + excluded.minutes_drawn
         WHERE p.minutes_drawn + excluded.minutes_drawn <= $5
        """,
        draw.person_id,
        draw.programme_id,
        draw.month,
        draw.minutes,
        draw.pledged,
    )
    return status == "INSERT 0 1"


async def _insert_session(tx: Tx, session: Session) -> None:
    await tx.conn.execute(
        """
        INSERT INTO sessions (session_id, match_id, programme_id, institution_ids, status,
                              starts_at, ends_at, starts_on, wall_time, time_zone,
                              duration_minutes, tzdb_version, ical_uid, ical_sequence, booked_at)
        VALUES ($1, $2, $3, $4, 'booked', $5, $6, $7, $8, $9, $10, $11, $12, 0, $13)
        """,
        session.session_id,
        session.match_id,
        session.programme_id,
        _institution_ids(session),
        session.starts_at,
        session.ends_at,
        session.starts_on,
        session.wall_time,
        session.time_zone,
        session.minutes,
        TZDB_VERSION,
        session.ical_uid,
        tx.now,
    )


async def _insert_attendees(tx: Tx, session: Session) -> int:
    rows = await tx.conn.fetch(
        """
        INSERT INTO session_attendees (session_id, person_id, institution_id, side, time_zone,
                                       institution_ids, status, occupied)
        SELECT $1, person_id, institution_id, side, time_zone, $6, 'booked', tstzrange($7, $8)
          FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[])
               AS a (person_id, institution_id, side, time_zone)
         ORDER BY person_id
        ON CONFLICT DO NOTHING
        RETURNING person_id
        """,
        session.session_id,
        [attendee.person_id for attendee in session.attendees],
        [attendee.institution_id for attendee in session.attendees],
        [attendee.side for attendee in session.attendees],
        [attendee.time_zone for attendee in session.attendees],
        _institution_ids(session),
        session.starts_at,
        session.occupied_until,
    )
    return len(rows)


def _institution_ids(session: Session) -> list[str]:
    return sorted({attendee.institution_id for attendee in session.attendees})


async def insert_link(tx: Tx, session_id: UUID, url: str) -> bool:
    """Keep a session's link; False where it has one already, which then stays the only one."""
    status = await tx.conn.execute(
        """
        INSERT INTO links (session_id, url, issued_at) VALUES ($1, $2, $3)
        ON CONFLICT (session_id) DO NOTHING
        """,
        session_id,
        url,
        tx.now,
    )
    return status == "INSERT 0 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session as the HTTP edge shows it; `wall_time` on `starts_on` is in `time_zone`."""

    session_id: UUID
    match_id: UUID
    programme_id: str
    status: str
    starts_at: datetime
    ends_at: datetime
    starts_on: date
    wall_time: time
    time_zone: str
    duration_minutes: int
    tzdb_version: str
    ical_uid: str
    ical_sequence: int
    attendees: tuple[Attendee, ...] = ()


_SESSION = """
    SELECT session_id, match_id, programme_id, status, starts_at, ends_at, starts_on, wall_time,
           time_zone, duration_minutes, tzdb_version, ical_uid, ical_sequence
      FROM sessions
"""


async def list_sessions(
    tx: Tx, *, after: tuple[datetime, UUID], limit: int
) -> Sequence[SessionRow]:
    """Return the sessions that the role may see behind (start, id), in that order."""
    rows = await tx.conn.fetch(
        _SESSION
        + "WHERE (starts_at, session_id) > ($1, $2) ORDER BY starts_at, session_id LIMIT $3",
        *after,
        limit,
    )
    attendees = await _list_attendees(tx, [row["session_id"] for row in rows])
    return [SessionRow(**row, attendees=attendees.get(row["session_id"], ())) for row in rows]


async def get_session(tx: Tx, session_id: UUID) -> SessionRow | None:
    """Return a session; None where there is none that the role may see."""
    row = await tx.conn.fetchrow(_SESSION + "WHERE session_id = $1", session_id)
    if row is None:
        return None

    attendees = await _list_attendees(tx, [session_id])
    return SessionRow(**row, attendees=attendees.get(session_id, ()))


async def _list_attendees(
    tx: Tx, session_ids: Sequence[UUID]
) -> Mapping[UUID, tuple[Attendee, ...]]:
    rows = await tx.conn.fetch(
        """
        SELECT session_id, person_id, institution_id, side, time_zone
          FROM session_attendees
         WHERE session_id = ANY($1)
         ORDER BY session_id, side DESC, person_id
        """,
        session_ids,
    )
    attendees: dict[UUID, tuple[Attendee, ...]] = {}
    for row in rows:
        attendee = Attendee(
            row["person_id"], row["institution_id"], Side(row["side"]), row["time_zone"]
        )
        attendees[row["session_id"]] = (*attendees.get(row["session_id"], ()), attendee)
    return attendees
