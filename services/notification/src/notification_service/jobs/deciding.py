"""Deciding who is told what of a match and its sessions, from the rows as they stand now.

A service that was rebuilt hears its own decisions before these jobs open, and says none twice.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from notification_service.domain.match import Match, MatchState, Side
from notification_service.domain.notice import Decision, Notice, Session, ask, decide, tell
from notification_service.domain.view import views
from notification_service.gateways.center import match_updates
from notification_service.store import deliveries, matches
from notification_service.store.registry import list_clearances
from oncomentor_contracts import matching, notification
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.notification import Channel, DeliveryIntended, Invitation
from servicekit.subscription import Timer
from servicekit.tx import Tx

_SUBJECT: Final = "delivery"


async def ask_person(timer: Timer, tx: Tx) -> Sequence[Event]:
    """Decide to ask the person an offer went to, unless it is no longer theirs to answer.

    Emits:
        DeliveryIntended: once for each person and match.
    """
    match = await matches.get_match(tx, UUID(timer.payload["match_id"]))
    notice = ask(match, Side(timer.payload["side"])) if match else None
    return await _intend([notice] if notice else [], tx)


async def tell_sessions(timer: Timer, tx: Tx) -> Sequence[Event]:
    """Tell people and centers of the sessions of a match, once the match is known to be active.

    Emits:
        DeliveryIntended: for each half of the pair, once for each revision of a session.
        MatchUpdated: to both centers, where a session was booked.
    """
    match = await matches.lock_match(tx, UUID(timer.payload["match_id"]))
    if match is None or match.state is not MatchState.ACTIVE:
        return []  # its activation sets this job off again
    sessions = await matches.lock_untold_sessions(tx, match.match_id)
    if not sessions:
        return []

    await matches.update_sessions_told(tx, [session.session_id for session in sessions])
    notices = [notice for session in sessions for notice in tell(match, session)]
    intents = await _intend(notices, tx)
    return [*intents, *await _center_updates(match, sessions, tx)]


async def _center_updates(match: Match, told: Sequence[Session], tx: Tx) -> Sequence[Event]:
    if not any(session.booking for session in told):
        return []
    centers = {match.mentor.institution_id, match.mentee.institution_id}
    clearances = await list_clearances(tx, centers)
    starts_at = await matches.get_next_start(tx, match.match_id)
    return match_updates(match, views(match, clearances, starts_at), tx.now)


async def _intend(notices: Sequence[Notice], tx: Tx) -> list[Event]:
    ids = {notice.identity: derived_id(_SUBJECT, *notice.identity) for notice in notices}
    decided = await deliveries.list_decided(tx, ids.values())
    before = frozenset(identity for identity, made in ids.items() if made in decided)
    intents = [
        _intent(notice, ids[notice.identity])
        for notice in notices
        if decide(notice, before) is Decision.SEND
    ]
    for intent in intents:
        await deliveries.insert_delivery(tx, deliveries.of_intent(intent, tx.now))
    return list(intents)


def _intent(notice: Notice, delivery_id: UUID) -> DeliveryIntended:
    match, counterpart = notice.match, notice.counterpart
    return DeliveryIntended(
        delivery_id=delivery_id,
        person_id=notice.person.person_id,
        institution_id=notice.person.institution_id,
        counterpart_id=counterpart.person_id if notice.names_counterpart else None,
        counterpart_institution_id=counterpart.institution_id,
        match_id=match.match_id,
        programme_id=match.programme_id,
        side=matching.Side(notice.side.value),
        channel=Channel.MAIL,
        template=notification.Template(notice.template.value),
        respond_by=match.respond_by,
        invitation=_invitation(notice.session),
    )


def _invitation(session: Session | None) -> Invitation | None:
    if session is None or session.booking is None:
        return None
    booking = session.booking
    return Invitation(
        session_id=session.session_id,
        starts_at=booking.starts_at,
        duration_minutes=booking.duration_minutes,
        time_zone=booking.time_zone,
        ical_uid=booking.ical_uid,
        ical_sequence=booking.revision,
    )
