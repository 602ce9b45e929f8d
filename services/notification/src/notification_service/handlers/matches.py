"""Following matches, and telling both centers of each step as it is heard."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from notification_service.domain import work
from notification_service.domain.match import Match, MatchState, Party, Side, best_reasons
from notification_service.domain.view import views
from notification_service.gateways.center import match_updates
from notification_service.store import matches as store
from notification_service.store.registry import list_clearances
from oncomentor_contracts import matching
from oncomentor_contracts.event import Event
from oncomentor_contracts.matching import (
    MatchAccepted,
    MatchActivated,
    MatchCleared,
    MatchDeclined,
    MatchExpired,
    MatchNotAvailable,
    MatchOffered,
    MatchProposed,
    MatchSuperseded,
    MatchWithdrawn,
)
from servicekit.errors import UnprocessableError
from servicekit.tx import Tx

Ending = MatchDeclined | MatchExpired | MatchNotAvailable | MatchSuperseded | MatchWithdrawn


async def tell_of_proposal(event: MatchProposed, tx: Tx) -> Sequence[Event]:
    """Keep a new match with its best reasons, and tell both centers.

    Emits:
        MatchUpdated: one for each side; a center that clears by hand is asked to.
    """
    match = Match(
        match_id=event.match_id,
        programme_id=event.programme_id,
        mentor=_party(event.mentor),
        mentee=_party(event.mentee),
        score=event.score,
        reasons=best_reasons((c.points, c.reason) for c in event.explanation.contributions),
        clear_by=event.clear_by,
    )
    await store.insert_match(tx, match)
    return await _updates(match, tx)


async def tell_of_clearance(event: MatchCleared, tx: Tx) -> Sequence[Event]:
    """Note that a center said yes, and tell both centers."""
    return await _step(event.match_id, lambda match: match.cleared_by(event.institution_id), tx)


async def tell_of_offer(event: MatchOffered, tx: Tx) -> Sequence[Event]:
    """Note who is being asked, have them asked, and tell both centers.

    Raises:
        UnprocessableError: the side asked is a word that a newer matching says.
    """
    side = _side(event.to)
    await tx.schedule(
        work.ASK_PERSON,
        f"{event.match_id}/{side.value}",
        tx.now,
        {"match_id": str(event.match_id), "side": side.value},
    )
    return await _step(event.match_id, lambda match: match.offered(side, event.respond_by), tx)


async def tell_of_yes(event: MatchAccepted, tx: Tx) -> Sequence[Event]:
    """Note that the person asked said yes, and tell both centers that nobody is asked now."""
    return await _step(event.match_id, Match.answered, tx)


async def tell_of_match(event: MatchActivated, tx: Tx) -> Sequence[Event]:
    """Note that all have said yes, tell both centers, and look whether a session is there."""
    await tx.schedule(
        work.TELL_SESSIONS,
        f"match/{event.match_id}",
        tx.now,
        {"match_id": str(event.match_id)},
    )
    return await _step(event.match_id, Match.activated, tx)


def tell_of_end(state: MatchState) -> Callable[[Ending, Tx], Awaitable[Sequence[Event]]]:
    """Return the handler of facts that end a match in this state before it became active."""

    async def tell_of_this_end(event: Ending, tx: Tx) -> Sequence[Event]:
        return await _step(event.match_id, lambda match: match.closed(state), tx)

    return tell_of_this_end


async def _step(match_id: UUID, step: Callable[[Match], Match], tx: Tx) -> Sequence[Event]:
    match = await store.lock_match(tx, match_id)
    if match is None:
        raise UnprocessableError(f"match {match_id} goes on without having been proposed")

    moved = step(match)
    await store.update_match(tx, moved)
    return await _updates(moved, tx)


async def _updates(match: Match, tx: Tx) -> Sequence[Event]:
    centers = {match.mentor.institution_id, match.mentee.institution_id}
    clearances = await list_clearances(tx, centers)
    session_starts_at = await store.get_next_start(tx, match.match_id)
    return match_updates(match, views(match, clearances, session_starts_at), tx.now)


def _party(party: matching.Party) -> Party:
    return Party(party.person_id, party.institution_id)


def _side(side: matching.Side) -> Side:
    if side is matching.Side.UNKNOWN:
        raise UnprocessableError("the side asked is a word this version does not know")
    return Side(side.value)
