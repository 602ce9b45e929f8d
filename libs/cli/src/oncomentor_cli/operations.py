"""The services' HTTP edge as an operator uses it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import typer

from oncomentor_cli.home import load_credentials
from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import RefusedError, UnreachableError
from oncomentor_client.token import TokenSource

_NO_SERVICE = frozenset({"intake_key"})  # an address in the file that is not a service's
_TIMEOUT_SECONDS = 60.0  # a retry may release thousands of followers
_TRIES = 3
_AGAIN_SECONDS = 1.0


class ConflictError(Exception):
    """The service left everything as it was; the text says why."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Calls as the operator, to any service."""

    credentials: Credentials
    client: httpx.AsyncClient
    tokens: TokenSource

    @property
    def services(self) -> list[str]:
        """The services that the operator's file names."""
        return [name for name in self.credentials.addresses if name not in _NO_SERVICE]

    def chosen(self, service: str | None) -> list[str]:
        """Return the service that was asked for, or all.

        Raises:
            typer.BadParameter: there is none of that name.
        """
        if service is None:
            return self.services
        if service not in self.services:
            raise typer.BadParameter(
                f"there is no service '{service}': there are {', '.join(self.services)}"
            )
        return [service]

    async def get(self, service: str, path: str, **query: object) -> Any:
        """Return the JSON of an answer."""
        return (await self._call(service, "GET", path, query=query)).json()

    async def get_bytes(self, service: str, path: str) -> bytes:
        """Return the bytes of an answer."""
        return (await self._call(service, "GET", path)).content

    async def post(self, service: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Send a command that may safely be sent twice; return the JSON of its answer."""
        return (await self._call(service, "POST", path, body=body)).json()

    async def _call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> httpx.Response:
        """Call, and again while the service says that it is busy.

        Raises:
            ConflictError: 409, with the service's words.
            typer.BadParameter: it knows no such thing.
            RefusedError: rights, or a request it does not take.
            UnreachableError: it doesn't answer, or stays busy.
        """
        url = f"{self.credentials.address(service)}{path}"
        params = {name: str(value) for name, value in (query or {}).items() if value is not None}
        for attempt in range(1, _TRIES):
            answer = await self._send(
                service, self.client.build_request(method, url, params=params, json=body)
            )
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                return _checked(service, answer)
            await asyncio.sleep(_AGAIN_SECONDS * attempt)
        request = self.client.build_request(method, url, params=params, json=body)
        return _checked(service, await self._send(service, request))

    async def _send(self, service: str, request: httpx.Request) -> httpx.Response:
        request.headers["Authorization"] = f"Bearer {await self.tokens.token()}"
        try:
            return await self.client.send(request)
        except httpx.TransportError as error:
            raise UnreachableError(
                f"{service} does not answer at {request.url} ({type(error).__name__}): see "
                f"'oncomentor dev logs {service}', then run the same command again"
            ) from error


@asynccontextmanager
async def operations(credentials: Path | None) -> AsyncIterator[Operations]:
    """Open the connections of an operator, whose credentials are the stack's or the given ones."""
    if credentials is None:
        loaded = load_credentials("operator", None)
    else:
        loaded = Credentials.load(credentials)  # the file may have any name
    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
        yield Operations(loaded, client, TokenSource(loaded.oidc, client))


def _checked(service: str, answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    detail = _detail(answer)
    if answer.status_code == HTTPStatus.CONFLICT:
        raise ConflictError(detail)
    if answer.status_code == HTTPStatus.NOT_FOUND:
        raise typer.BadParameter(f"{service}: {detail} See 'oncomentor quarantine list'.")
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        raise UnreachableError(f"{service} is busy or its database is away: {detail}")
    raise RefusedError(f"{service} answered {answer.status_code}: {detail}")


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]
