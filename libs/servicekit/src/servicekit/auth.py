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
_REFRESH_SECONDS = 10.0  # an unknown key id asks the provider again, but not more often than this


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

    def __init__(self, issuer: str, audience: str) -> None:
        """Nothing is fetched before the first token comes."""
        self._issuer = issuer.rstrip("/")
        self._audience = audience
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._lock = asyncio.Lock()

    async def principal(self, token: str) -> Principal:
        """Return who the token stands for.

        Raises:
            InvalidTokenError: answer 401.
            httpx.HTTPError: the identity provider is away; answer 503.
        """
        try:
            return self._checked(token, await self._key_set(refresh=False))
        except (JoseError, ValueError):
            keys = await self._key_set(refresh=True)
        try:
            return self._checked(token, keys)
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

    async def _key_set(self, *, refresh: bool) -> KeySet:
        async with self._lock:
            stale = time.monotonic() - self._fetched_at > _REFRESH_SECONDS
            if self._keys is None or (refresh and stale):
                self._keys = await self._fetch()
                self._fetched_at = time.monotonic()
            return self._keys

    async def _fetch(self) -> KeySet:
        async with httpx.AsyncClient(timeout=5) as client:
            discovery = await client.get(f"{self._issuer}/.well-known/openid-configuration")
            discovery.raise_for_status()
            answer = await client.get(discovery.json()["jwks_uri"])
            answer.raise_for_status()
            body: dict[str, Any] = answer.json()
        return KeySet.import_key_set(body)  # type: ignore[arg-type]  # joserfc's TypedDict
