"""One match from its two profiles to its invitations, as it could be seen from outside."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from oncomentor_cli.demo.observed import Match, Seen, first_receipt
from oncomentor_cli.demo.world import CENTER_NAMES, World
from oncomentor_contracts.event import Event
from oncomentor_contracts.matching import (
    ClearedBy,
    MatchAccepted,
    MatchCleared,
    MatchOffered,
    MatchProposed,
)
from oncomentor_contracts.scheduling import SessionBooked


@dataclass(frozen=True, slots=True)
class Moment:
    """One step: when, what, by whom, and where it could be read."""

    at: datetime
    event: str
    by: str
    where: str
    what: str


def told_match(world: World) -> Match | None:
    """Return the match whose story is told: the same one at every run over the same data.

    The one in which most people had to say yes, the oldest of them.
    """
    active = world.observation.active()
    return max(active, key=lambda match: (_cleared_by_people(match), -match.proposed.at.timestamp()),
               default=None)  # fmt: skip


def timeline(world: World, match: Match) -> list[Moment]:
    """Return the steps of a match, oldest first."""
    moments = [
        *_profiles(world, match),
        *(_moment(one, world) for one in (match.proposed, *match.steps)),
        *(_moment(one, world) for one in world.observation.booked(match.proposal.match_id)),
        *_messages(world, match),
    ]
    return sorted(moments, key=lambda moment: moment.at)


def short(person_id: UUID) -> str:
    """Return enough of a pseudonym to tell people apart by eye."""
    return str(person_id)[:8]


def _cleared_by_people(match: Match) -> int:
    events = (one.event for one in match.of(MatchCleared))
    return sum(isinstance(e, MatchCleared) and e.by is ClearedBy.PERSON for e in events)


def _profiles(world: World, match: Match) -> Iterator[Moment]:
    said = match.proposal
    for side, party in (("mentor", said.mentor), ("mentee", said.mentee)):
        seen = first_receipt(world.observation, party.person_id)
        if seen is not None:
            center = CENTER_NAMES[party.institution_id]
            what = f"the {side}'s profile, {short(party.person_id)} of {center}, is taken in"
            yield Moment(seen.at, seen.event.TYPE, _said_by(seen), seen.topic, what)


def _messages(world: World, match: Match) -> Iterator[Moment]:
    for delivery in world.deliveries(match):
        for seen in world.observation.settled.get(delivery.delivery_id, []):
            to = f"{delivery.template.value} to the {delivery.side.value}"
            yield Moment(seen.at, seen.event.TYPE, _said_by(seen), seen.topic, to)
        for mail in world.mail_of(delivery.delivery_id):
            calendar = f", .ics: {mail.calendar.summary}" if mail.calendar else ""
            what = f"“{mail.subject}”{calendar}"
            yield Moment(mail.received_at, "mail", "SMTP", ", ".join(mail.recipients), what)


def _moment(seen: Seen, world: World) -> Moment:
    return Moment(seen.at, seen.event.TYPE, _said_by(seen), seen.topic, _what(seen.event))


def _what(event: Event) -> str:
    match event:
        case MatchProposed():
            return (
                f"{event.programme_id}: mentor of {CENTER_NAMES[event.mentor.institution_id]}, "
                f"mentee of {CENTER_NAMES[event.mentee.institution_id]}, score {event.score:.2f}"
            )
        case MatchCleared():
            how = "its policy" if event.by is ClearedBy.POLICY else "a person there"
            return f"{CENTER_NAMES[event.institution_id]} says yes, by {how}"
        case MatchOffered():
            return f"the {event.to.value} is asked, {short(event.person_id)}"
        case MatchAccepted():
            return f"the {event.by.value} says yes, {short(event.person_id)}"
        case SessionBooked():
            return f"{event.starts_at:%Y-%m-%d %H:%M} UTC, {event.duration_minutes} minutes"
        case _:
            return "both centers and both people have said yes"


def _said_by(seen: Seen) -> str:
    return seen.source.rpartition("/")[2]
