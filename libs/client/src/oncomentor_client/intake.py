"""The hub's public key: fetched once, kept beside the journal, and never changed in silence."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel

from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import RefusedError, UnreachableError, UnusableFileError

_HEADER = {"alg": "ECDH-ES", "enc": "A256GCM"}
_FETCH_SECONDS = 10.0


class IntakeKey:
    """Seals what only the hub may read."""

    def __init__(self, jwk: Mapping[str, Any]) -> None:
        """Take a public JWK (EC, P-256).

        Raises:
            ValueError: it is none.
        """
        try:
            self._key = ECKey.import_key(
                {
                    name: value
                    for name, value in jwk.items()
                    if isinstance(value, str) and name != "d"
                }
            )
        except JoseError as error:
            raise ValueError(str(error)) from error

    @property
    def thumbprint(self) -> str:
        """Name the key by its content (RFC 7638), for comparing by eye."""
        return self._key.thumbprint()

    @property
    def public(self) -> dict[str, Any]:
        """Give the key as a JWK."""
        return dict(self._key.as_dict(private=False))

    def seal(self, block: BaseModel) -> str:
        """Return the block as a JWE in compact form; no two are alike."""
        header = _HEADER | ({"kid": self._key.kid} if self._key.kid else {})
        return jwe.encrypt_compact(header, block.model_dump_json().encode(), self._key)


async def pinned_intake_key(
    credentials: Credentials, pin: Path, *, accept: str | None = None
) -> IntakeKey:
    """Return the hub's key: the pinned one, or at the first time the published one, then pinned.

    `accept` is the thumbprint of a new key that the operator announced.

    Raises:
        RefusedError: another key than the pinned one is published. Everything personal would be
            readable by whoever made it: ask the operator before accepting it.
        UnreachableError: nothing is pinned yet and the hub doesn't answer.
    """
    pinned = _read(pin)
    try:
        published = await _fetch(credentials.address("intake_key"))
    except UnreachableError:
        if pinned is None:
            raise
        return pinned
    if pinned is None or published.thumbprint == accept:
        _write(pin, published)
        return published
    if published.thumbprint != pinned.thumbprint:
        raise RefusedError(
            f"the hub publishes another intake key ({published.thumbprint}) than the one pinned in "
            f"{pin}: ask your operator whether that is right, then run this again with "
            f"--accept-key {published.thumbprint}"
        )
    return pinned


async def _fetch(url: str) -> IntakeKey:
    try:
        async with httpx.AsyncClient(timeout=_FETCH_SECONDS) as client:
            answer = await client.get(url)
            answer.raise_for_status()
            return IntakeKey(answer.json())
    except (httpx.HTTPError, ValueError) as error:
        raise UnreachableError(
            f"the hub's key can't be fetched from {url} ({type(error).__name__}): check that the "
            "profile service runs (embedded stack: 'oncomentor dev status')"
        ) from error


def _read(pin: Path) -> IntakeKey | None:
    try:
        return IntakeKey(json.loads(pin.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UnusableFileError(
            f"the pinned key {pin} can't be read: restore it from a backup, or remove it to pin "
            "what the hub publishes now"
        ) from error


def _write(pin: Path, key: IntakeKey) -> None:
    draft = pin.with_suffix(".new")
    pin.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with draft.open("w", encoding="utf-8") as file:
        json.dump(key.public, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(pin)
