"""The consortium's operator: registers centers and programmes over HTTP."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

import httpx
from pydantic import BaseModel

from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import RefusedError, UnreachableError
from oncomentor_client.token import TokenSource
from oncomentor_contracts.institution import Institution
from oncomentor_contracts.programme import Programme

_STORED = frozenset({httpx.codes.OK, httpx.codes.CREATED})
_TIMEOUT_SECONDS = 15.0


class Operator:
    """Puts entries into the registry. Putting an equal one again changes nothing."""

    def __init__(self, credentials: Credentials) -> None:
        """Speak with the operator's credentials."""
        self._url = credentials.address("profile")
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_SECONDS)
        self._tokens = TokenSource(credentials.oidc, self._client)

    async def __aenter__(self) -> Self:
        """Return the operator itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def register(
        self, institutions: Iterable[Institution], programmes: Iterable[Programme]
    ) -> int:
        """Put the centers, then the programmes they take part in; return how many were new.

        Raises:
            RefusedError: the registry does not take an entry; the message says why.
            UnreachableError: the profile service does not answer.
        """
        new = 0
        for institution in institutions:
            new += await self._put(f"institutions/{institution.institution_id}", institution)
        for programme in programmes:
            new += await self._put(f"programmes/{programme.programme_id}", programme)
        return new

    async def _put(self, path: str, entry: BaseModel) -> bool:
        url = f"{self._url}/v1/{path}"
        try:
            answer = await self._client.put(
                url,
                content=entry.model_dump_json(),
                headers={
                    "Authorization": f"Bearer {await self._tokens.token()}",
                    "Content-Type": "application/json",
                },
            )
        except httpx.TransportError as error:
            raise UnreachableError(
                f"{url} does not answer ({type(error).__name__}): see 'oncomentor dev logs profile'"
            ) from error
        if answer.status_code not in _STORED:
            raise RefusedError(f"PUT {url} was answered {answer.status_code}: {answer.text[:500]}")
        return answer.status_code == httpx.codes.CREATED
