"""Bearer tokens by client credentials, fetched when needed and kept until they run out.

Source: RFC 6749, section 4.4.
"""

import asyncio
import time

import httpx

from oncomentor_client.credentials import OidcAccess
from oncomentor_client.errors import RefusedError, UnreachableError

_MARGIN_SECONDS = 60.0
_CLIENT_FAULT = range(400, 500)


class TokenSource:
    """Tokens of one client; safe to share between tasks."""

    def __init__(self, access: OidcAccess, client: httpx.AsyncClient) -> None:
        """Nothing is fetched before the first token is asked for."""
        self._access = access
        self._client = client
        self._token = ""
        self._good_until = 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Return a token that is good for a minute at least, if they live that long.

        Raises:
            UnreachableError: the identity provider doesn't answer.
            RefusedError: it doesn't know the client or its secret.
        """
        async with self._lock:
            if time.monotonic() >= self._good_until:
                await self._refresh()
            return self._token

    def forget(self, token: str) -> None:
        """Fetch anew at the next call, if this is still the token that was refused."""
        if token == self._token:
            self._good_until = 0.0

    async def _refresh(self) -> None:
        access = self._access
        try:
            answer = await self._client.post(
                access.token_endpoint,
                data={"grant_type": "client_credentials"},
                auth=httpx.BasicAuth(access.client_id, access.client_secret),
            )
            if answer.status_code in _CLIENT_FAULT:
                raise RefusedError(
                    f"the identity provider at {access.token_endpoint} refuses the client "
                    f"{access.client_id}: ask your operator for a new credentials file"
                )
            answer.raise_for_status()
            body = answer.json()
            self._token = str(body["access_token"])
            lifetime = float(body.get("expires_in", 0))
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise UnreachableError(
                f"the identity provider at {access.token_endpoint} does not answer "
                f"({type(error).__name__}): check that it runs (embedded stack: 'oncomentor dev "
                "up'), then run the same command again"
            ) from error
        self._good_until = time.monotonic() + max(lifetime - _MARGIN_SECONDS, lifetime / 2)
