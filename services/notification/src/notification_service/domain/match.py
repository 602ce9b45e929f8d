"""A match as this service knows it, and how each fact moves it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

REASONS_TOLD: Final = 3  # more than three reasons are not read


class Side(StrEnum):
    """Which half of a pair."""

    MENTOR = "mentor"
    MENTEE = "mentee"

    @property
    def other(self) -> "Side":
        """The half across."""
        return Side.MENTEE if self is Side.MENTOR else Side.MENTOR


class MatchState(StrEnum):
    """Where a match stands."""

    PROPOSED = "proposed"
    OFFERED_TO_MENTOR = "offered_to_mentor"
    OFFERED_TO_MENTEE = "offered_to_mentee"
    ACTIVE = "active"
    DECLINED = "declined"
    EXPIRED = "expired"
    NOT_AVAILABLE = "not_available"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Party:
    """One half of a pair."""

    person_id: UUID
    institution_id: str


@dataclass(frozen=True, slots=True)
class Match:
    """A match; `asked` is the half whose answer is awaited now, until `respond_by`."""

    match_id: UUID
    programme_id: str
    mentor: Party
    mentee: Party
    score: float
    reasons: tuple[str, ...]
    clear_by: datetime
    state: MatchState = MatchState.PROPOSED
    cleared: frozenset[str] = frozenset()
    asked: Side | None = None
    respond_by: datetime | None = None

    def party(self, side: Side) -> Party:
        """Return the half of the pair on that side."""
        return self.mentor if side is Side.MENTOR else self.mentee

    def cleared_by(self, institution_id: str) -> "Match":
        """Return the match after a center said yes, for each of its people in the pair."""
        return replace(self, cleared=self.cleared | {institution_id})

    def offered(self, to: Side, respond_by: datetime) -> "Match":
        """Return the match after one half was asked."""
        asking_mentor = to is Side.MENTOR
        state = MatchState.OFFERED_TO_MENTOR if asking_mentor else MatchState.OFFERED_TO_MENTEE
        return replace(self, state=state, asked=to, respond_by=respond_by)

    def answered(self) -> "Match":
        """Return the match after the asked half said yes: nobody is asked until the next fact."""
        return replace(self, asked=None, respond_by=None)

    def activated(self) -> "Match":
        """Return the match after everybody said yes."""
        return replace(self.answered(), state=MatchState.ACTIVE)

    def closed(self, state: MatchState) -> "Match":
        """Return the match after it ended before it became active."""
        return replace(self.answered(), state=state)


def best_reasons(contributions: Iterable[tuple[float, str]]) -> tuple[str, ...]:
    """Return the reasons that gave most points, best first, ties in the order given.

    What gave no points is no reason.
    """
    counted = [(points, reason) for points, reason in contributions if points > 0]
    ordered = sorted(counted, key=lambda pair: -pair[0])  # sorted() keeps the order of equals
    return tuple(reason for _, reason in ordered[:REASONS_TOLD])
