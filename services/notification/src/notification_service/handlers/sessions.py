"""Keeping sessions and their links; a job tells of them once the match is known to be active.

Matching and scheduling speak on topics of their own, and either may be heard first. So a
session is only stored here, and both its arrival and the match's activation set the same job
off, under keys of their own: whichever commits last sees both.
"""

from collections.abc import Sequence

from notification_service.domain import work
from notification_service.domain.notice import Booking, Session
from notification_service.store import matches as store
from notification_service.store import registry
from oncomentor_contracts.event import Event
from oncomentor_contracts.scheduling import LinkIssued, SessionBooked, SessionUnbookable
from servicekit.tx import Tx


async def store_booking(event: SessionBooked, tx: Tx) -> Sequence[Event]:
    """Keep when a session takes place, and have it told."""
    booking = Booking(
        starts_at=event.starts_at,
        duration_minutes=event.duration_minutes,
        time_zone=event.time_zone,
        ical_uid=event.ical_uid,
        revision=event.ical_sequence,
    )
    return await _store(Session(event.session_id, event.match_id, booking), tx)


async def store_unbookable(event: SessionUnbookable, tx: Tx) -> Sequence[Event]:
    """Keep that no hour was found for a session, and have it told."""
    return await _store(Session(event.session_id, event.match_id, None), tx)


async def store_link(event: LinkIssued, tx: Tx) -> Sequence[Event]:
    """Keep where a session meets; the invitation that waits for it finds it."""
    await registry.upsert_link(tx, event.session_id, event.url)
    return []


async def _store(session: Session, tx: Tx) -> Sequence[Event]:
    await store.upsert_session(tx, session)
    await tx.schedule(
        work.TELL_SESSIONS,
        f"session/{session.session_id}",
        tx.now,
        {"match_id": str(session.match_id)},
    )
    return []
