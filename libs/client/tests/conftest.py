"""Builders of a center's material, and a small hub that speaks HTTP as the real one does."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from oncomentor_client.credentials import Credentials
from oncomentor_client.intake import IntakeKey
from oncomentor_client.people import Person, Submission

CENTER_KEY = b"only the harbor center knows this"
PERSON: dict[str, Any] = {
    "local_id": "4711",
    "profile": {
        "profession": "medical_oncologist",
        "languages": ["en", "pt"],
        "time_zone": "Europe/Lisbon",
        "weekly_hours": [{"weekday": 1, "starts": "09:00", "ends": "11:00"}],
        "mentor_roles": [{"programme_id": "research", "offers": ["grant_writing"]}],
        "consents": [
            {"purpose": "matching", "text_version": "1", "given_at": "2026-01-05T09:00:00Z"}
        ],
    },
    "contact": {"display_name": "Ana Example", "email": "ana@harbor.invalid"},
}
COLUMNS = (
    "local_id,profile.profession,profile.languages,profile.time_zone,profile.weekly_hours,"
    "profile.mentor_roles,profile.consents,contact.display_name,contact.email"
)
ROW = (
    "{id},medical_oncologist,en|pt,Europe/Lisbon,Mon 09:00-11:00,research:grant_writing,"
    "matching@1@2026-01-05,Ana Example,ana@harbor.invalid"
)

WriteCsv = Callable[..., Path]
APerson = Callable[..., Person]


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    """Return a function that writes the lines, under the usual header unless told otherwise."""

    def write(*lines: str, header: str = COLUMNS, encoding: str = "utf-8") -> Path:
        path = tmp_path / "people.csv"
        path.write_bytes("\n".join((header, *lines, "")).encode(encoding))
        return path

    return write


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[[Iterable[object]], Path]:
    """Return a function that writes objects (or, as they are, bytes) one per line."""

    def write(rows: Iterable[object]) -> Path:
        path = tmp_path / "people.jsonl"
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path.write_bytes(b"\n".join([*lines, b""]))
        return path

    return write


@pytest.fixture
def a_person() -> APerson:
    """Return a builder of people; `topic` is the easy way to say something else about one."""

    def build(local_id: str = "4711", row: int = 2, topic: str | None = None) -> Person:
        said = Submission.model_validate(PERSON)
        profile = said.profile.model_copy(update={"topics": () if topic is None else (topic,)})
        return Person(row, local_id, profile, said.contact, said.survivor, said.local)

    return build


@pytest.fixture
def hub_key() -> ECKey:
    """The hub's private intake key."""
    return ECKey.generate_key("P-256")


@pytest.fixture
def intake_key(hub_key: ECKey) -> IntakeKey:
    """What the hub publishes of it."""
    return IntakeKey(hub_key.as_dict(private=False))


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    """Credentials of a center on a network that nobody answers for."""
    return center_credentials(tmp_path, "http://127.0.0.1:9")


def center_credentials(folder: Path, address: str) -> Credentials:
    path = folder / "harbor-demo.toml"
    path.write_text(
        f"""
        institution_id = "harbor-demo"
        pseudonym_key = "b25seSB0aGUgaGFyYm9yIGNlbnRlciBrbm93cyB0aGlz"
        [kafka]
        bootstrap = "127.0.0.1:9"
        security = "SASL_PLAINTEXT"
        mechanism = "SCRAM-SHA-512"
        username = "inst-harbor-demo"
        password = "secret"
        group_prefix = "harbor-demo."
        [http]
        profile = "{address}"
        matching = "{address}"
        intake_key = "{address}/v1/keys/intake"
        [oidc]
        token_endpoint = "{address}/token"
        client_id = "inst-harbor-demo"
        client_secret = "secret"
        """
    )
    return Credentials.load(path)


@dataclass
class Hub:
    """A hub over HTTP: takes each event id in once, after the failures it was told to have."""

    folder: Path
    key: ECKey
    taken: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    """HTTP status of the next answers, first to last; then all is well."""
    posts: int = 0
    tokens: int = 0
    busy: int = 0
    busiest: int = 0
    address: str = ""

    @property
    def credentials(self) -> Credentials:
        return center_credentials(self.folder, self.address)

    async def take(self, request: Request) -> Response:
        self.posts += 1
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        event = await request.json()
        await asyncio.sleep(0.002)  # the work of the real one
        self.busy -= 1
        if self.failures:
            return JSONResponse({"title": "no"}, self.failures.pop(0))
        if request.headers["idempotency-key"] != event["id"]:
            return JSONResponse({"title": "Idempotency-Key differs"}, 400)
        if event["data"]["profile"]["topics"] == ["not_wanted"]:
            problems = [
                {
                    "field": "profile.topics[0]",
                    "rule": "unknown_code",
                    "message": "is not known",
                    "fix": "use another",
                    "suggestions": [],
                }
            ]
            return JSONResponse({"title": "Event rejected", "problems": problems}, 422)
        self.taken.setdefault(UUID(event["id"]), event)
        return JSONResponse({"event_id": event["id"], "outcome": "applied"}, 202)

    async def token(self, request: Request) -> Response:
        self.tokens += 1
        return JSONResponse({"access_token": f"token-{self.tokens}", "expires_in": 3600})

    async def intake(self, request: Request) -> Response:
        return JSONResponse(self.key.as_dict(private=False))

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/events", self.take, methods=["POST"]),
                Route("/token", self.token, methods=["POST"]),
                Route("/v1/keys/intake", self.intake),
            ]
        )


@pytest.fixture
async def hub(tmp_path: Path, hub_key: ECKey) -> AsyncIterator[Hub]:
    """A running hub."""
    made = Hub(tmp_path, hub_key)
    listener = socket.create_server(("127.0.0.1", 0))
    made.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(made.application(), log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    yield made
    server.should_exit = True
    await serving
