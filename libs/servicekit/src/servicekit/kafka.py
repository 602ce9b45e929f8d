"""How this service reaches Kafka, and what aiokafka can't tell: topics' identities and our rights."""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from faststream.kafka.security import parse_security
from faststream.security import SASLScram512

from servicekit.errors import StartupError, TransientError
from servicekit.settings import Settings, secret

_TIMEOUT_SECONDS = 10.0
_NOT_OURS = {"UNKNOWN_TOPIC_OR_PART", "TOPIC_AUTHORIZATION_FAILED"}


@dataclass(frozen=True, slots=True)
class Rights:
    """What Kafka lets us do: operations (READ, WRITE ...) on each topic that is there for us."""

    topics: Mapping[str, Collection[str]]
    group: bool
    """Whether we may consume in the group asked for; True where none was."""


def security(settings: Settings) -> SASLScram512:
    """Return FastStream's description of how we authenticate."""
    tls = settings.kafka_security == "SASL_SSL"
    return SASLScram512(
        username=settings.kafka_username,
        password=secret(settings.kafka_password_file),
        use_ssl=tls,
        ssl_context=ssl.create_default_context() if tls else None,
    )


def client_arguments(settings: Settings) -> dict[str, Any]:
    """Return what an aiokafka client needs to connect; it holds the password, so never log it."""
    return {
        "bootstrap_servers": settings.kafka_bootstrap,
        **parse_security(security(settings)),
    }


async def topic_ids(settings: Settings, topics: Collection[str]) -> dict[str, str]:
    """Return the broker's id of each topic that exists and that we may describe.

    Raises:
        TransientError: the broker did not answer.
    """
    found = await _Admin(settings).topics(topics)
    return {name: str(topic.topic_id) for name, topic in found.items()}


async def topic_id(settings: Settings, topic: str) -> str:
    """Return the broker's id of one topic.

    Raises:
        TransientError: the broker did not answer, or there is no such topic for us.
    """
    found = (await topic_ids(settings, {topic})).get(topic)
    if found is None:
        raise TransientError(f"{topic} is not there or not ours to read")
    return found


async def rights(settings: Settings, topics: Collection[str], group: str | None) -> Rights:
    """Return what we may do on these topics and in this group.

    Raises:
        TransientError: the broker did not answer.
        StartupError: it refused our password.
    """
    admin = _Admin(settings)
    try:
        found = await admin.topics(topics, operations=True)
        allowed = group is None or await admin.may_join(group)
    except TransientError as error:
        if admin.was_refused():
            raise StartupError(
                f"Kafka refused the password of user {settings.kafka_username}: check "
                "ONCOMENTOR_KAFKA_USERNAME and _PASSWORD_FILE"
            ) from error
        raise
    named = {
        name: frozenset(operation.name for operation in topic.authorized_operations or ())
        for name, topic in found.items()
    }
    return Rights(named, allowed)


class _Admin:
    """One look at the broker, without a thread of ours that a stopping process would wait for."""

    def __init__(self, settings: Settings) -> None:
        arguments = client_arguments(settings)
        self._refused = False
        self._client = AdminClient(
            {
                "bootstrap.servers": arguments["bootstrap_servers"],
                "security.protocol": arguments["security_protocol"],
                "sasl.mechanism": arguments["sasl_mechanism"],
                "sasl.username": arguments["sasl_plain_username"],
                "sasl.password": arguments["sasl_plain_password"],
                "log_level": 0,
            },
            error_cb=self._note,
        )

    def _note(self, error: KafkaError) -> None:
        self._refused |= error.name() == "_AUTHENTICATION"

    def was_refused(self) -> bool:
        self._client.poll(0)  # hands over what it has to say
        return self._refused

    async def topics(self, names: Collection[str], *, operations: bool = False) -> dict[str, Any]:
        if not names:
            return {}
        futures = self._client.describe_topics(
            TopicCollection(list(names)),
            request_timeout=_TIMEOUT_SECONDS,
            include_authorized_operations=operations,
        )
        answers = {name: await _answer(future, _NOT_OURS) for name, future in futures.items()}
        return {name: answer for name, answer in answers.items() if answer is not None}

    async def may_join(self, group: str) -> bool:
        (future,) = self._client.describe_consumer_groups(
            [group], request_timeout=_TIMEOUT_SECONDS, include_authorized_operations=True
        ).values()
        described = await _answer(future, {"GROUP_AUTHORIZATION_FAILED"})
        if described is None:
            return False
        operations = described.authorized_operations
        return operations is None or "READ" in {operation.name for operation in operations}


async def _answer(future: "Future[Any]", refusals: Collection[str]) -> Any:
    """Return what the broker answered; None for one of these refusals."""
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return await asyncio.wrap_future(future)
    except KafkaException as error:
        if error.args[0].name() in refusals:
            return None
        raise TransientError(f"Kafka: {error.args[0].name()}") from error
    except TimeoutError as error:
        raise TransientError("Kafka did not answer in time") from error
