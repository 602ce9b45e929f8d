"""A match as one of its centers sees it, and what that center is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from notification_service.domain.match import Match, MatchState, Party, Side


class Clearance(StrEnum):
    """How a center says yes to a pair."""

    AUTO = "auto"
    WINDOW = "window"
    MANUAL = "manual"


class Action(StrEnum):
    """What a center, or its person through it, is asked for."""

    NONE = "none"
    CLEAR = "clear"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class CenterView:
    """One side's view; it names people by pseudonym alone."""

    side: Side
    own: Party
    counterpart: Party
    action: Action
    respond_by: datetime | None
    session_starts_at: datetime | None

    @property
    def person_id(self) -> UUID:
        """The center's own person."""
        return self.own.person_id


def views(
    match: Match, clearances: Mapping[str, Clearance], session_starts_at: datetime | None
) -> tuple[CenterView, CenterView]:
    """Return how the mentor's and the mentee's center see the match, in this order.

    A center with both people of the pair gets both views: one for each of its people.
    A center whose policy is not known yet is asked to clear, which is what a center that set
    none does by hand; being asked once too often costs nothing, being forgotten costs the match.
    """
    mentor, mentee = (
        _view(match, side, clearances, session_starts_at) for side in (Side.MENTOR, Side.MENTEE)
    )
    return mentor, mentee


def _view(
    match: Match,
    side: Side,
    clearances: Mapping[str, Clearance],
    session_starts_at: datetime | None,
) -> CenterView:
    own = match.party(side)
    action = _action(match, side, clearances.get(own.institution_id, Clearance.MANUAL))
    deadlines = {
        Action.NONE: None,
        Action.CLEAR: match.clear_by,
        Action.ACCEPT: match.respond_by,
    }
    return CenterView(
        side=side,
        own=own,
        counterpart=match.party(side.other),
        action=action,
        respond_by=deadlines[action],
        session_starts_at=session_starts_at,
    )


def _action(match: Match, side: Side, clearance: Clearance) -> Action:
    if match.asked is side:
        return Action.ACCEPT
    if match.state is not MatchState.PROPOSED or clearance is not Clearance.MANUAL:
        return Action.NONE
    return Action.NONE if match.party(side).institution_id in match.cleared else Action.CLEAR
