"""What the relay's tests share: a database of their own, the run's broker, a center on it."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from aiokafka import AIOKafkaConsumer

from devstack.stack import Stack
from oncomentor_contracts.envelope import from_headers
from oncomentor_contracts.receipt import Outcome, ReceiptAccepted
from oncomentor_contracts.topics import EGRESS_RECEIPT
from servicekit import kafka
from servicekit.saying.relay import Relay
from servicekit.settings import Settings
from servicekit.tx import Database, Tx

if TYPE_CHECKING:
    PlainConnection = asyncpg.Connection[asyncpg.Record]
else:
    PlainConnection = asyncpg.Connection

_numbers = itertools.count()


class Bench:
    """A database of the test's own, the run's broker, and a center on it."""

    def __init__(
        self, stack: Stack, dsn: str, database: Database, *, source: str | None = None
    ) -> None:
        self.stack = stack
        self.dsn = dsn
        # Its own source: to a relay, records of its source that its outbox lacks mean a restore.
        self.source = source or f"/services/relay-{next(_numbers)}"
        self.database = Database(database.pool, source=self.source, committed=lambda: None)
        self.center = self.another_center()
        environment = stack.service_environment("profile")
        names = {k.removeprefix("ONCOMENTOR_").lower(): v for k, v in environment.items()}
        self.settings = Settings.model_validate(names)

    @staticmethod
    def another_center() -> str:
        return f"relay-center-{next(_numbers)}"

    def relay(
        self,
        connection_class: type[PlainConnection] = PlainConnection,
        *,
        answer_seconds: float = 30.0,
    ) -> Relay:
        return Relay(
            name="profile",
            connect=lambda: asyncpg.connect(
                self.dsn, connection_class=connection_class, command_timeout=answer_seconds
            ),
            client=kafka.client_arguments(self.settings),
            source=self.source,
        )

    @asynccontextmanager
    async def running(self, relay: Relay) -> AsyncIterator[Relay]:
        task = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            relay.close()
            await asyncio.wait_for(task, 20)

    async def say(self, *subjects: str, center: str | None = None) -> None:
        async with self.database.transaction() as tx:
            await tx.say([a_receipt(tx, center or self.center, s) for s in subjects])

    async def heard(self, center: str | None = None) -> dict[str, list[int]]:
        """Return the sequences in the center's receipts, subject by subject, as they lie there."""
        login = self.stack.kafka_login()
        consumer = AIOKafkaConsumer(
            EGRESS_RECEIPT.named(center or self.center),
            auto_offset_reset="earliest",
            **kafka.client_arguments(self.settings)
            | {
                "sasl_plain_username": login["username"],
                "sasl_plain_password": login["password"],
            },
        )
        found: dict[str, list[int]] = defaultdict(list)
        async with consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for envelope in (from_headers(record.headers) for record in records):
                        found[envelope.subject].append(envelope.sequence or 0)
        return found

    async def run_sql(self, *statements: str) -> None:
        async with self.database.transaction() as tx:
            for statement in statements:
                await tx.conn.execute(statement)


def a_receipt(tx: Tx, center: str, subject: str) -> ReceiptAccepted:
    return ReceiptAccepted(
        institution_id=center,
        receipt_for=subject,
        event_type="x.y.v1",
        about="a person",
        outcome=Outcome.APPLIED,
        at=tx.now,
    )


async def has(bench: Bench, *subjects: str, center: str | None = None) -> dict[str, list[int]]:
    heard = await bench.heard(center)
    return heard if heard.keys() >= set(subjects) else {}


async def is_in(relay: Relay, state: str) -> bool:
    return relay.state.startswith(state)
