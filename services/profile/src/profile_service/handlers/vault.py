"""The keys the service holds, and what may be done with them."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from oncomentor_contracts.profile import EncryptedBlock, SealedKey
from servicekit import security
from servicekit.errors import TransientError
from servicekit.security import Key, UnsealableError

CONTACT: Final = "contact"
SURVIVOR: Final = "survivor"
READERS: Final = {SURVIVOR: "matching", CONTACT: "notification"}
"""The one service that may read the blocks of each purpose."""


@dataclass(frozen=True, slots=True)
class PersonKey:
    """One person's data key, opened; it lives as long as the handling of one event."""

    person_id: UUID
    key_id: str
    dek: bytes = field(repr=False)

    def digest(self, purpose: str, plaintext: bytes) -> bytes:
        """Return what tells whether two plaintexts of this person are equal, and nothing else."""
        key = security.purpose_key(self.dek, f"{purpose}-digest")
        return hmac.digest(key, plaintext, "sha256")

    def encrypt(self, purpose: str, plaintext: bytes) -> EncryptedBlock:
        """Return the block for the purpose's reader."""
        key = security.purpose_key(self.dek, purpose)
        return security.encrypt_block(key, self.key_id, purpose, self.person_id, plaintext)


@dataclass(frozen=True, slots=True)
class Vault:
    """The intake key that centers seal to, the KEK, and the public key of each reader."""

    intake: Key = field(repr=False)
    kek: bytes = field(repr=False)
    readers: Mapping[str, Key]

    def new_key(self, person_id: UUID) -> PersonKey:
        """Return a new data key for a person."""
        return PersonKey(person_id, security.new_key_id(), security.new_dek())

    def wrap(self, key: PersonKey) -> bytes:
        """Return the data key as it may be stored."""
        return security.wrap_dek(self.kek, key.dek, key.person_id)

    def unwrap(self, person_id: UUID, key_id: str, wrapped: bytes) -> PersonKey:
        """Return the data key that was stored.

        Raises:
            TransientError: the KEK does not open it. Nothing is wrong with the event in hand, so
                it waits until an operator has put the right KEK back.
        """
        try:
            return PersonKey(person_id, key_id, security.unwrap_dek(self.kek, wrapped, person_id))
        except UnsealableError as error:
            raise TransientError("the KEK is not the one that people's keys are under") from error

    def sealed_keys(self, key: PersonKey) -> tuple[SealedKey, ...]:
        """Return each reader's copy of the key for its purpose."""
        return tuple(
            SealedKey(
                reader=reader,
                purpose=purpose,
                jwe=security.seal(self.readers[reader], security.purpose_key(key.dek, purpose)),
            )
            for purpose, reader in READERS.items()
        )
