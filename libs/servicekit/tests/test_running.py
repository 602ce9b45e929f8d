"""The kernel on a real broker and a real database, with one service in this process."""

import asyncio
import gc
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError
from aiokafka.record.util import calc_crc32c

from devstack.stack import Stack
from oncomentor_client.credentials import Credentials
from oncomentor_client.token import TokenSource
from oncomentor_contracts.envelope import Envelope, Header, from_headers
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.matching import Answer, ResponseGiven
from oncomentor_contracts.receipt import Outcome, Problem, ReceiptAccepted, ReceiptRejected
from oncomentor_contracts.topics import EGRESS_RECEIPT, INGRESS_RESPONSE
from servicekit import kafka
from servicekit.edge import ops
from servicekit.hearing import consumer, polling
from servicekit.process import migrate, serving
from servicekit.service import Service
from servicekit.settings import Settings
from servicekit.subscription import Refusal, Subscription, Timer
from servicekit.tx import Tx
from testkit.eventually import eventually

_numbers = itertools.count()
Published = tuple[bytes, bytes | None, Sequence[Header]]


async def note_response(event: ResponseGiven, tx: Tx) -> Sequence[Event]:
    await tx.conn.execute(
        "INSERT INTO heard (topic, subject, word) VALUES ($1, $2, $3)",
        INGRESS_RESPONSE.named(event.institution_id),
        event.subject,
        event.answer.value,
    )
    await tx.schedule("remind", event.subject, tx.now, {"word": event.answer.value})
    return [_receipt(event, tx, Outcome.APPLIED)]


async def answer_duplicate(event: ResponseGiven, tx: Tx) -> Sequence[Event]:
    return [_receipt(event, tx, Outcome.DUPLICATE)]


async def answer_refusal(refusal: Refusal, tx: Tx) -> Sequence[Event]:
    problems = tuple(
        Problem(field=name, rule=refusal.reason_class, message=rule, fix="mend it")
        for name, rule in refusal.problems
    )
    where = f"{refusal.topic}/{refusal.partition}/{refusal.offset}"
    assert refusal.institution_id is not None
    return [
        ReceiptRejected(
            institution_id=refusal.institution_id,
            receipt_for=refusal.event_id or where,
            problems=problems,
            at=tx.now,
        )
    ]


async def remind(timer: Timer, tx: Tx) -> Sequence[Event]:
    await tx.conn.execute(
        "INSERT INTO heard (topic, subject, word) VALUES ('timer', $1, $2)",
        timer.key,
        timer.payload["word"],
    )
    return []


def _receipt(event: ResponseGiven, tx: Tx, outcome: Outcome) -> ReceiptAccepted:
    return ReceiptAccepted(
        institution_id=event.institution_id,
        receipt_for=str(event.envelope.id),
        event_type=event.TYPE,
        about=event.subject,
        outcome=outcome,
        at=tx.now,
    )


class Bench:
    """A kernel service that can be started and stopped, and its surroundings."""

    def __init__(self, stack: Stack, migrations: Path) -> None:
        self.stack = stack
        self.center = ""
        environment = stack.service_environment("matching", owner=True)
        names = {k.removeprefix("ONCOMENTOR_").lower(): v for k, v in environment.items()}
        self.settings = Settings.model_validate(names)
        self.service = Service(
            name="matching",
            settings=self.settings,
            subscriptions=[
                Subscription(
                    INGRESS_RESPONSE,
                    {ResponseGiven: note_response},
                    on_duplicate=answer_duplicate,
                    on_refused=answer_refusal,
                )
            ],
            jobs={"remind": remind},
            migrations=migrations,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(serving.run(self.service, stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    def producer(self, compression: str | None = None) -> AIOKafkaProducer:
        credentials = self.stack.credentials(self.center)
        return AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka_bootstrap,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=credentials.kafka["username"],
            sasl_plain_password=credentials.kafka["password"],
            max_request_size=4_000_000,
            compression_type=compression,
        )

    async def publish(
        self,
        *records: Published,
        compression: str | None = None,
    ) -> None:
        async with self.producer(compression) as producer:
            for key, value, headers in records:
                await producer.send_and_wait(
                    INGRESS_RESPONSE.named(self.center), value, key, partition=0, headers=headers
                )

    async def receipts(self) -> list[tuple[Envelope, bytes]]:
        arguments = kafka.client_arguments(self.settings) | {
            "sasl_plain_username": self.stack.credentials(self.center).kafka["username"],
            "sasl_plain_password": self.stack.credentials(self.center).kafka["password"],
        }
        consumer = AIOKafkaConsumer(
            EGRESS_RECEIPT.named(self.center), auto_offset_reset="earliest", **arguments
        )
        async with consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            found: list[tuple[Envelope, bytes]] = []
            while len(found) < sum(ends.values()):
                batches = await consumer.getmany(timeout_ms=200)
                for records in batches.values():
                    found += [(from_headers(r.headers), r.value) for r in records]
            return found

    def http(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(retries=20)  # it may not listen yet
        return httpx.AsyncClient(
            base_url=f"http://{self.stack.address('matching')}", transport=transport
        )

    async def token(self, holder: str) -> str:
        async with httpx.AsyncClient() as client:
            access = Credentials.load(self.stack.credentials(holder).path).oidc
            return await TokenSource(access, client).token()

    async def has_heard(self, response: tuple[bytes, bytes, list[Header]]) -> bool:
        subject = response[0].decode()
        return bool(await self.rows("SELECT 1 FROM heard WHERE subject = $1", subject))

    async def rows(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        conn = await asyncpg.connect(self.stack.superuser_dsn("matching"))
        try:
            return await conn.fetch(sql, *arguments)
        finally:
            await conn.close()


@pytest.fixture(scope="module")
def migrated(stack: Stack, migrations: Path) -> Bench:
    made = Bench(stack, migrations)
    asyncio.run(_migrate(made))
    return made


@pytest.fixture
def bench(migrated: Bench) -> Bench:
    """The service with a center of the test's own."""
    migrated.center = f"center-{next(_numbers)}"
    migrated.stack.provision([migrated.center])
    return migrated


async def _migrate(bench: Bench) -> None:
    owner = bench.settings.database_owner_user
    password_file = bench.settings.database_owner_password_file
    assert owner is not None
    assert password_file is not None
    conn = await asyncpg.connect(bench.settings.dsn(owner, password_file))
    await migrate.apply(conn, migrate.read(bench.service.migrations))
    await conn.close()


def a_response(
    center: str, answer: str = "clear", *, source: str | None = None
) -> tuple[bytes, bytes, list[Header]]:
    event = ResponseGiven(institution_id=center, match_id=uuid4(), answer=Answer(answer))
    envelope = Envelope(
        id=uuid7(datetime.now(UTC)),
        source=f"/institutions/{source or center}",
        type=event.TYPE,
        subject=event.subject,
        time=datetime.now(UTC),
    )
    data = event.data()
    assert data is not None
    return event.subject.encode(), data, list(envelope.headers())


def without(headers: list[Header], name: str) -> list[Header]:
    return [header for header in headers if header[0] != name]


async def test_each_record_is_applied_once_or_quarantined_and_stops_nobody(bench: Bench) -> None:
    first, last = a_response(bench.center), a_response(bench.center, "veto")
    key, value, headers = a_response(bench.center)
    malformed: dict[str, tuple[bytes, bytes | None, Sequence[Header]]] = {
        "bad_data": (key, b'{"broken', headers),
        "null header": (key, value, [*without(headers, "ce_time"), ("ce_time", None)]),
        "not utf-8": (key, value, [*without(headers, "ce_type"), ("ce_type", b"\xff\xfe")]),
        "missing": (key, value, without(headers, "ce_source")),
        "unknown_type": (key, value, [*without(headers, "ce_type"), ("ce_type", b"x.y.v1")]),
        "too_large": (key, b"x" * 2_000_000, headers),
        "foreign_source": a_response(bench.center, source="ridge-test"),
        "no headers": (key, value, []),
        "tombstone": (key, None, headers),
    }

    async with bench.running():
        await bench.publish(first, *malformed.values(), last, first)

        async def all_answered() -> bool:
            return len(await bench.receipts()) == len(malformed) + 3

        await eventually(all_answered, within=30)

    topic = INGRESS_RESPONSE.named(bench.center)
    heard = await bench.rows("SELECT subject, word FROM heard WHERE topic = $1 ORDER BY nth", topic)
    assert [(row["subject"].encode(), row["word"]) for row in heard] == [
        (first[0], "clear"),
        (last[0], "veto"),
    ]
    kept = await bench.rows(
        "SELECT * FROM kit.quarantine WHERE topic = $1 ORDER BY record_offset", topic
    )
    assert [row["record_value"] for row in kept] == [value for _, value, _ in malformed.values()]
    assert [row["reason_class"] for row in kept] == [
        "bad_data", "bad_envelope", "bad_envelope", "bad_envelope", "unknown_type", "too_large",
        "foreign_source", "bad_envelope", "bad_data",
    ]  # fmt: skip
    assert kept[1]["header_values"][-1] is None
    assert kept[2]["header_values"][-1] == b"\xff\xfe"


async def test_a_restarted_service_goes_on_where_it_was(bench: Bench) -> None:
    before, after = a_response(bench.center), a_response(bench.center, "veto")

    for response in (before, after):
        async with bench.running():
            await bench.publish(response)

            async def applied(subject: str = response[0].decode()) -> bool:
                rows = await bench.rows("SELECT 1 FROM heard WHERE subject = $1", subject)
                return len(rows) == 2  # the handler's row and the job's

            await eventually(applied)

    for response in (before, after):
        rows = await bench.rows("SELECT 1 FROM heard WHERE subject = $1", response[0].decode())
        assert len(rows) == 2


async def test_what_is_said_follows_from_what_was_heard(bench: Bench) -> None:
    response = a_response(bench.center)
    event_id = from_headers(response[2]).id

    async with bench.running():
        await bench.publish(response)

        async def answered() -> list[Envelope]:
            found = [envelope for envelope, _ in await bench.receipts()]
            return [envelope for envelope in found if envelope.subject == str(event_id)]

        receipts = await eventually(answered)

    assert [receipt.causationid for receipt in receipts] == [str(event_id)]
    assert [receipt.correlationid for receipt in receipts] == [str(event_id)]
    assert [receipt.sequence for receipt in receipts] == [1]


async def publish_undecodable(bench: Bench, good: Published, bad: Published) -> None:
    """Send both in one batch, the second with a header's name that is no text."""
    async with bench.producer() as producer:
        batch = producer.create_batch()
        batch.append(key=good[0], value=good[1], headers=good[2], timestamp=None)
        marked = [*bad[2], ("a-name-to-spoil", b"")]
        batch.append(key=bad[0], value=bad[1], headers=marked, timestamp=None)
        built = bytearray(bytes(batch._build()).replace(b"a-name-to-spoil", b"\xff-name-to-spoil"))
        built[17:21] = calc_crc32c(memoryview(built)[21:]).to_bytes(4, "big")
        batch._buffer = built
        topic = INGRESS_RESPONSE.named(bench.center)
        await (await producer.send_batch(batch, topic, partition=0))


async def test_a_record_that_cannot_be_decoded_stops_its_partition_alone(bench: Bench) -> None:
    before, after = a_response(bench.center), a_response(bench.center)
    bad = a_response(bench.center)
    sick, well = bench.center, f"center-{next(_numbers)}"
    bench.stack.provision([well])

    async with bench.running(), bench.http() as http:
        await eventually(lambda: is_ready(http))
        await publish_undecodable(bench, before, bad)
        await bench.publish(after)

        async def told() -> bool:
            missing: list[str] = (await http.get("/health/ready")).json()["missing"]
            topic = INGRESS_RESPONSE.named(sick)
            return any(f"{topic}[0] cannot be decoded: UnicodeDecodeError" in m for m in missing)

        await eventually(told)
        bench.center = well
        others = [a_response(well), a_response(well)]
        await bench.publish(*others, compression="lz4")
        await eventually(lambda: bench.has_heard(others[-1]))
        alive = await http.get("/health/live")

    assert alive.status_code == 200
    assert await bench.has_heard(before)
    assert not await bench.has_heard(after)
    topic = INGRESS_RESPONSE.named(sick)  # no later test is to meet it
    past = "UPDATE kit.consumer_offsets SET next_offset = 3 WHERE topic = $1 AND partition = 0"
    await bench.rows(past, topic)


async def loading(_: object) -> bool:
    raise KafkaError("Unexpected exception in heartbeat task: GroupLoadInProgressError()")


async def gone(_: object) -> bool:
    raise LookupError("a bug in the coordination")


async def cancelled(_: object) -> bool:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("step", "failing"),
    [
        ("_do_heartbeat", loading),
        ("_maybe_do_autocommit", gone),
        ("_maybe_do_autocommit", cancelled),
    ],
)
async def test_a_group_whose_coordination_ended_is_joined_anew(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    failing: Callable[[object], Awaitable[bool]],
) -> None:
    # An idle service has nothing to commit, which would tell it that it is no member any more.
    monkeypatch.setattr(consumer, "_WATCH_SECONDS", 1.0)
    monkeypatch.setattr(polling, "_STUCK_SECONDS", 1.0)
    well = getattr(GroupCoordinator, step)
    failed, went_on = asyncio.Event(), asyncio.Event()

    async def once(coordinator: GroupCoordinator, *arguments: object) -> object:
        if failed.is_set():
            went_on.set()
            return await well(coordinator, *arguments)
        failed.set()
        return await failing(coordinator)

    response = a_response(bench.center)
    async with bench.running(), bench.http() as http:
        await eventually(lambda: is_ready(http))
        monkeypatch.setattr(GroupCoordinator, step, once)
        for coordinator in coordinators():  # none looks by itself while all is well
            coordinator.request_rejoin()
        await asyncio.wait_for(went_on.wait(), 30)
        await bench.publish(response)
        await eventually(lambda: bench.has_heard(response), within=30)


def coordinators() -> list[GroupCoordinator]:
    return [one for one in gc.get_objects() if isinstance(one, GroupCoordinator)]


async def test_a_group_that_fetches_no_more_is_joined_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # aiokafka's fetching ends for good where anything unexpected is raised; polls are empty then.
    monkeypatch.setattr(consumer, "_WATCH_SECONDS", 1.0)
    response = a_response(bench.center)
    async with bench.running(), bench.http() as http:
        await eventually(lambda: is_ready(http))
        for fetcher in [one for one in gc.get_objects() if isinstance(one, Fetcher)]:
            fetcher._fetch_task.cancel()
            await asyncio.gather(*fetcher._pending_tasks)  # or one on its way brings the event
        await bench.publish(response)
        await eventually(lambda: bench.has_heard(response), within=30)


async def test_a_poll_loop_that_does_not_come_round_is_not_alive(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "_FROZEN_SECONDS", 2.0)
    take, thawed = consumer.Consumer._take, asyncio.Event()

    async def hangs(self: consumer.Consumer, records: object) -> None:
        await thawed.wait()
        await take(self, records)

    monkeypatch.setattr(consumer.Consumer, "_take", hangs)
    response = a_response(bench.center)
    async with bench.running(), bench.http() as http:

        async def alive() -> int:
            return (await http.get("/health/live")).status_code

        async def is_frozen() -> bool:
            return await alive() == 503

        await eventually(lambda: is_ready(http))
        await asyncio.sleep(3)
        assert await alive() == 200  # idle, and round and round
        await bench.publish(response)
        await eventually(is_frozen)
        thawed.set()
        await eventually(lambda: bench.has_heard(response))
        assert await alive() == 200


async def test_a_position_set_back_is_read_again(bench: Bench) -> None:
    first, second = a_response(bench.center), a_response(bench.center)
    topic = INGRESS_RESPONSE.named(bench.center)

    async with bench.running():
        await bench.publish(first)
        await eventually(lambda: bench.has_heard(first))
        await bench.rows("UPDATE kit.consumer_offsets SET next_offset = 0 WHERE topic = $1", topic)
        await bench.publish(second)
        await eventually(lambda: bench.has_heard(second))

        async def answered() -> bool:
            return len(await bench.receipts()) == 3

        await eventually(answered)

    outcomes = sorted([json.loads(data)["outcome"] for _, data in await bench.receipts()])
    assert outcomes == ["applied", "applied", "duplicate"]


async def test_the_http_edge_tells_operators_how_it_is_and_takes_events_like_the_topic(
    bench: Bench,
) -> None:
    key, value, headers = a_response(bench.center)
    envelope = from_headers(headers)
    subject = key.decode()

    async with bench.running(), bench.http() as http:
        await eventually(lambda: is_ready(http))
        operator, member = await bench.token("operator"), await bench.token(bench.center)
        assert (await http.get("/health/live")).status_code == 200
        assert (await http.get("/ops/status")).status_code == 401
        assert (await http.get("/ops/status", headers=bearer("no.such.token"))).status_code == 401
        assert (await http.get("/ops/status", headers=bearer(member))).status_code == 403
        status = (await http.get("/ops/status", headers=bearer(operator))).json()
        sent = {**bearer(member), "Content-Type": "application/cloudevents+json"}
        body = envelope.structured(value)
        first = await http.post("/v1/events", content=body, headers=sent)
        again = await http.post("/v1/events", content=body, headers=sent)
        foreign = envelope._replace(source="/institutions/another-center")
        refused = await http.post("/v1/events", content=foreign.structured(value), headers=sent)
        huge = await http.post("/v1/events", content=b"x" * 1_500_000, headers=sent)

    assert status["missing"] == []
    assert {lane["state"] for lane in status["partitions"]} == {"running"}
    assert (first.status_code, first.json()["outcome"]) == (202, "applied")
    assert (again.status_code, again.json()["outcome"]) == (202, "duplicate")
    assert refused.status_code == 422
    assert refused.json()["problems"][0]["field"] == "source"
    assert huge.status_code == 413
    rows = await bench.rows(
        "SELECT word FROM heard WHERE subject = $1 AND topic <> 'timer'", subject
    )
    assert [row["word"] for row in rows] == ["clear"]


async def is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/health/ready")).status_code == 200


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
