"""What a center may send by mistake, on its real topic, next to what it sends rightly."""

from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer

from oncomentor_client.publisher import RowOutcome
from oncomentor_client.subscriber import Subscriber
from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.profile import PersonWithdrawn
from oncomentor_contracts.receipt import ReceiptRejected
from testkit.eventually import eventually
from testkit.network import Center, Network
from testkit.world import a_mentor


def headers(center: Center, subject: str, *, source: str | None = None) -> list[tuple[str, bytes]]:
    return Envelope(
        id=uuid7(datetime.now(UTC)),
        source=f"/institutions/{source or center.id}",
        type=PersonWithdrawn.TYPE,
        subject=subject,
        time=datetime.now(UTC),
    ).headers()


async def rejections(center: Center) -> list[ReceiptRejected]:
    topic = f"egress.{center.id}.receipt"
    async with Subscriber(center.credentials, topic, start="beginning") as receipts:
        said = [one.event for one in await receipts.backlog()]
    return [event for event in said if isinstance(event, ReceiptRejected)]


async def test_bad_records_stop_nobody_and_each_is_said_back(whole: Network) -> None:
    harbor = await whole.center()
    programme = await whole.programme()
    person = str(harbor.person_id("somebody"))
    good = headers(harbor, person)
    foreign = headers(harbor, person, source="another-center")
    bad: list[tuple[bytes | None, list[tuple[str, bytes | None]]]] = [
        (b'{"person_id": ', list(good)),
        (b"{}", [(name, value) for name, value in good if name != "ce_id"]),
        (b"{}", [*(h for h in good if h[0] != "ce_type"), ("ce_type", b"person.sung.v1")]),
        (b"{}", [*(h for h in good if h[0] != "ce_time"), ("ce_time", None)]),
        (b"{}", [*(h for h in good if h[0] != "ce_source"), ("ce_source", b"\xff")]),
        (b"x" * 2_000_000, list(good)),
        (None, list(good)),
        (b"{}", list(foreign)),
    ]
    access = harbor.credentials.kafka
    producer = AIOKafkaProducer(
        bootstrap_servers=access.bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=access.username,
        sasl_plain_password=access.password,
        max_request_size=4_000_000,
    )

    async with producer:
        for value, record_headers in bad:
            await producer.send_and_wait(
                f"ingress.{harbor.id}.profile", value, person.encode(), headers=record_headers
            )
    (result,) = await harbor.publish(a_mentor("somebody", programme))

    assert result.outcome is RowOutcome.ACCEPTED

    async def all_said_back() -> list[ReceiptRejected]:
        found = await rejections(harbor)
        return found if len(found) == len(bad) else []

    said = await eventually(all_said_back)
    assert all(problem.fix for receipt in said for problem in receipt.problems)
    assert any(problem.field == "source" for receipt in said for problem in receipt.problems)
