"""The whole network on a real stack, and the centers that use it as members do."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from devstack.stack import Stack
from oncomentor_client.credentials import Credentials
from oncomentor_client.kafka_route import KafkaRoute
from oncomentor_client.people import Person, read_people
from oncomentor_client.publisher import RowResult
from oncomentor_client.responder import Responder
from oncomentor_client.row import BadRow
from oncomentor_client.session import SessionOptions, Via, publishing
from oncomentor_client.subscriber import Subscriber
from oncomentor_client.token import TokenSource
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import pseudonym
from oncomentor_contracts.matching import Answer
from oncomentor_contracts.notification import ActionNeeded, MatchUpdated
from testkit.world import Row

_numbers = itertools.count(1)


class Network:
    """A running stack with all services, seen from outside: HTTP, Kafka and the mail inbox."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        """`folder` is where centers keep their files and journals."""
        self.stack = stack
        self.folder = folder

    def url(self, part: str) -> str:
        """Return the base address of a part's HTTP."""
        return f"http://{self.stack.address(part)}"

    async def put(self, path: str, body: Mapping[str, Any]) -> None:
        """Put something into the registry as the operator."""
        async with httpx.AsyncClient() as client:
            access = Credentials.load(self.stack.credentials("operator").path).oidc
            token = await TokenSource(access, client).token()
            answer = await client.put(
                f"{self.url('profile')}/v1/{path}",
                json=dict(body),
                headers={"Authorization": f"Bearer {token}"},
            )
            assert answer.is_success, answer.text

    async def programme(self, **changes: Any) -> str:
        """Define a fresh open programme; return its id."""
        programme_id = f"programme-{next(_numbers)}"
        body: dict[str, Any] = {
            "programme_id": programme_id,
            "owner": "consortium",
            "name": "A programme (synthetic)",
            "kind": "research",
            "weights": [{"criterion": "goals", "weight": 1.0}],
        }
        await self.put(f"programmes/{programme_id}", body | changes)
        return programme_id

    async def center(self, *, clearance: str = "manual") -> "Center":
        """Register and let in a fresh center."""
        center_id = f"center-{next(_numbers)}"
        body = {
            "institution_id": center_id,
            "name": f"Center {center_id} (synthetic)",
            "time_zone": "Europe/Lisbon",
            "jurisdiction": "PT",
            "policy": {"clearance": clearance, "survivor_lane": True},
        }
        await self.put(f"institutions/{center_id}", body)
        (made,) = await asyncio.to_thread(self.stack.provision, [center_id])
        return Center(self, Credentials.load(made.path), self.folder / center_id)

    async def mails(self) -> list[dict[str, Any]]:
        """Return what the mail catcher has, newest first, without bodies."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self.url('mail')}/api/messages")
            found: list[dict[str, Any]] = answer.json()
            return found

    async def events(self, topic: str) -> list[Event]:
        """Return every event of a public topic so far, as the consortium's downstream reads it."""
        credentials = Credentials.load(self.stack.credentials("downstream").path)
        async with Subscriber(credentials, topic, start="beginning") as subscriber:
            return [one.event for one in await subscriber.backlog() if one.event is not None]


class Center:
    """One member center: its credentials, its people and its agent that says yes."""

    def __init__(self, network: Network, credentials: Credentials, folder: Path) -> None:
        """Keep files and journal in `folder`."""
        self.network = network
        self.credentials = credentials
        self.id = credentials.institution_id
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def person_id(self, local_id: str) -> UUID:
        """Return a person's pseudonym, which the center alone can compute."""
        return pseudonym(self.credentials.center_key, self.id, local_id)

    async def publish(self, *rows: Row, via: Via = Via.KAFKA) -> list[RowResult]:
        """Publish people through the client library; return what became of each row."""
        path = self._folder / "people.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        read: list[Person | BadRow] = list(read_people(path))
        async with publishing(self.credentials, self._folder, SessionOptions(via=via)) as publisher:
            return [result async for result in publisher.publish(read)]

    @asynccontextmanager
    async def saying_yes(self) -> AsyncIterator[None]:
        """Clear and accept whatever the network asks of this center, until the block ends."""
        task = asyncio.create_task(self._say_yes())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _say_yes(self) -> None:
        topic = f"egress.{self.id}.match"
        async with (
            Subscriber(self.credentials, topic, start="beginning") as updates,
            KafkaRoute(self.credentials) as route,
        ):
            responder = Responder(self.credentials, route)
            async for one in updates:
                update = one.event
                if not isinstance(update, MatchUpdated):
                    continue
                because = update.envelope.traceparent
                if update.action_needed is ActionNeeded.CLEAR:
                    await responder.respond(update.match_id, Answer.CLEAR, traceparent=because)
                if update.action_needed is ActionNeeded.ACCEPT:
                    await responder.respond(
                        update.match_id, Answer.ACCEPT, update.person_id, traceparent=because
                    )


def independent_read(
    stack: Stack, holder: str, topic: str, *, seconds: float = 5.0
) -> list[tuple[dict[str, Any], bytes | None]]:
    """Read a topic from its beginning with confluent-kafka: not our client, not our code.

    Raises:
        PermissionError: the broker refused.
    """
    access = stack.credentials(holder).kafka
    errors: list[KafkaError] = []
    consumer = Consumer(
        {
            "bootstrap.servers": access["bootstrap"],
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": access["username"],
            "sasl.password": access["password"],
            "group.id": f"{access['group_prefix']}independent",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "error_cb": errors.append,
        }
    )
    try:
        return list(_everything(consumer, topic, seconds))
    except KafkaException as error:
        if "AUTHORIZATION" in error.args[0].name():
            raise PermissionError(error.args[0].name()) from error
        raise
    finally:
        consumer.close()


def _everything(
    consumer: Consumer, topic: str, seconds: float
) -> list[tuple[dict[str, Any], bytes | None]]:
    described = consumer.list_topics(topic, seconds).topics[topic]
    if described.error is not None:
        raise KafkaException(described.error)
    found = []
    for partition in described.partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), seconds)
        consumer.assign([TopicPartition(topic, partition, 0)])
        while end > 0 and (message := consumer.poll(seconds)) is not None:
            if message.error() is not None:
                raise KafkaException(message.error())
            found.append((dict(message.headers() or []), message.value()))
            if (message.offset() or 0) + 1 >= end:
                break
    return found
