"""Who speaks to the network, and where it is: the file that an operator hands to a center."""

import base64
import binascii
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oncomentor_client.errors import UnusableFileError

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """How to log in to the broker (SASL/SCRAM-SHA-512)."""

    bootstrap: str
    username: str
    password: str = field(repr=False)
    security: str
    group_prefix: str
    """What the names of this user's consumer groups begin with."""


@dataclass(frozen=True, slots=True)
class OidcAccess:
    """How to get a bearer token (client credentials)."""

    token_endpoint: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """One holder's access: a member center, a reader of the network's topics, an operator.

    A holder has what its work needs: an operator no Kafka login, a reader no identity provider.
    """

    path: Path
    holder: str
    """The center's id, else the name of the file."""
    own_institution_id: str | None
    pseudonym_key: bytes | None = field(repr=False)
    """Known to the center alone: local ids become pseudonyms under it."""
    kafka_access: KafkaAccess | None
    oidc_access: OidcAccess | None
    addresses: Mapping[str, str]
    """Base addresses by service name, and `intake_key`."""

    @classmethod
    def load(cls, path: Path) -> "Credentials":
        """Return what the file says.

        Raises:
            UnusableFileError: there is no such file, or something is missing in it.
        """
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UnusableFileError(
                f"the credentials {path} can't be read ({error.strerror}): ask your operator for "
                f"the file; on the embedded stack run 'oncomentor dev provision {path.stem}'"
            ) from error
        except ValueError as error:
            raise UnusableFileError(f"the credentials {path} are not TOML: {error}") from error
        try:
            return _credentials(path, tree)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UnusableFileError(
                f"the credentials {path} lack or misspell {error}: ask your operator for a new file"
            ) from error

    @property
    def institution_id(self) -> str:
        """The member center that this is.

        Raises:
            UnusableFileError: these are not a center's credentials.
        """
        if self.own_institution_id is None:
            raise UnusableFileError(
                f"{self.holder} is no member center: publishing and answering need the "
                "credentials of one"
            )
        return self.own_institution_id

    @property
    def center_key(self) -> bytes:
        """The key under which the center makes pseudonyms.

        Raises:
            UnusableFileError: these are not a center's credentials.
        """
        if self.pseudonym_key is None:
            raise UnusableFileError(f"{self.path} has no pseudonym_key: only a center has one")
        return self.pseudonym_key

    @property
    def kafka(self) -> KafkaAccess:
        """How to log in to the broker.

        Raises:
            UnusableFileError: the file has no section for it.
        """
        if self.kafka_access is None:
            raise UnusableFileError(
                f"{self.path} has no section [kafka]: {self.holder} has no login"
            )
        return self.kafka_access

    @property
    def oidc(self) -> OidcAccess:
        """How to get a bearer token.

        Raises:
            UnusableFileError: the file has no section for it.
        """
        if self.oidc_access is None:
            raise UnusableFileError(
                f"{self.path} has no section [oidc]: {self.holder} gets no token"
            )
        return self.oidc_access

    def address(self, name: str) -> str:
        """Return an address, without a slash at the end.

        Raises:
            UnusableFileError: the file doesn't name it.
        """
        if name not in self.addresses:
            raise UnusableFileError(f"{self.path} has no address '{name}' in [http]: add it")
        return self.addresses[name].rstrip("/")


def _credentials(path: Path, tree: Mapping[str, Any]) -> Credentials:
    institution_id = tree.get("institution_id")
    return Credentials(
        path=path,
        holder=institution_id or path.stem,
        own_institution_id=institution_id,
        pseudonym_key=_key(tree["pseudonym_key"]) if institution_id else None,
        kafka_access=_kafka(tree["kafka"]) if "kafka" in tree else None,
        oidc_access=_oidc(tree["oidc"]) if "oidc" in tree else None,
        addresses=dict(tree.get("http", {})),
    )


def _kafka(table: Mapping[str, str]) -> KafkaAccess:
    return KafkaAccess(
        bootstrap=table["bootstrap"],
        username=table["username"],
        password=table["password"],
        security=table["security"],
        group_prefix=table["group_prefix"],
    )


def _oidc(table: Mapping[str, str]) -> OidcAccess:
    return OidcAccess(table["token_endpoint"], table["client_id"], table["client_secret"])


def _key(text: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("pseudonym_key (base64url is needed)") from error
    if len(key) < _KEY_BYTES:
        raise ValueError(f"pseudonym_key ({_KEY_BYTES} bytes or more are needed)")
    return key
