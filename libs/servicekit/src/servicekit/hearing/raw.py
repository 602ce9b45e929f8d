"""A batch as FastStream hands it on: raw records, which it neither decodes nor acknowledges."""

import re
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer
from faststream.kafka import KafkaMessage
from faststream.kafka.message import KafkaAckableMessage

from oncomentor_contracts.topics import Topic
from servicekit.hearing.verdict import Record


def parser(
    consumer: Callable[[], AIOKafkaConsumer],
) -> Callable[[tuple[Record, ...]], Awaitable[KafkaMessage]]:
    """Return what wraps the records of a batch; `consumer` tells whose they are."""

    async def parse(records: tuple[Record, ...]) -> KafkaMessage:
        first = records[0]
        return KafkaAckableMessage(
            body=b"",
            headers={},
            raw_message=records,
            message_id=f"{first.topic}/{first.partition}/{first.offset}",
            correlation_id="",
            consumer=consumer(),
        )

    return parse


async def decode(message: KafkaMessage) -> object:
    """Return the records."""
    return message.raw_message


def pattern(topic: Topic) -> str:
    """Return the contract's pattern without braces, which FastStream takes for parameters.

    It has no upper bound: the ids it lets through beyond the contract's are ignored one by one.
    """
    return re.sub(
        r"(\[[^]]+\])\{(\d+),\d+\}", lambda m: m[1] * int(m[2]) + f"{m[1]}*", topic.pattern
    )
