"""Everything that is known when the story has been played: what was planned and what was seen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from oncomentor_cli.demo.agents import Agent
from oncomentor_cli.demo.cast import CENTERS, PROGRAMMES
from oncomentor_cli.demo.files import CenterFile
from oncomentor_cli.demo.inbox import Mail
from oncomentor_cli.demo.observed import Match, Observation
from oncomentor_cli.demo.rules import Known, unserved
from oncomentor_client.credentials import Credentials
from oncomentor_client.publisher import RowOutcome, RowResult
from oncomentor_contracts.notification import DeliveryIntended, Template
from oncomentor_contracts.programme import Programme

PROGRAMME_BY_ID: Mapping[str, Programme] = {one.programme_id: one for one in PROGRAMMES}
CENTER_NAMES: Mapping[str, str] = {one.id: one.entry.name for one in CENTERS}


@dataclass
class World:
    """The plan, the actors and what was observed."""

    home: Path
    began_at: datetime
    files: tuple[CenterFile, ...] = ()
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    people: Mapping[UUID, Known] = field(default_factory=dict)
    agents: list[Agent] = field(default_factory=list)
    results: dict[str, list[RowResult]] = field(default_factory=dict)
    """Rows and what became of them, by center."""
    observation: Observation = field(default_factory=Observation)
    mails: list[Mail] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    """Counts as they were before anybody published."""

    def count(self, outcome: RowOutcome) -> int:
        """Return how many rows of all centers had that outcome."""
        return sum(one.outcome is outcome for rows in self.results.values() for one in rows)

    def counts(self) -> dict[str, int]:
        """Return how much there is now, mails included."""
        return {**self.observation.counts(), "mails": len(self.mails)}

    def is_repetition(self) -> bool:
        """Return whether this run had nothing new to say, and the one before had come to its end."""
        said = self.count(RowOutcome.ACCEPTED) + sum(agent.answered for agent in self.agents)
        return said == 0 and bool(self.before.get("active"))

    def mail_of(self, delivery_id: UUID) -> list[Mail]:
        """Return the mails that a delivery was sent as; there should be one."""
        sent = self.observation.sent(delivery_id)
        if sent is None:
            return []
        return [mail for mail in self.mails if mail.message_id.strip() == sent.message_id.strip()]

    def loose_ends(self) -> Iterator[str]:
        """Yield what still has to happen, in the order in which it would."""
        for match in self.observation.matches.values():
            yield from self._loose_ends_of(match)
        for delivery_id in self.observation.intended:
            if not self.observation.settled.get(delivery_id):
                yield f"delivery {delivery_id} is neither sent nor failed"
            elif self.observation.sent(delivery_id) and not self.mail_of(delivery_id):
                yield f"the mail of delivery {delivery_id} is not in the inbox"

    def unserved(self) -> list[str]:
        """Return mentees who wait though a seat they could have is free."""
        observation = self.observation
        active = [match.pair for match in observation.active()]
        tried = frozenset(match.pair for match in observation.matches.values())
        return [
            f"{mentee.center_id} {mentee.local_id} could have {mentor.center_id} "
            f"{mentor.local_id} in {programme.programme_id}"
            for mentee, mentor, programme in unserved(self.people, active, tried, self.began_at)
        ]

    def expected_templates(self, match: Match) -> list[Template]:
        """Return what has to be told about an active match: two offers, two invitations."""
        offers = [Template.MATCH_OFFERED] * 2
        session = self.observation.sessions.get(match.proposal.match_id)
        if not session:
            return offers
        is_booked = bool(self.observation.booked(match.proposal.match_id))
        told = Template.SESSION_INVITATION if is_booked else Template.SESSION_UNBOOKABLE
        return [*offers, told, told]

    def deliveries(self, match: Match) -> list[DeliveryIntended]:
        """Return what was decided to be told about a match."""
        return self.observation.deliveries_of(match.proposal.match_id)

    def _loose_ends_of(self, match: Match) -> Iterator[str]:
        match_id = match.proposal.match_id
        if match.ending is not None:
            return
        if not match.is_active:
            last = match.steps[-1].event.TYPE if match.steps else match.proposal.TYPE
            yield f"match {match_id} is not active; its last step was {last}"
            return
        if not self.observation.sessions.get(match_id):
            yield f"match {match_id} has no session"
            return
        told = [one.template for one in self.deliveries(match)]
        for template in set(self.expected_templates(match)):
            if told.count(template) < self.expected_templates(match).count(template):
                yield f"match {match_id} lacks a delivery of {template.value}"
