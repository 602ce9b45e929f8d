from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from services.scheduling.tests.builders import (
    ADA,
    BEN,
    CAT,
    a_profile,
    a_session,
    work_off,
)

from scheduling_service import api, handlers
from scheduling_service.store import session
from servicekit.edge.auth import Authenticator, InvalidTokenError, Principal
from servicekit.edge.http import make_app
from servicekit.tx import Database

OPERATOR = Principal("op", frozenset({"operator"}), None)
CALLERS = {"operator": OPERATOR, "guest": Principal("guest", frozenset(), None)} | {
    name: Principal(f"inst-{name}", frozenset({"institution"}), name)
    for name in ("north", "south", "east")
}


class Tokens(Authenticator):
    """An identity provider whose tokens are the names of the callers."""

    async def principal(self, token: str) -> Principal:
        if token not in CALLERS:
            raise InvalidTokenError("unknown")
        return CALLERS[token]


@pytest.fixture
async def http(database: Database, api_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(
        "scheduling",
        database=database,
        api_database=api_database,
        authenticator=Tokens("https://id.example.org", "oncomentor"),
        routers=(api.router,),
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://scheduling") as client:
        yield client


async def get(http: httpx.AsyncClient, path: str, *, caller: str) -> tuple[int, Any]:
    answer = await http.get(path, headers={"Authorization": f"Bearer {caller}"})
    return answer.status_code, answer.json()


async def some_sessions(database: Database) -> None:
    """Ada (north) meets Ben (south), then Cat (east); both have links."""
    async with database.transaction() as tx:
        for number, (other, center) in enumerate([(BEN, "south"), (CAT, "east")]):
            made = a_session(
                number=number,
                people=(ADA, other),
                centers=("north", center),
                starts=f"2026-03-09T{9 + 2 * number:02}:00Z",
            )
            await session.insert_session(tx, made, None)
            await session.insert_link(tx, made.session_id, f"https://meet.example.org/{number}")


async def test_a_center_sees_the_sessions_of_its_people(
    http: httpx.AsyncClient, database: Database
) -> None:
    await some_sessions(database)

    pages = {caller: await get(http, "/v1/sessions", caller=caller) for caller in CALLERS}

    seen = {caller: len(page["sessions"]) for caller, (_, page) in pages.items()}
    assert seen == {"north": 2, "south": 1, "east": 1, "operator": 2, "guest": 0}


async def test_both_sides_of_a_session_are_shown_and_its_link_is_not(
    http: httpx.AsyncClient, database: Database
) -> None:
    await some_sessions(database)

    _, page = await get(http, "/v1/sessions", caller="south")

    (shown,) = page["sessions"]
    assert shown["starts_at"] == "2026-03-09T09:00:00Z"
    assert (shown["starts_on"], shown["wall_time"]) == ("2026-03-09", "09:00:00")
    assert (shown["time_zone"], shown["duration_minutes"]) == ("Etc/UTC", 60)
    assert [(a["side"], a["institution_id"]) for a in shown["attendees"]] == [
        ("mentor", "north"),
        ("mentee", "south"),
    ]
    assert "meet.example.org" not in str(page)


async def test_sessions_come_in_pages(http: httpx.AsyncClient, database: Database) -> None:
    await some_sessions(database)

    _, first = await get(http, "/v1/sessions?limit=1", caller="north")
    _, second = await get(http, f"/v1/sessions?limit=1&after={first['next']}", caller="north")
    _, third = await get(http, f"/v1/sessions?limit=1&after={second['next']}", caller="north")

    starts = [s["starts_at"] for page in (first, second, third) for s in page["sessions"]]
    assert starts == ["2026-03-09T09:00:00Z", "2026-03-09T11:00:00Z"]
    assert third["next"] is None


async def test_a_cursor_of_ones_own_making_is_refused(http: httpx.AsyncClient) -> None:
    cursors = ("x", "!!!!", "MjAyNi0wMy0wOQ==", "\u00e9")

    answers = [await get(http, f"/v1/sessions?after={c}", caller="north") for c in cursors]

    assert {(status, problem["title"]) for status, problem in answers} == {(422, "Invalid cursor")}


async def test_one_session_is_there_for_its_own_centers(
    http: httpx.AsyncClient, database: Database
) -> None:
    await some_sessions(database)
    path = f"/v1/sessions/{a_session(number=0).session_id}"

    answers = {caller: await get(http, path, caller=caller) for caller in CALLERS}

    assert {caller for caller, (status, _) in answers.items() if status == 200} == {
        "north", "south", "operator"
    }  # fmt: skip
    assert answers["north"][1]["ical_uid"] == a_session(number=0).ical_uid
    assert answers["east"] == (404, answers["guest"][1])


async def test_availability_is_shown_to_the_persons_own_center(
    http: httpx.AsyncClient, database: Database
) -> None:
    hours = [(1, "09:00", "12:00"), (7, "20:00", "00:00")]
    async with database.transaction() as tx:
        profile = a_profile(ADA, zone="Europe/Lisbon", hours=hours, pledges={"research": 90})
        await handlers.project_people([profile], tx)
        await work_off(tx)
    path = f"/v1/people/{ADA}/availability"

    answers = {caller: await get(http, path, caller=caller) for caller in CALLERS}

    assert {caller for caller, (status, _) in answers.items() if status == 200} == {
        "north", "operator"
    }  # fmt: skip
    assert answers["north"][1] == {
        "person_id": str(ADA),
        "institution_id": "north",
        "time_zone": "Europe/Lisbon",
        "weekly_hours": [
            {"weekday": 1, "starts": "09:00:00", "ends": "12:00:00"},
            {"weekday": 7, "starts": "20:00:00", "ends": "00:00:00"},
        ],
        "minutes_left_month": 90,
    }


async def test_there_is_no_availability_of_the_unknown_not_even_for_operators(
    http: httpx.AsyncClient, database: Database
) -> None:
    async with database.transaction() as tx:
        await tx.conn.execute("INSERT INTO calendars (person_id) VALUES ($1)", ADA)

    answers = [
        await get(http, f"/v1/people/{person_id}/availability", caller="operator")
        for person_id in (ADA, BEN)
    ]

    assert [(status, body["title"]) for status, body in answers] == [(404, "No such person")] * 2


async def test_nobody_sees_anything_without_a_token(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/sessions")

    assert answer.status_code == 401


async def test_the_edge_sees_nothing_before_it_says_for_whom(
    database: Database, api_database: Database
) -> None:
    await some_sessions(database)

    async with api_database.transaction() as tx:
        seen = [
            await tx.conn.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - three names
            for table in ("sessions", "session_attendees", "calendars")
        ]

    assert seen == [0, 0, 0]


async def test_the_edge_has_no_right_to_what_it_never_shows(api_database: Database) -> None:
    for table in ("links", "people", "matches", "protected_months", "institutions", "programmes"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with api_database.transaction(institution_id="consortium") as tx:
                await tx.conn.execute(f"SELECT FROM {table}")


async def test_the_edge_changes_nothing(api_database: Database) -> None:
    for table in ("sessions", "session_attendees", "calendars"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with api_database.transaction(institution_id="consortium") as tx:
                await tx.conn.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this test
