from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from oncomentor_client import http_route
from oncomentor_client.errors import RefusedError, UnreachableError
from oncomentor_client.people import Person
from oncomentor_client.publisher import RowOutcome, RowResult
from oncomentor_client.session import SessionOptions, Via, publishing
from oncomentor_client.token import TokenSource

if TYPE_CHECKING:
    from libs.client.tests.conftest import Hub

APerson = Callable[..., Person]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_route, "_FIRST_PAUSE_SECONDS", 0.001)


async def published(hub: "Hub", folder: Path, *people: Person) -> list[RowResult]:
    options = SessionOptions(via=Via.HTTP, patience=timedelta(0))
    async with publishing(hub.credentials, folder / "journal", options) as publisher:
        return [result async for result in publisher.publish(people)]


async def test_people_are_posted_and_the_answer_is_the_receipt(
    hub: "Hub", tmp_path: Path, a_person: APerson
) -> None:
    people = [a_person(str(n)) for n in range(40)]

    results = await published(hub, tmp_path, *people)

    assert [one.outcome for one in results] == [RowOutcome.ACCEPTED] * 40
    assert len(hub.taken) == 40
    assert hub.tokens == 1
    assert 1 < hub.busiest <= 8


async def test_a_422_is_a_rejection_with_its_problems(
    hub: "Hub", tmp_path: Path, a_person: APerson
) -> None:
    (result,) = await published(hub, tmp_path, a_person("1", topic="not_wanted"))

    assert result.outcome is RowOutcome.REJECTED
    assert result.problems[0].field == "profile.topics[0]"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_passing_failures_are_tried_again_with_the_same_event(
    hub: "Hub", tmp_path: Path, a_person: APerson, status: int
) -> None:
    hub.failures = [status, status, status]

    (result,) = await published(hub, tmp_path, a_person("1"))

    assert result.outcome is RowOutcome.ACCEPTED
    assert hub.posts == 4
    assert list(hub.taken) == [result.event_id]


async def test_a_token_that_ran_out_is_fetched_anew_once(
    hub: "Hub", tmp_path: Path, a_person: APerson
) -> None:
    hub.failures = [401]

    (result,) = await published(hub, tmp_path, a_person("1"))

    assert result.outcome is RowOutcome.ACCEPTED
    assert hub.tokens == 2


@pytest.mark.parametrize("failures", [[401, 401], [403], [404]])
async def test_a_refusal_of_the_client_stops_the_run(
    hub: "Hub", tmp_path: Path, a_person: APerson, failures: list[int]
) -> None:
    hub.failures = failures

    with pytest.raises(RefusedError, match="ask your operator"):
        await published(hub, tmp_path, a_person("1"))


async def test_a_service_that_stays_away_is_said_and_the_next_run_completes(
    hub: "Hub", tmp_path: Path, a_person: APerson
) -> None:
    hub.failures = [503] * 8
    with pytest.raises(UnreachableError, match="nothing is sent twice"):
        await published(hub, tmp_path, a_person("1"))

    (result,) = await published(hub, tmp_path, a_person("1"))

    assert result.outcome is RowOutcome.ACCEPTED
    assert len(hub.taken) == 1


async def test_a_server_says_how_long_to_wait() -> None:
    answer = httpx.Response(429, headers={"Retry-After": "3"})

    assert http_route._pause_seconds(0, answer) == 3.0
    assert http_route._pause_seconds(5, httpx.Response(429, headers={"Retry-After": "soon"})) <= 20
    assert http_route._pause_seconds(0, None) <= 0.2


async def test_an_identity_provider_that_is_away_says_so(hub: "Hub") -> None:
    access = hub.credentials.oidc
    async with httpx.AsyncClient() as client:
        hub_is_elsewhere = TokenSource(
            type(access)("http://127.0.0.1:9/token", access.client_id, "x"), client
        )
        with pytest.raises(UnreachableError, match="identity provider"):
            await hub_is_elsewhere.token()
