from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from services.notification.tests.builders import MATCH, MENTEE, MENTOR, NORTH, SESSION, SOUTH

from notification_service import api
from notification_service.store.deliveries import Delivery, insert_delivery, update_settled
from servicekit.edge.http import make_app
from servicekit.tx import Database
from testkit.issuer import Issuer
from testkit.plugin import NOW


@dataclass
class Edge:
    client: httpx.AsyncClient
    issuer: Issuer

    async def ask(self, token: str | None, **query: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.client.get("/v1/deliveries", params=query, headers=headers)

    async def as_center(self, institution_id: str, **query: Any) -> list[dict[str, Any]]:
        token = self.issuer.token(["institution"], institution_id)
        return await self._listed(token, query)

    async def as_operator(self, **query: Any) -> list[dict[str, Any]]:
        return await self._listed(self.issuer.token(["operator"]), query)

    async def _listed(self, token: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        answer = await self.ask(token, **query)
        assert answer.status_code == 200, answer.text
        listed: list[dict[str, Any]] = answer.json()["deliveries"]
        return listed


@pytest.fixture
async def edge(database: Database, api_database: Database) -> AsyncIterator[Edge]:
    issuer = Issuer()
    app = make_app(
        "notification",
        database=database,
        api_database=api_database,
        authenticator=issuer,
        routers=[api.router],
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notification") as client:
        yield Edge(client, issuer)


def a_delivery(
    institution_id: str = NORTH, *, person_id: UUID = MENTOR, after: timedelta = timedelta(0)
) -> Delivery:
    return Delivery(
        delivery_id=uuid4(),
        person_id=person_id,
        institution_id=institution_id,
        match_id=MATCH,
        session_id=SESSION,
        template="session_invitation",
        channel="mail",
        decided_at=NOW + after,
    )


async def store(database: Database, *deliveries: Delivery) -> list[str]:
    async with database.transaction() as tx:
        for delivery in deliveries:
            await insert_delivery(tx, delivery)
    return [str(delivery.delivery_id) for delivery in deliveries]


def ids(listed: list[dict[str, Any]]) -> list[str]:
    return [delivery["delivery_id"] for delivery in listed]


async def test_a_center_sees_its_own_people_s_deliveries_and_an_operator_all(
    edge: Edge, database: Database
) -> None:
    north, south = await store(
        database, a_delivery(NORTH), a_delivery(SOUTH, person_id=MENTEE, after=timedelta(1))
    )

    assert ids(await edge.as_center(NORTH)) == [north]
    assert ids(await edge.as_center(SOUTH)) == [south]
    assert ids(await edge.as_operator()) == [south, north]


async def test_what_is_listed_are_ids_words_and_times(edge: Edge, database: Database) -> None:
    sent, failed = a_delivery(), a_delivery(after=timedelta(minutes=1))
    await store(database, sent, failed)
    async with database.transaction() as tx:
        await update_settled(tx, sent.delivery_id, NOW, reason=None)
        await update_settled(tx, failed.delivery_id, NOW, reason="no_contact")

    newest, oldest = await edge.as_center(NORTH)

    assert (newest["state"], newest["reason"]) == ("failed", "no_contact")
    assert oldest == {
        "delivery_id": str(sent.delivery_id),
        "person_id": str(MENTOR),
        "institution_id": NORTH,
        "match_id": str(MATCH),
        "session_id": str(SESSION),
        "template": "session_invitation",
        "channel": "mail",
        "state": "sent",
        "reason": None,
        "decided_at": "2026-03-02T09:00:00Z",
        "settled_at": "2026-03-02T09:00:00Z",
    }


async def test_pages_show_each_delivery_once_even_those_of_one_instant(
    edge: Edge, database: Database
) -> None:
    stored = await store(database, *(a_delivery() for _ in range(5)))

    seen: list[str] = []
    while page := ids(
        await edge.as_center(NORTH, limit=2, **({"after": seen[-1]} if seen else {}))
    ):
        seen += page

    assert sorted(seen) == sorted(stored)
    assert len(seen) == 5


async def test_deliveries_can_be_picked_by_person_match_and_state(
    edge: Edge, database: Database
) -> None:
    mentor, _ = await store(database, a_delivery(), a_delivery(person_id=MENTEE))

    assert ids(await edge.as_center(NORTH, person_id=str(MENTOR), state="intended")) == [mentor]
    assert len(await edge.as_center(NORTH, match_id=str(MATCH))) == 2
    assert await edge.as_center(NORTH, state="sent") == []


async def test_a_question_that_is_none_is_told_so(edge: Edge) -> None:
    token = edge.issuer.token(["institution"], NORTH)
    questions: list[dict[str, Any]] = [
        {"limit": 0},
        {"limit": 501},
        {"state": "x"},
        {"colour": "x"},
    ]

    answers = [await edge.ask(token, **question) for question in questions]

    assert {answer.status_code for answer in answers} == {422}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}


async def test_who_belongs_to_no_center_sees_nothing(edge: Edge, database: Database) -> None:
    await store(database, a_delivery())

    assert (await edge.ask(None)).status_code == 401
    answer = await edge.ask(edge.issuer.token([]))
    assert answer.json() == {"deliveries": []}


async def test_the_http_edge_may_read_deliveries_alone(api_database: Database) -> None:
    async with api_database.transaction(institution_id="consortium") as tx:
        readable = await tx.conn.fetch(
            """
            SELECT relname
              FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
               AND has_table_privilege(oid, 'SELECT')
            """
        )

    assert {row["relname"] for row in readable} == {"deliveries", "migrations"}
