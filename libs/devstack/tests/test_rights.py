import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from devstack.stack import Stack

TOPICS = tomllib.loads((Path(__file__).parents[3] / "deploy/kafka/topics.toml").read_text())
NORTH, SOUTH = "north-hospital", "south-hospital"
SHARED_NAMES = [topic["name"] for topic in TOPICS["topic"] if "{" not in topic["name"]]
NORTHS_OWN = {
    f"ingress.{NORTH}.profile": "write",
    f"ingress.{NORTH}.response": "write",
    f"egress.{NORTH}.receipt": "read",
    f"egress.{NORTH}.match": "read",
}
EVERY_TOPIC = [*SHARED_NAMES, *NORTHS_OWN, *(name.replace(NORTH, SOUTH) for name in NORTHS_OWN)]
DENIED = KafkaError.TOPIC_AUTHORIZATION_FAILED


def config(
    login: Mapping[str, str], **more: str | int | bool
) -> dict[str, str | int | float | bool]:
    return {
        "bootstrap.servers": login["bootstrap"],
        "security.protocol": login["security"],
        "sasl.mechanism": login["mechanism"],
        "sasl.username": login["username"],
        "sasl.password": login["password"],
        "log_level": 0,
        **{name.replace("_", "."): value for name, value in more.items()},
    }


def refusal_to_write(
    login: Mapping[str, str], topics: list[str], *, idempotent: bool = True
) -> dict[str, int | None]:
    """Return per topic the error code of one produced record; None where it was taken."""
    producer = Producer(config(login, enable_idempotence=idempotent, message_timeout_ms=10_000))
    outcome: dict[str, int | None] = {}

    for topic in topics:

        def note(error: KafkaError | None, message: object, topic: str = topic) -> None:
            outcome[topic] = error.code() if error else None

        producer.produce(topic, b"{}", b"key", on_delivery=note)
    producer.flush(20)
    return outcome


def refusal_to_read(login: Mapping[str, str], topics: list[str]) -> dict[str, int | None]:
    """Return per topic the error code of reading it from its beginning; None where one may."""
    group = f"{login['group_prefix']}{uuid4()}"
    consumer = Consumer(
        config(login, group_id=group, enable_partition_eof=True, enable_auto_commit=False)
    )
    described = {topic: consumer.list_topics(topic, timeout=10).topics[topic] for topic in topics}
    outcome: dict[str, int | None] = {}
    outcome |= {topic: int(one.error.code()) for topic, one in described.items() if one.error}
    asked = dict.fromkeys(topic for topic in topics if topic not in outcome)
    consumer.assign([TopicPartition(topic, 0, 0) for topic in asked])
    while len(asked) > len(set(asked) & set(outcome)):
        message = consumer.poll(15)
        assert message is not None, f"neither records nor a refusal came: {asked.keys() - outcome}"
        code = code_of(message)
        outcome[str(message.topic())] = None if code == KafkaError._PARTITION_EOF else code
    consumer.close()
    return outcome


def code_of(message: Message) -> int | None:
    error = message.error()
    return error.code() if error else None


@pytest.fixture
def north(network: Stack) -> Mapping[str, str]:
    return network.credentials(NORTH).kafka


def test_a_center_may_write_its_two_ingress_topics_and_nothing_else(
    north: Mapping[str, str],
) -> None:
    outcome = refusal_to_write(north, EVERY_TOPIC)

    allowed = {topic for topic, code in outcome.items() if code is None}
    assert allowed == {name for name, right in NORTHS_OWN.items() if right == "write"}
    assert set(outcome) == set(EVERY_TOPIC)
    assert {code for code in outcome.values() if code is not None} == {DENIED}


def test_a_center_may_read_its_egress_topics_and_nothing_else(north: Mapping[str, str]) -> None:
    outcome = refusal_to_read(north, EVERY_TOPIC)

    allowed = {topic for topic, code in outcome.items() if code is None}
    assert allowed == {name for name, right in NORTHS_OWN.items() if right == "read"}
    assert outcome["matching.match"] == DENIED
    assert set(outcome.values()) == {None, DENIED}


def test_a_center_sees_no_other_topic_than_its_own(north: Mapping[str, str]) -> None:
    consumer = Consumer(config(north, group_id=f"{NORTH}.look"))

    seen = set(consumer.list_topics(timeout=10).topics)

    consumer.close()
    assert seen == set(NORTHS_OWN)


@pytest.mark.parametrize("group", [f"{SOUTH}.tail", "matching.main", NORTH])
def test_a_center_may_not_use_a_group_of_somebody_else(
    north: Mapping[str, str], group: str
) -> None:
    consumer = Consumer(config(north, group_id=group, topic_metadata_refresh_interval_ms=1000))
    consumer.subscribe([f"egress.{NORTH}.match"])

    message = consumer.poll(15)

    consumer.close()
    assert message is not None
    assert code_of(message) == KafkaError.GROUP_AUTHORIZATION_FAILED


def test_a_center_reads_its_egress_in_a_group_of_its_own(
    network: Stack, north: Mapping[str, str]
) -> None:
    topic = f"egress.{NORTH}.match"
    service = network.kafka_login("notification")
    assert refusal_to_write(service, [topic]) == {topic: None}
    consumer = Consumer(config(north, group_id=f"{NORTH}.tail", auto_offset_reset="earliest"))
    consumer.subscribe([topic])

    message = consumer.poll(15)
    assert message is not None
    assert message.error() is None
    consumer.commit(message=message, asynchronous=False)

    consumer.close()


def test_the_consortiums_own_readers_read_matches_and_write_nothing(network: Stack) -> None:
    downstream = network.kafka_login("downstream")

    assert refusal_to_read(downstream, ["matching.match", "profile.contact"]) == {
        "matching.match": None,
        "profile.contact": DENIED,
    }
    # Who may write nowhere gets no producer's number either: without one, each topic refuses.
    refusals = refusal_to_write(downstream, SHARED_NAMES, idempotent=False)
    assert set(refusals.values()) == {DENIED}


@pytest.mark.parametrize("service", ["profile", "matching", "scheduling", "notification"])
def test_a_service_may_do_exactly_what_the_list_of_topics_says(
    network: Stack, service: str
) -> None:
    login = network.kafka_login(service)

    outcome = refusal_to_write(login, EVERY_TOPIC)

    assert {topic for topic, code in outcome.items() if code is None} == may(service, "write")
    outcome = refusal_to_read(login, EVERY_TOPIC)
    # Its relay also reads what it wrote: whether it is still the newest, and from this database.
    readable = may(service, "read") | may(service, "write")
    assert {topic for topic, code in outcome.items() if code is None} == readable
    assert set(outcome) == set(EVERY_TOPIC)


def may(principal: str, right: str) -> set[str]:
    return {
        topic["name"].replace("{institution}", center)
        for topic in TOPICS["topic"]
        for center in (NORTH, SOUTH)
        if principal in topic[right]
    }


@pytest.fixture
def impostor(north: Mapping[str, str]) -> Iterator[Consumer]:
    consumer = Consumer(config({**north, "password": "guessed"}, group_id=f"{NORTH}.x"))
    yield consumer
    consumer.close()


def test_a_wrong_password_is_refused(impostor: Consumer) -> None:
    with pytest.raises(KafkaException):
        impostor.list_topics(timeout=3)


def test_a_record_beyond_our_limit_still_reaches_the_topic(north: Mapping[str, str]) -> None:
    topic = f"ingress.{NORTH}.profile"
    outcome: list[KafkaError | None] = []
    producer = Producer(config(north, message_max_bytes=4_000_000))

    producer.produce(topic, b"x" * 2_000_000, on_delivery=lambda error, _: outcome.append(error))
    producer.flush(20)

    assert outcome == [None]
