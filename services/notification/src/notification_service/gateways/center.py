"""What a center is told of a match, in the contract's words."""

from collections.abc import Iterable
from datetime import datetime

from notification_service.domain.match import Match
from notification_service.domain.view import CenterView
from oncomentor_contracts import matching, notification
from oncomentor_contracts.notification import MatchUpdated


def match_updates(match: Match, views: Iterable[CenterView], at: datetime) -> list[MatchUpdated]:
    """Return one update per view, each for the topic of the view's own center."""
    return [
        MatchUpdated(
            institution_id=view.own.institution_id,
            match_id=match.match_id,
            programme_id=match.programme_id,
            state=notification.MatchState(match.state.value),
            side=matching.Side(view.side.value),
            person_id=view.person_id,
            counterpart_id=view.counterpart.person_id,
            counterpart_institution_id=view.counterpart.institution_id,
            score=match.score,
            reasons=match.reasons,
            action_needed=notification.ActionNeeded(view.action.value),
            respond_by=view.respond_by,
            session_starts_at=view.session_starts_at,
            at=at,
        )
        for view in views
    ]
