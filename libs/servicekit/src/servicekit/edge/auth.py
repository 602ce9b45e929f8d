"""Who calls the HTTP edge: bearer tokens of the identity provider, checked here.

Source: RFC 6750 (bearer), RFC 7519 (JWT), OpenID Connect Discovery 1.0.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ["ES256", "RS256"]
_REFRESH_SECONDS = 10.0  # an unknown key asks the provider again, but not more often than this
_KEEP_SECONDS = 600.0  # a key that was withdrawn is trusted no longer than this


class InvalidTokenError(Exception):
    """The token is not one of ours, has expired, or is not for us; the text says which."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, as its token says."""

    subject: str
    roles: frozenset[str]
    institution_id: str | None

    @property
    def scope(self) -> str:
        """What row-level security is bound to: the center, or `consortium` for operators."""
        return "consortium" if "operator" in self.roles else self.institution_id or "nobody"


class Authenticator:
    """Checks tokens of one issuer against its published keys, which it keeps."""

    def __init__(self, issuer: str, audience: str, jwks_url: str | None = None) -> None:
        """Nothing is fetched before the first token comes; without `jwks_url` discovery names it."""
        self._jwks_url = jwks_url
        self._issuer = issuer
        self._audience = audience
        self._keys: KeySet | None = None
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def principal(self, token: str) -> Principal:
        """Return who the token stands for.

        Raises:
            InvalidTokenError: answer 401.
            httpx.HTTPError: the identity provider is away; answer 503.
        """
        age = time.monotonic() - self._asked_at
        keys = self._keys
        if keys is None or age > _KEEP_SECONDS:
            keys, age = await self._refreshed(keys), 0.0
        try:
            return self._checked(token, keys)
        except (JoseError, ValueError) as error:
            if age < _REFRESH_SECONDS:
                raise InvalidTokenError(str(error) or type(error).__name__) from error
        try:
            return self._checked(token, await self._refreshed(keys))
        except (JoseError, ValueError) as error:
            raise InvalidTokenError(str(error) or type(error).__name__) from error

    def _checked(self, token: str, keys: KeySet) -> Principal:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        registry = jwt.JWTClaimsRegistry(
            leeway=30,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        registry.validate(claims)
        roles = claims.get("roles", [])
        institution = claims.get("institution")
        if not isinstance(roles, list) or not isinstance(institution, str | None):
            raise InvalidTokenError("claims roles or institution have the wrong type")
        return Principal(str(claims["sub"]), frozenset(map(str, roles)), institution)

    async def _refreshed(self, known: KeySet | None) -> KeySet:
        """Return the provider's keys of now; one caller asks, the others wait for its answer.

        While the provider is away those that are known stay good: tokens run out by themselves.
        """
        async with self._lock:
            if self._keys is not known and self._keys is not None:
                return self._keys
            self._asked_at = time.monotonic()  # also when it fails: it is not asked in a loop
            try:
                self._keys = await self._fetch()
            except httpx.HTTPError:
                if self._keys is None:
                    raise
            return self._keys

    async def _fetch(self) -> KeySet:
        async with httpx.AsyncClient(timeout=5) as client:
            try:
                answer = await client.get(self._jwks_url or await self._discover(client))
                answer.raise_for_status()
                body: dict[str, Any] = answer.json()
            except (KeyError, ValueError) as error:
                raise httpx.DecodingError("the identity provider answers no JSON") from error
        return KeySet.import_key_set(body)  # type: ignore[arg-type]  # joserfc's TypedDict

    async def _discover(self, client: httpx.AsyncClient) -> str:
        base = self._issuer.rstrip("/")
        answer = await client.get(f"{base}/.well-known/openid-configuration")
        answer.raise_for_status()
        return str(answer.json()["jwks_uri"])
