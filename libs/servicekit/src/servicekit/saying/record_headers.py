r"""A record's headers in one column: a letter for each name, then the values, apart by a NUL.

No text of PostgreSQL's holds a NUL. The sequence is not among them: it is given out while the
event is appended and has its own column.
"""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

from oncomentor_contracts.envelope import CONTENT_TYPE, SPEC_VERSION

# Rows of weeks ago are read by these letters: add some, never change one.
_NAMES = {
    "c": "content-type", "v": "ce_specversion", "i": "ce_id", "s": "ce_source", "t": "ce_type",
    "k": "ce_subject", "m": "ce_time", "d": "ce_dataschema", "p": "ce_traceparent",
    "r": "ce_correlationid", "a": "ce_causationid",
}  # fmt: skip
_FIRST = f"\0{CONTENT_TYPE}\0{SPEC_VERSION}\0"
_WITHOUT_CAUSE, _WITH_CAUSE = f"cvistkmdpr{_FIRST}", f"cvistkmdpra{_FIRST}"


def pack(attributes: tuple[str, ...], causationid: str | None) -> bytes:
    """Return the column for an event.

    `attributes` are id, source, type, subject, time, dataschema, traceparent and correlationid.
    """
    if causationid is None:
        return (_WITHOUT_CAUSE + "\0".join(attributes)).encode()
    return (_WITH_CAUSE + "\0".join((*attributes, causationid))).encode()


def renew(packed: bytes, event_id: str, now: datetime, traceparent: str) -> bytes:
    """Return the column for the same event said again, at the beginning of a chain of its own."""
    of = {name: value.decode() for name, value in unpack(packed, 0)}
    source, event_type, subject = of["ce_source"], of["ce_type"], of["ce_subject"]
    time, dataschema = now.isoformat().replace("+00:00", "Z"), of["ce_dataschema"]
    return pack(
        (event_id, source, event_type, subject, time, dataschema, traceparent, event_id), None
    )


def unpack(packed: bytes, sequence: int) -> list[tuple[str, bytes]]:
    """Return the Kafka headers of a row."""
    letters, *values = packed.split(b"\0")
    headers = list(zip(_named(letters), values, strict=True))
    headers.append(("ce_sequence", b"%d" % sequence))
    return headers


def event_id(packed: bytes) -> UUID:
    """Return the id of a row's event."""
    return UUID(dict(unpack(packed, 0))["ce_id"].decode())


def traceparent(packed: bytes) -> str | None:
    """Return the trace context of a row."""
    found = dict(unpack(packed, 0)).get("ce_traceparent")
    return None if found is None else found.decode()


@lru_cache(maxsize=64)
def _named(letters: bytes) -> tuple[str, ...]:
    return tuple(_NAMES[letter] for letter in letters.decode())
