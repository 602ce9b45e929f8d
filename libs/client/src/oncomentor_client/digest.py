"""Digests under the center's key: equal things compare equal, and nobody else can invert them."""

import hashlib
import hmac
import json
import unicodedata
from base64 import urlsafe_b64encode

from pydantic import BaseModel

_KEY_BYTES = 32


def local_key_digest(center_key: bytes, local_id: str) -> str:
    """Return what the journal calls a person; two spellings of one local id give one digest."""
    return _digest(center_key, "journal/person", normal_id(local_id))


def content_digest(center_key: bytes, *parts: BaseModel | None) -> str:
    """Return the same text for the same content, whatever file or field order it came from.

    Fields that stand at their default don't count, so that a release that adds an optional field
    doesn't make every person look changed.
    """
    content = [
        None if part is None else part.model_dump(mode="json", exclude_defaults=True)
        for part in parts
    ]
    return _digest(center_key, "journal/content", json.dumps(content, sort_keys=True))


def withdrawal_digest(center_key: bytes) -> str:
    """Return the content digest of somebody who was taken out."""
    return _digest(center_key, "journal/content", "withdrawn")


def key_fingerprint(center_key: bytes) -> str:
    """Return which key this is, without saying the key."""
    return _digest(center_key, "journal/key", "fingerprint")


def opaque_token(center_key: bytes, kind: str, text: str) -> str:
    """Return the token the hub may compare for a unit, a lab or a line of reporting.

    Case and surplus blanks of the name don't count: `Ward 3` and `ward  3` are one unit.
    """
    name = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return _digest(center_key, f"token/{kind}", name)


def normal_id(local_id: str) -> str:
    """Return a local id as `identifiers.pseudonym` reads it: NFKC, trimmed, case kept."""
    return unicodedata.normalize("NFKC", local_id).strip()


def _digest(center_key: bytes, purpose: str, text: str) -> str:
    if len(center_key) < _KEY_BYTES:
        raise ValueError(f"the center's key must be at least {_KEY_BYTES} bytes long")

    digest = hmac.digest(center_key, f"oncomentor/{purpose}/{text}".encode(), hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
