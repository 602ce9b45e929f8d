"""A match: who, in which state, until when; and what can be said of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID


class Side(StrEnum):
    """Which half of a pair."""

    MENTOR = "mentor"
    MENTEE = "mentee"


class State(StrEnum):
    """Where a match stands, as everyone may see it."""

    PROPOSED = "proposed"
    OFFERED_TO_MENTOR = "offered_to_mentor"
    OFFERED_TO_MENTEE = "offered_to_mentee"
    ACTIVE = "active"
    DECLINED = "declined"
    EXPIRED = "expired"
    NOT_AVAILABLE = "not_available"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


OPEN = frozenset({State.PROPOSED, State.OFFERED_TO_MENTOR, State.OFFERED_TO_MENTEE})
OFFERED = {State.OFFERED_TO_MENTOR: Side.MENTOR, State.OFFERED_TO_MENTEE: Side.MENTEE}
"""The states in which a person is asked, and who."""


@dataclass(frozen=True, slots=True)
class Party:
    """One half of a match, at the profile version that was judged."""

    person_id: UUID
    institution_id: str
    version: int
    clears_at: datetime | None
    """When the center's policy says yes by itself; None where only a person does."""
    cleared: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """One pair's way from proposal to active or not.

    `barred` means that it will never go on (a veto, a conflict that came to light), which nobody
    is told before the window ends; until then `state` is what it was.
    """

    match_id: UUID
    programme_id: str
    mentor: Party
    mentee: Party
    state: State
    clear_by: datetime
    response_window: timedelta
    respond_by: datetime | None = None
    barred: bool = False
    barred_by: str | None = None
    """The center that vetoed; None where the network found the conflict."""
    declined_by: Side | None = None

    @property
    def open(self) -> bool:
        """Whether it can still become active, or be told that it cannot."""
        return self.state in OPEN

    @property
    def holds_seat(self) -> bool:
        """Whether a seat of the mentor is held or taken by it."""
        return self.state is State.ACTIVE or (self.state in OFFERED and not self.barred)

    @property
    def cleared(self) -> bool:
        """Whether both centers have said yes."""
        return self.mentor.cleared and self.mentee.cleared

    @property
    def deadline(self) -> datetime:
        """When waiting ends in the state it is in."""
        return self.clear_by if self.respond_by is None else self.respond_by

    def party(self, side: Side) -> Party:
        """Return one half."""
        return self.mentor if side is Side.MENTOR else self.mentee

    def sides_of(self, institution_id: str) -> tuple[Side, ...]:
        """Return the halves that belong to a center; empty where it is no party."""
        return tuple(side for side in Side if self.party(side).institution_id == institution_id)


@dataclass(frozen=True, slots=True)
class Proposed:
    """The pair was found."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """A center said yes."""

    institution_id: str
    by_policy: bool


@dataclass(frozen=True, slots=True)
class Offered:
    """A person is asked."""

    to: Side
    person_id: UUID
    respond_by: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """A person said yes."""

    by: Side
    person_id: UUID


@dataclass(frozen=True, slots=True)
class Activated:
    """The pair may meet."""


@dataclass(frozen=True, slots=True)
class Declined:
    """A person said no."""

    by: Side
    person_id: UUID


@dataclass(frozen=True, slots=True)
class Expired:
    """Nobody answered in time; `waiting_for` is `clearance` or the side that was asked."""

    waiting_for: str


@dataclass(frozen=True, slots=True)
class NotAvailable:
    """The pair cannot be."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """No seat was left."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """It was taken back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Barred:
    """It will not go on; kept in the history for the center that vetoed, and never said."""

    institution_id: str | None


@dataclass(frozen=True, slots=True)
class Unheeded:
    """An answer that changes nothing, since the match is barred; kept for the center that gave it."""

    institution_id: str
    answer: str


Ending = Declined | Expired | NotAvailable | Superseded | Withdrawn
Said = Proposed | Cleared | Offered | Accepted | Activated | Ending
Fact = Said | Barred | Unheeded


@dataclass(frozen=True, slots=True)
class Step:
    """What a match became, and what happened on the way, in order."""

    match: Match
    facts: tuple[Fact, ...]
