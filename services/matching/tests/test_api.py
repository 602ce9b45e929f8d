from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from services.matching.tests.builders import NORTH, SOUTH, person_id
from services.matching.tests.network import (
    MAX,
    MIA,
    Matching,
    a_network,
    a_response,
    handle,
    mentee_state,
    mentor_state,
    of_kind,
)

from matching_service import api
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.matching import MatchProposed
from servicekit.edge.http import make_app
from servicekit.tx import Database
from testkit.issuer import Issuer

OPERATOR = "operator"
WEST = "west-center"


@dataclass
class Edge:
    """The HTTP edge over a database, and a caller for each token."""

    client: httpx.AsyncClient
    database: Database
    issuer: Issuer = field(default_factory=Issuer)

    async def hears(self, *events: Event) -> list[MatchProposed]:
        async with self.database.transaction() as tx:
            matching = Matching(tx)
            await matching.hears(*events)
            return of_kind(await matching.waits(seconds=1), MatchProposed)

    async def answers(self, match_id: Any, word: str, center: str, person: Any = None) -> None:
        async with self.database.transaction() as tx:
            await handle(a_response(match_id, word, center, person), tx)

    async def asks(self, path: str, who: str = OPERATOR, **query: Any) -> httpx.Response:
        headers = self.issuer.headers(who)
        return await self.client.get(f"/v1{path}", headers=headers, params=query)


@pytest.fixture
async def edge(database: Database, api_database: Database) -> AsyncIterator[Edge]:
    issuer = Issuer()
    app = make_app(
        "matching",
        api_database=api_database,
        database=database,
        authenticator=issuer,
        routers=[api.router],
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://matching") as client:
        yield Edge(client, database, issuer)


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [match["match_id"] for match in answer.json()["matches"]]


async def test_both_centers_and_operators_see_a_match_and_nobody_else(edge: Edge) -> None:
    (match,) = await edge.hears(*a_network())

    seen = {who: ids(await edge.asks("/matches", who)) for who in (NORTH, SOUTH, WEST, OPERATOR)}

    own = [str(match.match_id)]
    assert seen == {NORTH: own, SOUTH: own, WEST: [], OPERATOR: own}
    strange = await edge.asks(f"/matches/{match.match_id}", WEST)
    assert (strange.status_code, strange.headers["content-type"]) == (
        404,
        "application/problem+json",
    )


async def test_a_caller_without_a_token_sees_nothing(edge: Edge) -> None:
    answer = await edge.client.get("/v1/matches")

    assert answer.status_code == 401


async def test_matches_are_filtered_and_paged_newest_first(edge: Edge) -> None:
    names = ["ann", "bob", "cai"]
    await edge.hears(*a_network()[:3], mentor_state(role={"capacity": 3}))
    matches = []
    for name in names:
        matches += await edge.hears(mentee_state(name))
    await edge.answers(matches[0].match_id, "decline", SOUTH, MAX)
    newest_first = [str(match.match_id) for match in reversed(matches)]

    first = await edge.asks("/matches", NORTH, limit=2)
    rest = await edge.asks("/matches", NORTH, limit=2, before=first.json()["next"])

    assert ids(first) + ids(rest) == newest_first
    assert rest.json()["next"] is None
    assert ids(await edge.asks("/matches", state="declined")) == newest_first[2:]
    assert ids(await edge.asks("/matches", programme="other-one")) == []
    assert (await edge.asks("/matches", state="happy")).status_code == 422


async def test_a_match_is_told_with_its_explanation_and_its_story(edge: Edge) -> None:
    (match,) = await edge.hears(*a_network())
    await edge.answers(match.match_id, "accept", SOUTH, MAX)

    answer = await edge.asks(f"/matches/{match.match_id}", NORTH)

    body = answer.json()
    assert body["state"] == "offered_to_mentee"
    assert body["explanation"] == match.explanation.model_dump(mode="json")
    assert [step["fact"] for step in body["history"]] == [
        "proposed", "cleared", "cleared", "offered", "accepted", "offered",
    ]  # fmt: skip
    assert body["mentor"]["person_id"] == str(MAX)


async def test_a_veto_shows_to_the_center_that_gave_it_and_to_nobody_else(edge: Edge) -> None:
    (match,) = await edge.hears(*a_network())
    path = f"/matches/{match.match_id}"
    before = (await edge.asks(path, SOUTH)).json()

    await edge.answers(match.match_id, "veto", NORTH)

    assert (await edge.asks(path, SOUTH)).json() == before
    own = (await edge.asks(path, NORTH)).json()
    assert own["history"][-1]["fact"] == "vetoed"
    assert (await edge.asks(path, OPERATOR)).json()["history"][-1]["fact"] == "vetoed"


async def test_an_unknown_match_reads_like_one_of_others(edge: Edge) -> None:
    nowhere = derived_id("match", "nowhere")

    answer = await edge.asks(f"/matches/{nowhere}", NORTH)

    assert answer.status_code == 404


async def test_operators_see_the_pool_and_who_waits(edge: Edge) -> None:
    await edge.hears(*a_network(), mentee_state("mei"), mentee_state("mo", state="paused"))

    answer = await edge.asks("/programmes/grants/pool")

    body = answer.json()
    assert body["waiting"] == 1
    waiting = {person["person_id"] for person in body["waiting_longest"]}
    assert waiting < {str(MIA), str(person_id("mei"))}
    assert body["centers"] == [
        {
            "institution_id": NORTH,
            "mentors": 0,
            "mentees": 2,
            "paused": 1,
            "seats": 0,
            "seats_taken": 0,
            "waiting": 1,
        },
        {
            "institution_id": SOUTH,
            "mentors": 1,
            "mentees": 0,
            "paused": 0,
            "seats": 1,
            "seats_taken": 1,
            "waiting": 0,
        },
    ]


async def test_the_pool_is_for_operators_and_for_programmes_there_are(edge: Edge) -> None:
    await edge.hears(*a_network())

    assert (await edge.asks("/programmes/grants/pool", NORTH)).status_code == 403
    assert (await edge.asks("/programmes/nothing/pool")).status_code == 404


async def test_the_edge_can_read_no_block_no_key_and_no_profile(
    edge: Edge, api_database: Database
) -> None:
    tables = ["survivor_blocks", "survivor_keys", "availabilities", "institutions", "receipts"]

    async with api_database.transaction(institution_id="consortium") as tx:
        allowed = [
            table
            for table in tables
            if await tx.conn.fetchval("SELECT has_any_column_privilege($1, 'SELECT')", table)
        ]
        columns = await tx.conn.fetchval(
            """
            SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
             WHERE attrelid = 'people'::regclass AND attnum > 0
               AND has_column_privilege('people', attname, 'SELECT')
            """
        )

    assert allowed == []
    assert columns == ["active", "institution_id", "person_id"]
