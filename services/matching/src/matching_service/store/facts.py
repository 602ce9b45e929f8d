"""What happened to a match, as the events that say it and the lines that its story keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from matching_service.domain.match import (
    Accepted,
    Activated,
    Barred,
    Cleared,
    Declined,
    Ending,
    Expired,
    Match,
    NotAvailable,
    Offered,
    Party,
    Proposed,
    Said,
    Step,
    Superseded,
    Unheeded,
    Withdrawn,
)
from matching_service.domain.rules.book import Checked
from matching_service.domain.score import Score
from oncomentor_contracts import matching as said
from oncomentor_contracts.event import Event
from oncomentor_contracts.programme import Criterion

CONSORTIUM = "consortium"
_LINE = 200  # characters that the contract allows in a fact or a reason


def explained(rules: Sequence[Checked], score: Score, criteria_version: int) -> said.Explanation:
    """Return why a pair was proposed, as both centers read it."""
    return said.Explanation(
        criteria_version=criteria_version,
        rules=tuple(said.RuleChecked(rule=c.rule, fact=c.fact[:_LINE]) for c in rules),
        contributions=tuple(
            said.Contribution(
                criterion=Criterion(c.criterion),
                weight=min(1.0, c.weight),
                value=None if c.value is None else min(1.0, c.value),
                points=min(1.0, c.points),
                reason=c.reason[:_LINE],
            )
            for c in score.contributions
        ),
    )


@dataclass(frozen=True, slots=True)
class Proposal:
    """A new match, how well the pair fits, and why."""

    score: float
    explanation: said.Explanation


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a match's story; `private_to` is the only center that reads it, if set."""

    fact: str
    detail: Mapping[str, Any]
    private_to: str | None = None


def told(
    step: Step, now: datetime, proposal: Proposal | None = None
) -> tuple[list[Event], list[Line]]:
    """Return what to say of a step, and what its story keeps, in order.

    A new match comes with its proposal. What must not be said is kept all the same, for the
    center that did it.
    """
    events: list[Event] = []
    lines: list[Line] = []
    for fact in step.facts:
        if isinstance(fact, Barred | Unheeded):
            lines.append(_private_line(fact))
            continue
        event = _event(step.match, fact, now, proposal)
        events.append(event)
        lines.append(_line(event))
    return events, lines


def _line(event: Event) -> Line:
    """Return the word in the middle of the type, and what the match's row does not hold anyway."""
    held = {"match_id", "programme_id", "mentor", "mentee", "explanation"}
    return Line(event.TYPE.split(".")[1], event.model_dump(mode="json", exclude=held))


def _private_line(fact: Barred | Unheeded) -> Line:
    match fact:
        case Barred(None):
            return Line("conflict_found", {}, private_to=CONSORTIUM)
        case Barred(institution_id):
            return Line("vetoed", {}, private_to=institution_id)
        case Unheeded(institution_id, answer):
            return Line("noted", {"answer": answer}, private_to=institution_id)
        case _:
            assert_never(fact)


def _event(match: Match, fact: Said, now: datetime, proposal: Proposal | None) -> Event:
    match_id = match.match_id
    match fact:
        case Proposed():
            return _proposed(match, proposal)
        case Cleared(institution_id, by_policy):
            by = said.ClearedBy.POLICY if by_policy else said.ClearedBy.PERSON
            return said.MatchCleared(match_id=match_id, institution_id=institution_id, by=by)
        case Offered(to, person_id, respond_by):
            return said.MatchOffered(
                match_id=match_id, to=said.Side(to), person_id=person_id, respond_by=respond_by
            )
        case Accepted(by, person_id):
            return said.MatchAccepted(match_id=match_id, by=said.Side(by), person_id=person_id)
        case Activated():
            return _activated(match, now)
        case _:
            return _ending(match, fact)


def _ending(match: Match, fact: Ending) -> Event:
    match_id = match.match_id
    match fact:
        case Declined(by, person_id):
            return said.MatchDeclined(match_id=match_id, by=said.Side(by), person_id=person_id)
        case Expired(waiting_for):
            return said.MatchExpired(match_id=match_id, waiting_for=said.Stage(waiting_for))
        case NotAvailable():
            return said.MatchNotAvailable(match_id=match_id)
        case Superseded():
            return said.MatchSuperseded(match_id=match_id)
        case Withdrawn(reason):
            return said.MatchWithdrawn(match_id=match_id, reason=said.WithdrawalReason(reason))
        case _:
            assert_never(fact)


def _proposed(match: Match, proposal: Proposal | None) -> said.MatchProposed:
    if proposal is None:
        raise ValueError("a match is proposed once, with its score and its reasons")
    return said.MatchProposed(
        match_id=match.match_id,
        programme_id=match.programme_id,
        mentor=_party(match.mentor),
        mentee=_party(match.mentee),
        score=proposal.score,
        explanation=proposal.explanation,
        clear_by=match.clear_by,
    )


def _activated(match: Match, now: datetime) -> said.MatchActivated:
    return said.MatchActivated(
        match_id=match.match_id,
        programme_id=match.programme_id,
        mentor=_party(match.mentor),
        mentee=_party(match.mentee),
        activated_at=now,
    )


def _party(party: Party) -> said.Party:
    return said.Party(
        person_id=party.person_id,
        institution_id=party.institution_id,
        profile_version=party.version,
    )
