"""Sealing for one reader (JWE) and encrypting under a key of one person (AES-256-GCM).

Two things are kept apart. A *seal* carries bytes to the holder of one key pair: JWE compact,
ECDH-ES on P-256 with A256GCM and nothing else. A *block* is what the network keeps of a person:
each person has one data key (DEK), each purpose a key derived from it, so that a reader of
contacts cannot read survivor blocks, and destroying the DEK ends both.

Source: RFC 7516 (JWE), RFC 7518 sections 4.6 and 5.3, RFC 5869 (HKDF), NIST SP 800-38D (GCM).
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, ValidationError

from oncomentor_contracts.profile import EncryptedBlock
from servicekit.errors import StartupError

Key = ECKey
"""A P-256 key, public or private, with its `kid`."""

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12  # SP 800-38D: 96 bits, chosen at random for each message
_ALGORITHMS: Final = ("ECDH-ES", "A256GCM")  # no compression: a bomb cannot be sent
_WANTED: Final = "alg ECDH-ES on P-256, enc A256GCM and no zip"
_REGISTRY: Final = jwe.JWERegistry(algorithms=list(_ALGORITHMS))


class UnsealableError(Exception):
    """These bytes cannot be opened with this key; the text says why and holds none of them."""


class _Ephemeral(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str


class _Header(BaseModel):
    """The protected headers we accept; all others (zip, crit, jku ...) are refused unread."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alg: Literal["ECDH-ES"]
    enc: Literal["A256GCM"]
    epk: _Ephemeral
    kid: str | None = None
    typ: str | None = None
    cty: str | None = None
    apu: str | None = None
    apv: str | None = None


def generate_key() -> Key:
    """Return a new private key; its `kid` is its thumbprint (RFC 7638)."""
    return ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES"}, auto_kid=True)


def load_key(path: Path) -> Key:
    """Return the key in a JWK file, public or private.

    Raises:
        StartupError: the file holds no P-256 JWK.
    """
    try:
        return key_of(json.loads(path.read_text()))
    except ValueError as error:
        raise StartupError(f"{path.name} holds no usable key: write a JWK on P-256") from error


def key_of(jwk: Mapping[str, str]) -> Key:
    """Return the key a JWK spells, public or private; without a `kid` its thumbprint is one.

    Raises:
        ValueError: it is no JWK of an EC key on P-256.
    """
    try:
        key = ECKey.import_key(dict(jwk))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ValueError("it is no JWK of an EC key") from error
    if key.curve_name != "P-256":
        raise ValueError(f"it is on curve {key.curve_name}, not on P-256")

    key.ensure_kid()
    return key


def load_kek(path: Path) -> bytes:
    """Return the key that wraps data keys: 32 bytes, base64 in the file.

    Raises:
        StartupError: the file holds something else.
    """
    try:
        kek = base64.b64decode(path.read_text().strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise StartupError(f"{path.name} is not base64: write 32 random bytes so") from error
    if len(kek) != _KEY_BYTES:
        raise StartupError(f"{path.name} holds {len(kek)} bytes: write 32 random ones in base64")
    return kek


def public_jwk(key: Key) -> dict[str, str]:
    """Return the public half of a key as a JWK to publish, with `kid`, `use` and `alg`."""
    parts = key.as_dict(private=False)
    kept = {name: str(parts[name]) for name in ("kty", "crv", "x", "y", "kid")}
    return kept | {"use": "enc", "alg": "ECDH-ES"}


def private_jwk(key: Key) -> dict[str, str]:
    """Return a private key as a JWK to write to a secret file."""
    return public_jwk(key) | {"d": str(key.as_dict(private=True)["d"])}


def seal(reader: Key, plaintext: bytes) -> str:
    """Return a JWE that only the holder of the reader's private key can open."""
    reader.ensure_kid()
    header = {"alg": _ALGORITHMS[0], "enc": _ALGORITHMS[1], "kid": reader.kid}
    return jwe.encrypt_compact(header, plaintext, reader, registry=_REGISTRY)


def unseal(private: Key, sealed: str) -> bytes:
    """Return what was sealed to this key.

    Raises:
        UnsealableError: it is no JWE of our one kind, was sealed to another key (a `kid` that is
            there must be this key's), or was altered. Refuse it, trying again changes nothing.
    """
    header = _header(sealed)
    private.ensure_kid()
    if header.kid is not None and header.kid != private.kid:
        raise UnsealableError(f"it was sealed to another key than {private.kid}")

    try:
        opened = jwe.decrypt_compact(sealed, private, registry=_REGISTRY)
    except (JoseError, ValueError, InvalidTag) as error:
        raise UnsealableError("it was altered, or sealed to another key") from error
    return opened.plaintext or b""


def new_dek() -> bytes:
    """Return a new data key."""
    return os.urandom(_KEY_BYTES)


def new_key_id() -> str:
    """Return a new random id for a person's data key."""
    return _encoded(os.urandom(16))


def wrap_dek(kek: bytes, dek: bytes, person_id: UUID) -> bytes:
    """Return the data key encrypted under the KEK, bound to the person (nonce, ciphertext)."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(kek).encrypt(nonce, dek, _wrapping(person_id))


def unwrap_dek(kek: bytes, wrapped: bytes, person_id: UUID) -> bytes:
    """Return the data key that was wrapped for this person.

    Raises:
        UnsealableError: the KEK is another one, or it is another person's key, or it was altered.
    """
    return _opened(kek, wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _wrapping(person_id))


def purpose_key(dek: bytes, purpose: str) -> bytes:
    """Return the key for one purpose (32 bytes); who has it cannot get at another purpose's."""
    info = f"oncomentor/{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=b"", info=info).derive(dek)


def encrypt_block(
    key: bytes, key_id: str, purpose: str, person_id: UUID, plaintext: bytes
) -> EncryptedBlock:
    """Return the block under a purpose's key, bound to purpose, person and key id."""
    nonce = os.urandom(_NONCE_BYTES)
    bound_to = _binding(purpose, person_id, key_id)
    ciphertext = AESGCM(key).encrypt(nonce, plaintext, bound_to)
    return EncryptedBlock(key_id=key_id, nonce=_encoded(nonce), ciphertext=_encoded(ciphertext))


def decrypt_block(key: bytes, purpose: str, person_id: UUID, block: EncryptedBlock) -> bytes:
    """Return what a block holds.

    Raises:
        UnsealableError: the key is another one (compare `block.key_id` with the key's: the
            block and the key travel on two topics and either may come first), or the block
            belongs to another person or purpose, or was altered.
    """
    bound_to = _binding(purpose, person_id, block.key_id)
    try:
        nonce, ciphertext = _decoded(block.nonce), _decoded(block.ciphertext)
    except ValueError as error:
        raise UnsealableError("it is not base64url") from error
    return _opened(key, nonce, ciphertext, bound_to)


def _header(sealed: str) -> _Header:
    try:
        return _Header.model_validate_json(_decoded(sealed.partition(".")[0]))
    except ValidationError as error:
        wrong = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the header"
        raise UnsealableError(f"it must be a JWE with {_WANTED}; look at {wrong}") from error
    except ValueError as error:
        raise UnsealableError(f"it must be a JWE with {_WANTED}") from error


def _opened(key: bytes, nonce: bytes, ciphertext: bytes, bound_to: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, bound_to)
    except (InvalidTag, ValueError) as error:
        raise UnsealableError("it was altered, or belongs to another key or person") from error


def _wrapping(person_id: UUID) -> bytes:
    return f"oncomentor/dek/{person_id}".encode()


def _binding(purpose: str, person_id: UUID, key_id: str) -> bytes:
    return f"oncomentor/{purpose}/{person_id}/{key_id}".encode()


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
