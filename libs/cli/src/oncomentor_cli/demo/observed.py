"""What can be seen of the story from outside: topics that the centers and downstream may read."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from oncomentor_cli.demo.cast import CENTERS
from oncomentor_client.subscriber import Received
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
from oncomentor_contracts.notification import (
    DeliveryFailed,
    DeliveryIntended,
    DeliverySent,
    Template,
)
from oncomentor_contracts.receipt import ReceiptAccepted, ReceiptRejected
from oncomentor_contracts.scheduling import SessionBooked, SessionUnbookable

_ENDINGS = (
    MatchDeclined, MatchExpired, MatchNotAvailable, MatchSuperseded, MatchWithdrawn,
)  # fmt: skip
_OF_A_MATCH = (MatchCleared, MatchOffered, MatchAccepted, MatchActivated, *_ENDINGS)
_IDS = frozenset(center.id for center in CENTERS)


@dataclass(frozen=True, slots=True)
class Seen:
    """One event, when it was said, by whom and where."""

    event: Event
    at: datetime
    source: str
    topic: str


@dataclass(slots=True)
class Match:
    """One match of the demonstration's centers: its proposal and every step since, in order."""

    proposed: Seen
    steps: list[Seen] = field(default_factory=list)

    @property
    def proposal(self) -> MatchProposed:
        """Who, and why."""
        assert isinstance(self.proposed.event, MatchProposed)  # noqa: S101 - made so, below
        return self.proposed.event

    @property
    def pair(self) -> tuple[str, UUID, UUID]:
        """Programme, mentor, mentee."""
        said = self.proposal
        return said.programme_id, said.mentor.person_id, said.mentee.person_id

    @property
    def is_active(self) -> bool:
        """Whether both centers and both people said yes."""
        return bool(self.of(MatchActivated))

    @property
    def ending(self) -> Event | None:
        """How it ended without becoming active."""
        return next((one.event for one in self.steps if isinstance(one.event, _ENDINGS)), None)

    def of(self, kind: type[Event]) -> list[Seen]:
        """Return the steps of one kind."""
        return [one for one in self.steps if isinstance(one.event, kind)]


@dataclass
class Observation:
    """Everything seen so far. Events of others than the demonstration's centers are passed over."""

    matches: dict[UUID, Match] = field(default_factory=dict)
    sessions: dict[UUID, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    """Booked and unbookable, by match."""
    intended: dict[UUID, Seen] = field(default_factory=dict)
    """Decided deliveries, by delivery."""
    settled: dict[UUID, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    """What became of deliveries."""
    receipts: list[Seen] = field(default_factory=list)
    faults: list[Received] = field(default_factory=list)
    """Records that nobody can understand; there must be none."""
    values: list[tuple[str, bytes]] = field(default_factory=list)
    """Every value as it came, with its topic: what others than the centers could read."""
    last_news_at: float = 0.0

    def take(self, received: Received, now: float) -> None:
        """Enter one record; `now` is a monotonic clock's."""
        if received.value is not None and not received.topic.startswith(("ingress.", "egress.")):
            self.values.append((received.topic, received.value))
        if received.event is None or received.envelope is None:
            self.faults.append(received)
            return
        envelope = received.envelope
        seen = Seen(received.event, envelope.time, envelope.source, received.topic)
        if self._enter(seen):
            self.last_news_at = now

    def active(self) -> list[Match]:
        """Return the active matches, oldest first."""
        found = [match for match in self.matches.values() if match.is_active]
        return sorted(found, key=lambda match: match.proposed.at)

    def booked(self, match_id: UUID) -> list[Seen]:
        """Return the bookings of a match."""
        return [s for s in self.sessions.get(match_id, []) if isinstance(s.event, SessionBooked)]

    def deliveries_of(self, match_id: UUID) -> list[DeliveryIntended]:
        """Return what was decided to be told about a match, in order of time."""
        seen = sorted(self.intended.values(), key=lambda one: one.at)
        events = (one.event for one in seen)
        return [e for e in events if isinstance(e, DeliveryIntended) and e.match_id == match_id]

    def sent(self, delivery_id: UUID) -> DeliverySent | None:
        """Return that a message was sent; None where it was not, or not yet."""
        for one in self.settled.get(delivery_id, []):
            if isinstance(one.event, DeliverySent):
                return one.event
        return None

    def has_asked(self, match_id: UUID, person_id: UUID) -> bool:
        """Return whether the offer of a match was mailed to one of its people."""
        return any(
            told.person_id == person_id
            and told.template is Template.MATCH_OFFERED
            and self.sent(told.delivery_id) is not None
            for told in self.deliveries_of(match_id)
        )

    def counts(self) -> dict[str, int]:
        """Return how much there is of everything; equal before and after a run that did nothing."""
        return {
            "proposed": len(self.matches),
            "active": len(self.active()),
            "sessions": sum(len(self.booked(match_id)) for match_id in self.matches),
            "deliveries": len(self.intended),
            "sent": sum(self.sent(one) is not None for one in self.intended),
        }

    def _enter(self, seen: Seen) -> bool:
        event = seen.event
        if isinstance(event, ReceiptAccepted | ReceiptRejected):
            self.receipts.append(seen)
        elif isinstance(event, MatchProposed):
            if {event.mentor.institution_id, event.mentee.institution_id} <= _IDS:
                self.matches.setdefault(event.match_id, Match(seen))
        elif isinstance(event, _OF_A_MATCH):
            return self._enter_step(seen, event.match_id)
        else:
            return self._enter_consequence(seen)
        return True

    def _enter_consequence(self, seen: Seen) -> bool:
        event = seen.event
        if isinstance(event, SessionBooked | SessionUnbookable):
            self.sessions[event.match_id].append(seen)
        elif isinstance(event, DeliveryIntended):
            if event.institution_id in _IDS:
                self.intended[event.delivery_id] = seen
        elif isinstance(event, DeliverySent | DeliveryFailed):
            self.settled[event.delivery_id].append(seen)
        else:
            return False
        return True

    def _enter_step(self, seen: Seen, match_id: UUID) -> bool:
        # One key, one partition: a match's steps come after its proposal.
        if match_id not in self.matches:
            return False
        self.matches[match_id].steps.append(seen)
        return True


def first_receipt(observation: Observation, person_id: UUID) -> Seen | None:
    """Return the first receipt that a person's row was taken in by."""
    return _first(
        observation.receipts,
        lambda event: isinstance(event, ReceiptAccepted) and event.about == str(person_id),
    )


def _first(seen: Iterable[Seen], wanted: Callable[[Event], bool]) -> Seen | None:
    return min((one for one in seen if wanted(one.event)), key=lambda one: one.at, default=None)
