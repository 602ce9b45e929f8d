"""Identifiers made by rule: time-ordered event ids and pseudonyms of people."""

import hashlib
import hmac
import os
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEY_BYTES: Final = 32  # as long as the digest: RFC 2104, section 3


def uuid7(now: datetime) -> UUID:
    """Return a new time-ordered id (UUID version 7, millisecond of `now` plus 74 random bits).

    Source: RFC 9562, section 5.7.
    """
    milliseconds = (now - _EPOCH) // timedelta(milliseconds=1) & ((1 << 48) - 1)
    tail = int.from_bytes(os.urandom(10))
    value = (milliseconds << 80) | (0x7 << 76) | ((tail >> 64 & 0xFFF) << 64)
    return UUID(int=value | (0b10 << 62) | (tail & ((1 << 62) - 1)))


def derived_id(kind: str, *parts: str) -> UUID:
    """Return the id that these parts always give (UUID version 8 from SHA-256).

    For things whose identity follows from others, such as a match's first session: made twice,
    it is the same thing.
    """
    return _uuid8(hashlib.sha256("\x1f".join((kind, *parts)).encode()).digest())


def pseudonym(center_key: bytes, institution_id: str, local_id: str) -> UUID:
    """Return a person's id in the network (UUID version 8 from an HMAC under the center's key).

    Only the center holds `center_key` (32 bytes or more), so a staff number never leaves it and
    cannot be found by trying numbers. The local id is normalised (NFKC, trimmed) first; its
    case is kept, since some registries tell `a1` from `A1`.

    Raises:
        ValueError: the key is shorter than 32 bytes or the local id is empty.
    """
    if len(center_key) < _KEY_BYTES:
        raise ValueError(f"the center's key must be at least {_KEY_BYTES} bytes long")
    normal = unicodedata.normalize("NFKC", local_id).strip()
    if not normal:
        raise ValueError("the local id is empty")

    text = f"oncomentor/person/{institution_id}/{normal}".encode()
    return _uuid8(hmac.digest(center_key, text, "sha256"))


def _uuid8(digest: bytes) -> UUID:
    value = int.from_bytes(digest[:16])
    value &= ~(0xF << 76) & ~(0b11 << 62)
    return UUID(int=value | (0x8 << 76) | (0b10 << 62))
