"""A development identity provider: `python -m devstack.idp` (not for production).

OpenID Connect discovery, keys, and tokens for clients by client credentials. Clients are read from
a file at each request, so a new institution needs no restart.
"""

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.files import PRIVATE_FILE, make_folder, write_whole
from devstack.state import LOOPBACK

AUDIENCE = "oncomentor"
ALGORITHM = "ES256"
TOKEN_SECONDS = 3600
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients file: per client the SHA-256 of its secret, and the claims of its tokens.

    Secrets are 32 random bytes, so that a plain hash can't be turned back by guessing.
    """

    path: Path
    mode: int = PRIVATE_FILE

    def put(self, client_id: str, secret: str, claims: dict[str, Any]) -> None:
        """Add the client, or replace it; nothing is written when it is there already."""
        clients = self._read()
        entry = {"secret_sha256": _sha256(secret), "claims": claims}
        if clients.get(client_id) != entry:
            content = json.dumps({**clients, client_id: entry}, indent=1)
            make_folder(self.path.parent, self.mode | (self.mode & 0o444) >> 2)
            write_whole(self.path, content, self.mode)

    def claims(self, client_id: str, secret: str) -> dict[str, Any] | None:
        """Return the claims of the client; None when the id or the secret is wrong."""
        entry = self._read().get(client_id, {"secret_sha256": "", "claims": {}})
        if not hmac.compare_digest(entry["secret_sha256"], _sha256(secret)):
            return None
        claims: dict[str, Any] = entry["claims"]
        return claims

    def _read(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}
        return content


@dataclass(frozen=True, slots=True)
class Provider:
    """The endpoints, over one issuer, one signing key and the clients file."""

    issuer: str
    key: ECKey
    clients: Clients

    async def discovery(self, request: Request) -> Response:
        """Say what there is.

        Source: OpenID Connect Discovery 1.0, section 3.
        """
        return JSONResponse(
            {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/jwks",
                "token_endpoint": f"{self.issuer}/token",
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": [],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                ],
            }
        )

    async def jwks(self, request: Request) -> Response:
        """Give the public keys."""
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def token(self, request: Request) -> Response:
        """Give a token to a client that knows its secret.

        Source: RFC 6749 sections 2.3.1, 4.4 and 5, RFC 9068 for the token's claims.
        """
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        if form.get("grant_type") != "client_credentials":
            return _refused("unsupported_grant_type", 400)
        credentials = _basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
        claims = self.clients.claims(*credentials)
        if claims is None:
            return _refused("invalid_client", 401)
        signed = self._sign(credentials[0], claims)
        return JSONResponse(
            {"access_token": signed, "token_type": "Bearer", "expires_in": TOKEN_SECONDS},
            headers=_NO_STORE,
        )

    def application(self) -> Starlette:
        """Return the provider as an ASGI application."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/jwks", self.jwks),
                Route("/token", self.token, methods=["POST"]),
                Route("/health/ready", _ready),
            ]
        )

    def _sign(self, client_id: str, claims: dict[str, Any]) -> str:
        now = int(time.time())
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": self.key.kid}
        registered = {
            "iss": self.issuer,
            "sub": client_id,
            "client_id": client_id,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode(header, {**claims, **registered}, self.key)


async def _ready(request: Request) -> Response:
    return JSONResponse({"status": "ready"})


def _basic(request: Request) -> tuple[str, str] | None:
    """Return id and secret of HTTP Basic; both are form-encoded first (RFC 6749, 2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    return unquote_plus(client_id), unquote_plus(secret)


def _refused(error: str, status: int) -> Response:
    headers = {**_NO_STORE, **({"WWW-Authenticate": "Basic"} if status == 401 else {})}  # noqa: PLR2004 - HTTP
    return JSONResponse({"error": error}, status, headers)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until ended; return a process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m devstack.idp", description=__doc__)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--issuer", help="where its clients find it, when not at host and port")
    parser.add_argument("--key-file", type=Path, required=True, help="private JWK, P-256")
    parser.add_argument("--clients-file", type=Path, required=True)
    asked = parser.parse_args(arguments)
    key = ECKey.import_key(json.loads(asked.key_file.read_text()))
    issuer = asked.issuer or f"http://{asked.host}:{asked.port}"
    provider = Provider(issuer, key, Clients(asked.clients_file))
    uvicorn.run(provider.application(), host=asked.host, port=asked.port, access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
