"""Matches and their sessions, as they were heard."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from notification_service.domain.match import Match, MatchState, Party, Side
from notification_service.domain.notice import Booking, Session
from servicekit.tx import Tx

if TYPE_CHECKING:
    import asyncpg


async def insert_match(tx: Tx, match: Match) -> None:
    """Write a match that was just proposed."""
    await tx.conn.execute(
        """
        INSERT INTO matches
               (match_id, programme_id, mentor_id, mentor_institution_id, mentee_id,
                mentee_institution_id, score, reasons, clear_by, state, cleared)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '{}')
        """,
        match.match_id,
        match.programme_id,
        match.mentor.person_id,
        match.mentor.institution_id,
        match.mentee.person_id,
        match.mentee.institution_id,
        match.score,
        list(match.reasons),
        match.clear_by,
        match.state.value,
    )


async def update_match(tx: Tx, match: Match) -> None:
    """Write what can change of a match; the caller holds its lock."""
    await tx.conn.execute(
        """
        UPDATE matches
           SET state = $2, cleared = $3, asked = $4, respond_by = $5
         WHERE match_id = $1
        """,
        match.match_id,
        match.state.value,
        sorted(match.cleared),
        match.asked,
        match.respond_by,
    )


async def get_match(tx: Tx, match_id: UUID) -> Match | None:
    """Return a match as it stands; None where its proposal has not been heard."""
    row = await tx.conn.fetchrow("SELECT * FROM matches WHERE match_id = $1", match_id)
    return _match(row) if row else None


async def lock_match(tx: Tx, match_id: UUID) -> Match | None:
    """Return a match, locked until `tx` ends; None where its proposal has not been heard.

    Whatever is said of a match on its centers' topics is said under this lock, so that what
    comes from matching and what comes from scheduling keep one order.
    """
    row = await tx.conn.fetchrow("SELECT * FROM matches WHERE match_id = $1 FOR UPDATE", match_id)
    return _match(row) if row else None


def _match(row: "asyncpg.Record") -> Match:
    return Match(
        match_id=row["match_id"],
        programme_id=row["programme_id"],
        mentor=Party(row["mentor_id"], row["mentor_institution_id"]),
        mentee=Party(row["mentee_id"], row["mentee_institution_id"]),
        score=row["score"],
        reasons=tuple(row["reasons"]),
        clear_by=row["clear_by"],
        state=MatchState(row["state"]),
        cleared=frozenset(row["cleared"]),
        asked=Side(row["asked"]) if row["asked"] else None,
        respond_by=row["respond_by"],
    )


async def upsert_session(tx: Tx, session: Session) -> None:
    """Write a session as scheduling said it last; nobody has been told of that yet."""
    booking = session.booking
    await tx.conn.execute(
        """
        INSERT INTO sessions
               (session_id, match_id, booked, starts_at, duration_minutes, time_zone, ical_uid,
                ical_sequence)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (session_id) DO UPDATE
           SET booked = excluded.booked, starts_at = excluded.starts_at,
               duration_minutes = excluded.duration_minutes, time_zone = excluded.time_zone,
               ical_uid = excluded.ical_uid, ical_sequence = excluded.ical_sequence,
               told_at = NULL
        """,
        session.session_id,
        session.match_id,
        booking is not None,
        booking and booking.starts_at,
        booking and booking.duration_minutes,
        booking and booking.time_zone,
        booking and booking.ical_uid,
        booking and booking.revision,
    )


async def lock_untold_sessions(tx: Tx, match_id: UUID) -> Sequence[Session]:
    """Return a match's sessions that nobody was told of as they stand, locked, in id order."""
    rows = await tx.conn.fetch(
        """
        SELECT *
          FROM sessions
         WHERE match_id = $1 AND told_at IS NULL
         ORDER BY session_id
           FOR UPDATE
        """,
        match_id,
    )
    return [_session(row) for row in rows]


def _session(row: "asyncpg.Record") -> Session:
    booking = Booking(
        starts_at=row["starts_at"],
        duration_minutes=row["duration_minutes"],
        time_zone=row["time_zone"],
        ical_uid=row["ical_uid"],
        revision=row["ical_sequence"],
    )
    return Session(row["session_id"], row["match_id"], booking if row["booked"] else None)


async def update_sessions_told(tx: Tx, session_ids: Sequence[UUID]) -> None:
    """Note that people and centers are told of these sessions as they stand."""
    await tx.conn.execute(
        "UPDATE sessions SET told_at = $2 WHERE session_id = ANY($1::uuid[])",
        list(session_ids),
        tx.now,
    )


async def get_next_start(tx: Tx, match_id: UUID) -> datetime | None:
    """Return when the next session begins that the centers were told of; None without one."""
    starts_at: datetime | None = await tx.conn.fetchval(
        """
        SELECT min(starts_at)
          FROM sessions
         WHERE match_id = $1 AND told_at IS NOT NULL AND starts_at > $2
        """,
        match_id,
        tx.now,
    )
    return starts_at
