"""How this service reaches Kafka, and the one thing aiokafka can't tell: a topic's identity."""

import asyncio
import ssl
from collections.abc import Collection
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from faststream.kafka.security import parse_security
from faststream.security import SASLScram512

from servicekit.errors import TransientError
from servicekit.settings import Settings, secret

_TIMEOUT_SECONDS = 10.0


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
    return await asyncio.to_thread(_topic_ids, settings, list(topics))


async def topic_id(settings: Settings, topic: str) -> str:
    """Return the broker's id of one topic.

    Raises:
        TransientError: the broker did not answer, or there is no such topic for us.
    """
    found = (await topic_ids(settings, {topic})).get(topic)
    if found is None:
        raise TransientError(f"{topic} is not there or not ours to read")
    return found


def _topic_ids(settings: Settings, topics: list[str]) -> dict[str, str]:
    arguments = client_arguments(settings)
    admin = AdminClient(
        {
            "bootstrap.servers": arguments["bootstrap_servers"],
            "security.protocol": arguments["security_protocol"],
            "sasl.mechanism": arguments["sasl_mechanism"],
            "sasl.username": arguments["sasl_plain_username"],
            "sasl.password": arguments["sasl_plain_password"],
            "log_level": 0,
        }
    )
    futures = admin.describe_topics(TopicCollection(topics), request_timeout=_TIMEOUT_SECONDS)
    found = {}
    for name, future in futures.items():
        try:
            found[name] = str(future.result(_TIMEOUT_SECONDS).topic_id)
        except KafkaException as error:
            if error.args[0].name() not in {
                "UNKNOWN_TOPIC_OR_PART",
                "TOPIC_AUTHORIZATION_FAILED",
            }:
                raise TransientError(f"Kafka: {error.args[0].name()}") from error
        except TimeoutError as error:
            raise TransientError("Kafka did not describe its topics in time") from error
    return found
