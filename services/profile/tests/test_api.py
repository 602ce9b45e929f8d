from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from services.profile.tests.conftest import Center, Hub, a_contact

from oncomentor_contracts.event import Event
from profile_service import api
from servicekit import security
from servicekit.edge import ingress
from servicekit.edge.http import make_app
from servicekit.tx import Database
from testkit.issuer import Issuer


@dataclass
class Edge:
    """The service's HTTP edge, and a caller for each token."""

    client: httpx.AsyncClient
    issuer: Issuer = field(default_factory=Issuer)

    async def ask(
        self, method: str, path: str, who: str | None = None, json: Any = None
    ) -> httpx.Response:
        headers = self.issuer.headers(who) if who else {}
        return await self.client.request(method, f"/v1{path}", headers=headers, json=json)

    async def send(self, event: Event, who: str) -> httpx.Response:
        return await self.client.post(
            "/v1/events",
            content=event.envelope.structured(event.data()),
            headers=self.issuer.headers(who) | {"Content-Type": "application/cloudevents+json"},
        )


@pytest.fixture
async def edge(database: Database, api_database: Database, hub: Hub) -> AsyncIterator[Edge]:
    issuer = Issuer()
    app = make_app(
        "profile",
        database=database,
        api_database=api_database,
        authenticator=issuer,
        routers=[
            api.router,
            api.intake_router(security.public_jwk(hub.intake)),
            ingress.router(hub.subscription),
        ],
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://profile") as client:
        yield Edge(client, issuer)


@pytest.fixture
async def members(edge: Edge, north: Center, south: Center) -> Edge:
    """Both centers, put into the registry by an operator."""
    for center in (north, south):
        answer = await _register(edge, center)
        assert answer.status_code == 201, answer.text
    return edge


async def test_the_intake_key_is_there_for_everyone_and_what_is_sealed_to_it_opens(
    edge: Edge, hub: Hub
) -> None:
    answer = await edge.ask("GET", "/keys/intake")

    sealed = security.seal(security.key_of(answer.json()), b"hello")
    assert answer.headers["content-type"] == "application/jwk+json"
    assert "d" not in answer.json()
    assert security.unseal(hub.intake, sealed) == b"hello"


@pytest.mark.parametrize(
    "path",
    ["/institutions", "/institutions/north-center", "/programmes", "/programmes/grants",
     "/people/9e643551-00ca-4cde-953a-b36f207c084a", "/receipts/88bf74ab-2052-4de6-a12c-50ab897024b8"],
)  # fmt: skip
async def test_nothing_else_is_there_without_a_token(edge: Edge, path: str) -> None:
    answer = await edge.ask("GET", path)

    assert answer.status_code == 401


async def test_an_operator_registers_a_center_and_the_network_hears_of_it(
    edge: Edge, api_database: Database, database: Database, north: Center
) -> None:
    first = await _register(edge, north)
    again = await _register(edge, north)
    changed = await _register(edge, north, name="North")

    assert [first.status_code, again.status_code, changed.status_code] == [201, 200, 200]
    assert changed.json()["name"] == "North"
    assert await _said(database) == [("profile.institution", "north-center")] * 2


async def test_a_center_registers_no_one(edge: Edge, north: Center) -> None:
    answer = await edge.ask(
        "PUT", "/institutions/north-center", "north-center", north.itself().model_dump(mode="json")
    )

    assert answer.status_code == 403


async def test_a_wrong_entry_is_told_field_by_field(edge: Edge, north: Center) -> None:
    answer = await _register(edge, north, time_zone="Europe/Lisboa", jurisdiction="PT")

    (problem,) = answer.json()["problems"]
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["field"] == "time_zone"
    assert "Europe/Lisbon" in problem["suggestions"]


async def test_a_body_that_breaks_the_schema_is_told_field_by_field(
    edge: Edge, north: Center
) -> None:
    body = north.itself().model_dump(mode="json") | {"jurisdiction": "Portugal"}
    del body["name"]

    answer = await edge.ask("PUT", "/institutions/north-center", "operator", body)

    found = {(p["field"], p["rule"]) for p in answer.json()["problems"]}
    assert answer.status_code == 422
    assert found == {("name", "missing"), ("jurisdiction", "wrong_format")}


async def test_path_and_body_name_the_same_center(edge: Edge, north: Center) -> None:
    answer = await edge.ask(
        "PUT", "/institutions/south-center", "operator", north.itself().model_dump(mode="json")
    )

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "institution_id"


async def test_members_see_the_registry_and_no_ones_policy_but_their_own(
    members: Edge, north: Center
) -> None:
    await _register(members, north, policy={"partners_refused": ["south-center"]})

    seen = {
        who: (await members.ask("GET", "/institutions", who)).json()
        for who in ("north-center", "south-center", "operator")
    }

    ids = {who: [i["institution_id"] for i in found] for who, found in seen.items()}
    assert set(map(tuple, ids.values())) == {("north-center", "south-center")}
    assert ["policy" in i for i in seen["north-center"]] == [True, False]
    assert ["policy" in i for i in seen["south-center"]] == [False, True]
    assert ["policy" in i for i in seen["operator"]] == [True, True]
    alone = await members.ask("GET", "/institutions/north-center", "south-center")
    assert "policy" not in alone.json()


async def test_a_center_that_is_not_there_is_answered_with_the_nearest(members: Edge) -> None:
    answer = await members.ask("GET", "/institutions/north-centre", "south-center")

    assert answer.status_code == 404
    assert "north-center" in answer.json()["problems"][0]["suggestions"]


async def test_operators_define_the_consortiums_programmes_and_centers_their_own(
    members: Edge, database: Database, north: Center
) -> None:
    common = await _define(members, "operator", north, owner="consortium", programme_id="all")
    own = await _define(members, "north-center", north, programme_id="ours")
    again = await _define(members, "north-center", north, programme_id="ours")

    assert [common.status_code, own.status_code, again.status_code] == [201, 201, 200]
    said = [key for topic, key in await _said(database) if topic == "profile.programme"]
    assert said == ["all", "ours"]


async def test_no_one_defines_anothers_programme(members: Edge, north: Center) -> None:
    await _define(members, "north-center", north, programme_id="ours")

    theirs = await _define(members, "south-center", north, programme_id="ours")
    common = await _define(members, "south-center", north, owner="consortium")
    operators = await _define(members, "operator", north, programme_id="ours")
    taken = await _define(members, "south-center", north, owner="south-center", programme_id="ours")

    statuses = [a.status_code for a in (theirs, common, operators, taken)]
    assert statuses == [403, 403, 403, 409]
    assert theirs.json()["problems"][0]["fix"] == "set owner to south-center"


async def test_a_programme_names_members_alone(members: Edge, north: Center) -> None:
    answer = await _define(
        members, "operator", north, owner="consortium", participants=["south-centre"]
    )

    (problem,) = answer.json()["problems"]
    assert (problem["field"], problem["suggestions"][0]) == ("participants[0]", "south-center")


async def test_a_center_outside_the_registry_defines_nothing(edge: Edge, north: Center) -> None:
    answer = await _define(edge, "north-center", north)

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["rule"] == "unknown_institution"


async def test_programmes_are_there_for_every_member(members: Edge, north: Center) -> None:
    await _define(members, "north-center", north, programme_id="grants")

    listed = await members.ask("GET", "/programmes", "south-center")
    shown = await members.ask("GET", "/programmes/grants", "south-center")
    missing = await members.ask("GET", "/programmes/grant", "south-center")

    assert [p["programme_id"] for p in listed.json()] == ["grants"]
    assert shown.json() == north.programme("grants").model_dump(mode="json")
    assert missing.status_code == 404
    assert missing.json()["problems"][0]["suggestions"] == ["grants"]


async def test_a_submitted_person_can_be_looked_up_by_their_own_center(
    members: Edge, north: Center
) -> None:
    event = north.submits()
    await members.send(event, "north-center")

    own = await members.ask("GET", f"/people/{event.person_id}", "north-center")
    others = await members.ask("GET", f"/people/{event.person_id}", "south-center")

    assert own.json()["version"] == 1
    assert own.json()["profile"] == event.profile.model_dump(mode="json")
    assert "sealed" not in own.text
    assert others.status_code == 404


async def test_an_event_is_answered_and_its_receipt_kept_for_its_center(
    members: Edge, north: Center
) -> None:
    event = north.submits()
    sent = await members.send(event, "north-center")
    repeated = await members.send(event, "north-center")

    own = await members.ask("GET", f"/receipts/{event.envelope.id}", "north-center")
    others = await members.ask("GET", f"/receipts/{event.envelope.id}", "south-center")

    assert (sent.status_code, sent.json()["outcome"]) == (202, "applied")
    assert (repeated.status_code, repeated.json()["outcome"]) == (202, "duplicate")
    assert (own.json()["outcome"], own.json()["about"]) == ("applied", event.subject)
    assert others.status_code == 404


async def test_a_rejected_event_is_rejected_again_when_it_is_repeated(
    members: Edge, north: Center
) -> None:
    event = north.submits(profession="oncology_nurs")

    first = await members.send(event, "north-center")
    second = await members.send(event, "north-center")

    kept = await members.ask("GET", f"/receipts/{event.envelope.id}", "north-center")
    assert first.status_code == second.status_code == 422
    assert first.json()["problems"] == second.json()["problems"] == kept.json()["problems"]


async def test_no_center_speaks_for_another(members: Edge, north: Center) -> None:
    answer = await members.send(north.submits(), "south-center")

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "source"


async def test_what_is_logged_and_answered_repeats_no_contact(
    members: Edge, north: Center, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = a_contact().model_copy(update={"email": "lovelace at home"})

    answer = await members.send(north.submits(contact=broken), "north-center")

    printed = capsys.readouterr()
    assert answer.status_code == 422
    assert "lovelace" not in answer.text + printed.out + printed.err


async def test_every_schema_that_the_description_refers_to_is_in_it(edge: Edge) -> None:
    document = (await edge.client.get("/openapi.json")).json()

    wanted = set(_references(document))

    assert "#/components/schemas/Institution" in wanted
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert wanted <= names


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [ref for item in node for ref in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [ref for item in node.values() for ref in _references(item)]


async def _register(edge: Edge, center: Center, **changes: Any) -> httpx.Response:
    body = center.itself().model_dump(mode="json") | changes
    return await edge.ask("PUT", f"/institutions/{center.institution_id}", "operator", body)


async def _define(edge: Edge, who: str, center: Center, **changes: Any) -> httpx.Response:
    body = center.programme().model_dump(mode="json") | changes
    return await edge.ask("PUT", f"/programmes/{body['programme_id']}", who, body)


async def _said(database: Database) -> list[tuple[str, str]]:
    async with database.transaction() as tx:
        rows = await tx.conn.fetch("SELECT topic, subject FROM kit.outbox ORDER BY seq")
    return [(row["topic"], row["subject"]) for row in rows]
