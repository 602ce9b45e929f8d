"""What a center's own system would do: hear of its matches, and answer for itself and its people."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from oncomentor_cli.demo.cast import CenterPlan
from oncomentor_cli.demo.observed import Observation
from oncomentor_client.credentials import Credentials
from oncomentor_client.http_route import HttpRoute
from oncomentor_client.journal import Verdict
from oncomentor_client.kafka_route import KafkaRoute
from oncomentor_client.message import Answer as Receipt
from oncomentor_client.message import Route
from oncomentor_client.responder import Responder
from oncomentor_client.session import Via
from oncomentor_client.subscriber import Received, Subscriber
from oncomentor_contracts import topics
from oncomentor_contracts.matching import Answer
from oncomentor_contracts.notification import ActionNeeded, MatchUpdated

_POLL_SECONDS = 0.3


@dataclass
class Agent:
    """Answers yes to everything its center is asked, from the first question that is still open.

    The center clears at once; its people answer when they have got their mail. Nothing is
    remembered between runs: what is open is read from the center's own topic, and an answer that
    was given before is the same event again.
    """

    center: CenterPlan
    credentials: Credentials
    observation: Observation
    answered: int = 0
    refused: list[Receipt] = field(default_factory=list)
    """Answers that the network did not take."""
    _asked: dict[tuple[UUID, UUID], MatchUpdated] = field(default_factory=dict)
    _given: set[UUID] = field(default_factory=set)

    async def run(self) -> None:
        """Hear and answer until cancelled.

        Raises:
            ClientError: the network can't be heard or answered.
        """
        topic = topics.EGRESS_MATCH.named(self.center.id)
        async with (
            self._route() as route,
            Subscriber(self.credentials, topic, start="beginning") as heard,
        ):
            responder = Responder(self.credentials, route)
            self._hear(await heard.backlog())
            while True:
                await self._answer(responder)
                self._note(await route.answers(0))
                self._hear(await heard.fetch(_POLL_SECONDS))

    def _route(self) -> Route:
        if self.center.answers_via is Via.HTTP:
            return HttpRoute(self.credentials, "matching")
        return KafkaRoute(self.credentials)

    def _hear(self, received: Sequence[Received]) -> None:
        """Keep the last word on each match, for each of the center's people in it."""
        for one in received:
            if isinstance(update := one.event, MatchUpdated):
                self._asked[update.match_id, update.person_id] = update

    async def _answer(self, responder: Responder) -> None:
        for key, update in list(self._asked.items()):
            answer = _answer_to(update)
            if answer is Answer.ACCEPT and not self.observation.has_asked(*key):
                continue  # the mail is on its way
            del self._asked[key]
            if answer is None:
                continue
            person_id = update.person_id if answer is Answer.ACCEPT else None
            given = await responder.respond(
                update.match_id, answer, person_id, traceparent=update.envelope.traceparent
            )
            self._given.add(given)
            self.answered += 1

    def _note(self, receipts: Sequence[Receipt]) -> None:
        # A center's receipts are for its people's rows, too.
        own = (one for one in receipts if one.event_id in self._given)
        self.refused += [one for one in own if one.verdict is Verdict.REJECTED]


def _answer_to(update: MatchUpdated) -> Answer | None:
    match update.action_needed:
        case ActionNeeded.CLEAR:
            return Answer.CLEAR
        case ActionNeeded.ACCEPT:
            return Answer.ACCEPT
        case _:
            return None


async def watch(
    credentials: Credentials, topic: str, observation: Observation, caught_up: asyncio.Event
) -> None:
    """Enter every record of a topic, from its beginning, until cancelled.

    `caught_up` is set when what was there at the start has been entered.
    """
    async with Subscriber(credentials, topic, start="beginning") as heard:
        for one in await heard.backlog():
            observation.take(one, time.monotonic())
        caught_up.set()
        while True:
            for one in await heard.fetch(_POLL_SECONDS):
                observation.take(one, time.monotonic())
