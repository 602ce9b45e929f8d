"""Which institutions the network's own registry names: the keys of topic `profile.institution`."""

import re
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from devstack.broker import Broker
from devstack.errors import DevstackError
from oncomentor_contracts.topics import INSTITUTION_ID, PROFILE_INSTITUTION, RESERVED_WORDS

_READ_SECONDS = 20.0


def check_id(institution_id: str) -> str:
    """Return the id.

    Raises:
        DevstackError: it is not one that an institution may have.
    """
    if not re.fullmatch(INSTITUTION_ID, institution_id) or institution_id in RESERVED_WORDS:
        raise DevstackError(
            f"{institution_id!r} can't be an institution's id: take 3 to 40 small letters, digits "
            "and hyphens, and no word that the network itself uses"
        )
    return institution_id


def registered_institutions(broker: Broker) -> set[str]:
    """Return the institutions whose last record is not a deletion, read to the present end."""
    consumer = Consumer(
        {
            **broker.client_config(),
            "group.id": "devstack",  # asked for by the library; nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        return {found for found in _living_keys(consumer) if _is_id(found)}
    finally:
        consumer.close()


def _living_keys(consumer: Consumer) -> set[str]:
    topic = PROFILE_INSTITUTION.name
    partitions = _partitions(consumer, topic)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    living: set[str] = set()
    unread = set(partitions)
    deadline = time.monotonic() + _READ_SECONDS
    while unread:
        message = consumer.poll(0.2)
        if time.monotonic() > deadline:
            raise DevstackError(
                "Kafka did not give the registry of institutions in time: run this again"
            )
        if message is None:
            continue
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                unread.discard(message.partition() or 0)
            continue
        key = (message.key() or b"").decode(errors="replace")
        (living.discard if message.value() is None else living.add)(key)
    return living


def _partitions(consumer: Consumer, topic: str) -> tuple[int, ...]:
    """Return the topic's partitions, once the broker knows them: it may just have been made."""
    deadline = time.monotonic() + _READ_SECONDS
    while time.monotonic() < deadline:
        described = consumer.list_topics(topic, timeout=_READ_SECONDS).topics[topic]
        if described.error is None and described.partitions:
            return tuple(described.partitions)
        time.sleep(0.1)
    raise DevstackError("Kafka does not know the registry of institutions: run this again")


def _is_id(text: str) -> bool:
    return bool(re.fullmatch(INSTITUTION_ID, text)) and text not in RESERVED_WORDS
