"""What a member center, the consortium's own readers and the operator get to log in with."""

import base64
import json
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.errors import DevstackError
from devstack.files import make_folder, write_whole

Table = Mapping[str, str]
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Credentials:
    """One credentials file, read. Absent tables are empty."""

    path: Path
    institution_id: str | None
    pseudonym_key: str | None
    """With it the center alone turns its people into pseudonyms; 32 bytes, base64url."""
    kafka: Table
    """bootstrap, security, mechanism, username, password, group_prefix."""
    http: Table
    """Base addresses by service, and `intake_key`: where the hub's public key is."""
    oidc: Table
    """issuer, token_endpoint, audience, client_id, client_secret."""


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """The folder of credentials, one TOML file per holder, readable by this user alone."""

    folder: Path

    def read(self, holder: str) -> Credentials:
        """Return a holder's credentials.

        Raises:
            DevstackError: there are none.
        """
        path = self._path(holder)
        if not path.exists():
            raise DevstackError(f"{holder} has no credentials here: provision it first")
        content: dict[str, Any] = tomllib.loads(path.read_text())
        return Credentials(
            path=path,
            institution_id=content.get("institution_id"),
            pseudonym_key=content.get("pseudonym_key"),
            kafka=content.get("kafka", {}),
            http=content.get("http", {}),
            oidc=content.get("oidc", {}),
        )

    def write(
        self, holder: str, tables: Mapping[str, Table], *, institution_id: str | None = None
    ) -> Credentials:
        """Write a holder's file, and return what is in it; a pseudonym key that is there stays."""
        top: dict[str, str] = {}
        if institution_id is not None:
            top = {"institution_id": institution_id, "pseudonym_key": self._pseudonym_key(holder)}
        text = _toml(top, tables)
        make_folder(self.folder)
        path = self._path(holder)
        if not path.exists() or path.read_text() != text:
            write_whole(path, text)
        return self.read(holder)

    def _pseudonym_key(self, holder: str) -> str:
        if self._path(holder).exists() and (known := self.read(holder).pseudonym_key):
            return known
        return base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode().rstrip("=")

    def _path(self, holder: str) -> Path:
        return self.folder / f"{holder}.toml"


def _toml(top: Table, tables: Mapping[str, Table]) -> str:
    """Return flat tables of text as TOML; for ASCII its strings are JSON's."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in top.items()]
    for table, entries in tables.items():
        lines += ["", f"[{table}]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in entries.items()]
    return "\n".join(lines).lstrip("\n") + "\n"
