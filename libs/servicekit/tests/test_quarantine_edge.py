"""A bad fact and its followers, from the broker to the operator's command line and back."""

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from devstack.stack import Stack
from oncomentor_client.credentials import Credentials
from oncomentor_client.token import TokenSource
from oncomentor_contracts.envelope import Envelope, Header
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.matching import ClearedBy, MatchCleared
from oncomentor_contracts.topics import MATCHING_MATCH
from servicekit import kafka
from servicekit.errors import UnprocessableError
from servicekit.process import migrate, serving
from servicekit.service import Service
from servicekit.settings import Settings
from servicekit.subscription import Subscription
from servicekit.tx import Tx
from testkit.eventually import eventually
from testkit.plugin import running_stack

CENTER = "quarry-test"


async def hear(event: MatchCleared, tx: Tx) -> Sequence[Event]:
    known = await tx.conn.fetchval(
        "SELECT 1 FROM heard WHERE topic = 'centers' AND word = $1", event.institution_id
    )
    if not known:
        raise UnprocessableError("its center is not known")
    await tx.conn.execute(
        "INSERT INTO heard (topic, subject, word) VALUES ('matches', $1, $2)",
        event.subject,
        str(event.envelope.sequence),
    )
    return []


def settings(stack: Stack, service: str) -> Settings:
    environment = stack.service_environment(service, owner=True)
    names = {name.removeprefix("ONCOMENTOR_").lower(): v for name, v in environment.items()}
    return Settings.model_validate(names)


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Bench:
    """A service that hears matches of known centers alone, and an operator's terminal."""

    def __init__(self, stack: Stack, migrations: Path) -> None:
        self.stack = stack
        self.service = Service(
            name="scheduling",
            settings=settings(stack, "scheduling"),
            subscriptions=[Subscription(MATCHING_MATCH, {MatchCleared: hear})],
            migrations=migrations,
        )

    async def rows(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        conn = await asyncpg.connect(self.stack.superuser_dsn("scheduling"))
        try:
            return await conn.fetch(sql, *arguments)
        finally:
            await conn.close()

    async def know(self, center: str) -> None:
        await self.rows(
            "INSERT INTO heard (topic, subject, word) VALUES ('centers', '', $1)", center
        )

    async def sequences(self, match: UUID) -> list[str]:
        found = await self.rows(
            "SELECT word FROM heard WHERE subject = $1 ORDER BY nth", str(match)
        )
        return [row["word"] for row in found]

    async def kept(self, match: UUID, number: int) -> list[str]:
        """Return the names of a match's records once so many are in quarantine."""

        async def names() -> list[str]:
            found = await self.rows(
                "SELECT quarantine_id FROM kit.quarantine WHERE subject = $1 ORDER BY 1", str(match)
            )
            assert len(found) == number
            return [f"scheduling-{row['quarantine_id']}" for row in found]

        return await eventually(names)

    async def publish(self, *records: tuple[bytes, bytes | None, list[Header]]) -> None:
        arguments = kafka.client_arguments(settings(self.stack, "matching"))
        async with AIOKafkaProducer(**arguments) as producer:
            for key, value, headers in records:
                await producer.send_and_wait(MATCHING_MATCH.name, value, key, headers=headers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(serving.run(self.service, stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    async def oncomentor(self, *arguments: str) -> Run:
        credentials = str(self.stack.credentials("operator").path)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "oncomentor_cli", "quarantine", *arguments,
            "--credentials", credentials,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        return Run(process.returncode or 0, out.decode(), err.decode())

    async def token(self, holder: str) -> str:
        async with httpx.AsyncClient() as client:
            access = Credentials.load(self.stack.credentials(holder).path).oidc
            return await TokenSource(access, client).token()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of its own: matching's relay would not go on where others speak in its name."""
    with running_stack(services=()) as made:
        yield made


@pytest.fixture(scope="module")
def bench(stack: Stack, migrations: Path) -> Bench:
    made = Bench(stack, migrations)
    stack.provision([CENTER])

    async def migrate_it() -> None:
        owner = made.service.settings
        assert owner.database_owner_user is not None
        assert owner.database_owner_password_file is not None
        conn = await asyncpg.connect(
            owner.dsn(owner.database_owner_user, owner.database_owner_password_file)
        )
        await migrate.apply(conn, migrate.read(migrations))
        await conn.close()

    asyncio.run(migrate_it())
    return made


def a_fact(match: UUID, sequence: int, center: str) -> tuple[bytes, bytes | None, list[Header]]:
    event = MatchCleared(match_id=match, institution_id=center, by=ClearedBy.POLICY)
    envelope = Envelope(
        id=uuid7(datetime.now(UTC)),
        source="/services/matching",
        type=event.TYPE,
        subject=event.subject,
        time=datetime.now(UTC),
        sequence=sequence,
    )
    return event.subject.encode(), event.data(), list(envelope.headers())


def facts(match: UUID, *centers: str) -> list[tuple[bytes, bytes | None, list[Header]]]:
    return [a_fact(match, n, center) for n, center in enumerate(centers, start=1)]


async def test_an_operator_finds_mends_and_retries_a_bad_fact_and_its_order_is_kept(
    bench: Bench,
) -> None:
    match = uuid4()
    of_it = ("--service", "scheduling", "--subject", str(match))
    await bench.know("known-test")

    async with bench.running():
        await bench.publish(*facts(match, "known-test", "late-test", "known-test", "known-test"))
        (name, *_) = await bench.kept(match, 3)
        refused = await bench.oncomentor("retry", name)
        await bench.know("late-test")
        retried = await bench.oncomentor("retry", "--reason", "unprocessable", *of_it, "--json")
        again = await bench.oncomentor("retry", name)
        await bench.publish(a_fact(match, 5, "known-test"))

        async def five() -> bool:
            return len(await bench.sequences(match)) == 5

        await eventually(five)
        after = await bench.oncomentor("list", *of_it)

    assert refused.code == 1
    assert "refused: it is still unprocessable: data: its center is not known" in refused.out
    assert (retried.code, retried.lines) == (
        0, [{"id": name, "outcome": "retried", "why": "applied", "released": 2}],
    )  # fmt: skip
    assert "1 retried, 2 released behind them, 0 refused" in retried.err
    assert "was retried by operator at" in again.out
    assert await bench.sequences(match) == ["1", "2", "3", "4", "5"]
    assert str(match) not in after.out


async def test_the_list_shows_each_bad_record_with_what_waits_behind_it(bench: Bench) -> None:
    match = uuid4()
    await bench.know("known-test")

    async with bench.running():
        await bench.publish(*facts(match, "strange-test", "known-test", "known-test"))
        (name, *_) = await bench.kept(match, 3)
        listed = await bench.oncomentor("list", "--service", "scheduling", "--subject", str(match))
        everywhere = await bench.oncomentor("list", "--subject", str(match), "--json")

    assert listed.code == 0
    assert all(word in listed.out for word in (name, "unprocessable", "quarantined", str(match)))
    assert everywhere.code == 3  # the other services are down: told, and what there is is shown
    assert "matching does not answer" in everywhere.err
    bad, summary = everywhere.lines
    assert bad["reason"] == "data: its center is not known"
    assert (bad["id"], bad["state"], bad["followers"]) == (name, "quarantined", 2)
    counts = {(one["reason_class"], one["state"]): one["records"] for one in summary["summary"]}
    assert counts["unprocessable", "quarantined"] >= 1
    assert counts["sequence_gap", "parked"] >= 2


async def test_a_record_is_shown_without_its_value_which_goes_to_a_private_file_alone(
    bench: Bench, tmp_path: Path
) -> None:
    match = uuid4()
    (bad,) = facts(match, "never-test")
    target = tmp_path / "value.json"

    async with bench.running():
        await bench.publish(bad)
        (name,) = await bench.kept(match, 1)
        shown = await bench.oncomentor("show", name)
        with capture_logs() as logs:
            written = await bench.oncomentor("show", name, "--json", "--bytes", str(target))
        twice = await bench.oncomentor("show", name, "--bytes", str(target))

    assert "ce_type: match.cleared.v1" in shown.out
    assert "never-test" not in shown.out + written.out
    assert target.read_bytes() == bad[1]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    (line,) = [one for one in logs if one["event"] == "quarantine_read"]
    assert (line["by"], f"scheduling-{line['quarantine_id']}") == ("operator", name)
    assert written.lines[0]["value_bytes"] == len(bad[1] or b"")
    assert (twice.code, "is there already" in twice.err) == (2, True)


async def test_a_record_is_given_up_after_a_question_and_its_subject_goes_on(bench: Bench) -> None:
    match = uuid4()
    await bench.know("known-test")

    async with bench.running():
        await bench.publish(*facts(match, "never-test", "known-test"))
        (name, _) = await bench.kept(match, 2)
        unsure = await bench.oncomentor("discard", name, "--reason", "made up")
        before = await bench.sequences(match)
        given_up = await bench.oncomentor("discard", name, "--reason", "made up", "--yes")
        unknown = await bench.oncomentor("show", "scheduling-999999")
        nothing = await bench.oncomentor("show", "ledger-1")

    assert (unsure.code, before) == (130, [])
    assert (given_up.code, "discarded, 1 released behind it" in given_up.out) == (0, True)
    assert await bench.sequences(match) == ["2"]
    assert (unknown.code, nothing.code) == (2, 2)
    assert "no record" in unknown.err + nothing.err


async def test_centers_and_strangers_see_and_do_nothing_in_a_quarantine(bench: Bench) -> None:
    async with (
        bench.running(),
        httpx.AsyncClient(
            base_url=f"http://{bench.stack.address('scheduling')}",
            transport=httpx.AsyncHTTPTransport(retries=20),
        ) as http,
    ):
        center = {"Authorization": f"Bearer {await bench.token(CENTER)}"}
        answers = [
            await http.request(method, f"/ops/quarantine{path}", headers=headers, json=body)
            for method, path, body in (
                ("GET", "", None),
                ("GET", "/1", None),
                ("GET", "/1/value", None),
                ("POST", "/1/retry", None),
                ("POST", "/1/discard", {"reason": "because"}),
            )
            for headers in (center, {})
        ]
        operator = {"Authorization": f"Bearer {await bench.token('operator')}"}
        huge = await http.get(f"/ops/quarantine/{2**70}", headers=operator)

    assert [answer.status_code for answer in answers] == [403, 401] * 5
    assert huge.status_code == 422
