"""Deciding who is told what."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from notification_service.domain.match import Match, MatchState, Party, Side


class Template(StrEnum):
    """What a message says."""

    MATCH_OFFERED = "match_offered"
    SESSION_INVITATION = "session_invitation"
    SESSION_UNBOOKABLE = "session_unbookable"


@dataclass(frozen=True, slots=True)
class Booking:
    """When a session takes place; `revision` rises each time it is moved."""

    starts_at: datetime
    duration_minutes: int
    time_zone: str
    ical_uid: str
    revision: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a match; without a booking no hour could be found for it."""

    session_id: UUID
    match_id: UUID
    booking: Booking | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something one half of a pair could be told."""

    template: Template
    match: Match
    side: Side
    session: Session | None = None

    @property
    def person(self) -> Party:
        """Who would be told."""
        return self.match.party(self.side)

    @property
    def counterpart(self) -> Party:
        """The other half."""
        return self.match.party(self.side.other)

    @property
    def names_counterpart(self) -> bool:
        """Whether the message may say who the other half is: only once all have said yes."""
        return self.match.state is MatchState.ACTIVE

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it this notice and no other: decided again, it is the same one."""
        about = self.session.session_id if self.session else self.match.match_id
        booking = self.session.booking if self.session else None
        revision = booking.revision if booking else 0
        return (self.template.value, str(about), str(self.person.person_id), str(revision))


class Decision(StrEnum):
    """What becomes of a notice."""

    SEND = "send"
    DUPLICATE = "duplicate"


def ask(match: Match, side: Side) -> Notice | None:
    """Return the question to one half, or None where it is not being asked any more."""
    return Notice(Template.MATCH_OFFERED, match, side) if match.asked is side else None


def tell(match: Match, session: Session) -> tuple[Notice, ...]:
    """Return what both halves are told of a session, mentor first; nothing before all said yes.

    Scheduling's word alone is not enough: names are in these messages, and matching must have
    said that both may see them.
    """
    if match.state is not MatchState.ACTIVE:
        return ()
    template = Template.SESSION_INVITATION if session.booking else Template.SESSION_UNBOOKABLE
    return tuple(Notice(template, match, side, session) for side in (Side.MENTOR, Side.MENTEE))


def decide(notice: Notice, decided_before: frozenset[tuple[str, ...]]) -> Decision:
    """Return what becomes of a notice, given the identities that were decided before.

    The order of the questions is part of the rule: suppressed address, mandatory category,
    preference, duplicate, digest, quiet hours, rate. So far people cannot say what they want
    or when, so of these only the duplicate can be asked; a new question goes in its place here.
    """
    if notice.identity in decided_before:
        return Decision.DUPLICATE

    return Decision.SEND
