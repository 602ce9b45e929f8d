"""Records that should not be: repeated, late and out of order, or bad from the first byte."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.topics import Kind, topic_of
from testkit.faults import state
from testkit.faults.cycle import Scene
from testkit.faults.ground import Ground
from testkit.history import Injected

_REPEATED = 40
_EARLIER = 10
_WAIT_SECONDS = 0.6

Headers = list[tuple[str, bytes | None]]


async def repeat(scene: Scene) -> None:
    """Write records of this cycle and of earlier ones again, shuffled, as their own writers."""
    await asyncio.sleep(_WAIT_SECONDS)
    ground = scene.ground
    await ground.tail.read()
    now = list(ground.tail.raw.values())
    chosen = scene.chance.sample(now, min(_REPEATED, len(now)))
    # A state of an earlier cycle would be mended: said again in this one, which knows nothing of it;
    # and what of it is kept, with its followers, would be kept again.
    kept = await state.kept_subjects(ground.access, ground.services)
    earlier = [
        record
        for record in ground.earlier
        if _kind(record) is not Kind.STATE
        and (record.key or b"").decode(errors="replace") not in kept
    ]
    chosen += scene.chance.sample(earlier, min(_EARLIER, len(earlier)))
    scene.chance.shuffle(chosen)
    by_writer: dict[str, list[ConsumerRecord]] = {}
    for record in chosen:
        by_writer.setdefault(_writer(record.topic), []).append(record)
    for writer, records in by_writer.items():
        async with _producing(ground, writer) as producer:
            for record in records:
                headers = list(record.headers)
                place = await _write(producer, record, headers)
                scene.notes.injected.append(Injected(*place, "dropped"))


async def write_bad(scene: Scene) -> None:
    """Write records into a center's topics that nobody can take."""
    ground = scene.ground
    for center in ground.centers:
        name = center.institution_id
        async with _producing(ground, f"inst-{name}") as producer:
            for topic in (f"ingress.{name}.profile", f"ingress.{name}.response"):
                for key, value, headers in _bad(name):
                    metadata = await producer.send_and_wait(
                        topic, key=key, value=value, headers=headers
                    )
                    place = metadata.topic, metadata.partition, metadata.offset
                    scene.notes.injected.append(Injected(*place, "kept"))


def _bad(center: str) -> Sequence[tuple[bytes | None, bytes | None, Headers]]:
    """Return records that are refused, each for another reason."""
    now = datetime.now(UTC)
    subject = str(uuid7(now)).encode()

    def headers(**changed: bytes | None) -> Headers:
        attributes: dict[str, bytes | None] = {
            "ce_specversion": b"1.0",
            "ce_id": str(uuid7(now)).encode(),
            "ce_source": f"/institutions/{center}".encode(),
            "ce_type": b"response.given.v1",
            "ce_subject": subject,
            "ce_time": now.isoformat().encode(),
            "content-type": b"application/json",
        }
        return list((attributes | changed).items())

    return (
        (subject, b"{}", headers(ce_source=b"/institutions/another-center")),
        (subject, b"\xff\x00 no JSON", headers()),
        (subject, b"[" * 20_000, headers()),
        (subject, b'{"match_id": 1' + b"0" * 5_000 + b"}", headers()),
        (subject, b'{"text": "\\u0000"}', headers()),
        (subject, None, headers()),
        (subject, b"{}", headers(ce_type=b"nobody.knows.v9")),
        (subject, b"{}", headers(ce_id=None)),
        (subject, b"{}", headers(ce_subject=b"\xff\xfe")),
        (subject, b"{}", headers(**{"content-type": b"text/html"})),
        (b"another key", b"{}", headers()),
        (None, b"x" * 1_100_000, []),
    )


def _kind(record: ConsumerRecord) -> Kind | None:
    topic = topic_of(record.topic)
    return topic.kind if topic else None


def _writer(name: str) -> str:
    """Return the Kafka user that writes this topic."""
    topic = topic_of(name)
    assert topic is not None
    institution = topic.institution_in(name)
    if topic.kind is Kind.INGRESS:
        return f"inst-{institution}"
    return sorted(topic.writers)[0]


async def _write(
    producer: AIOKafkaProducer, record: ConsumerRecord, headers: Headers
) -> tuple[str, int, int]:
    metadata = await producer.send_and_wait(
        record.topic,
        key=record.key,
        value=record.value,
        headers=headers,
        partition=record.partition,
    )
    return metadata.topic, metadata.partition, metadata.offset


@asynccontextmanager
async def _producing(ground: Ground, user: str) -> AsyncIterator[AIOKafkaProducer]:
    login = ground.stack.kafka_login(user)
    producer = AIOKafkaProducer(
        bootstrap_servers=login["bootstrap"],
        security_protocol=login["security"],
        sasl_mechanism=login["mechanism"],
        sasl_plain_username=login["username"],
        sasl_plain_password=login["password"],
        acks="all",
        max_request_size=2 * 1024 * 1024,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
