"""CloudEvents 1.0 around every event: to and from Kafka's binary mode and structured JSON.

Source: CloudEvents 1.0.2, Kafka Protocol Binding 1.0.2 (binary content mode), JSON Format.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

CONTENT_TYPE: Final = "application/json"
STRUCTURED_CONTENT_TYPE: Final = "application/cloudevents+json"
SPEC_VERSION: Final = "1.0"
_REQUIRED: Final = ("specversion", "id", "source", "type", "subject", "time")
_SOURCE: Final = re.compile(r"/(institutions|services)/[a-z0-9][a-z0-9-]{2,39}")
_MAX_TEXT: Final = 512  # characters; ids and sources are far shorter, a megabyte of id is abuse

_CONTENT_TYPE: Final = CONTENT_TYPE.encode()
_SPEC_VERSION: Final = SPEC_VERSION.encode()
_RELAYED: Final = (
    "content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time",
    "ce_dataschema", "ce_traceparent", "ce_correlationid", "ce_causationid", "ce_sequence",
)  # fmt: skip
_SEQUENCES: Final = 2**63  # what a bigint holds

Header = tuple[str, bytes | None]


class EnvelopeError(ValueError):
    """An attribute is missing or malformed; `attribute` names it, the text says the rule."""

    def __init__(self, attribute: str, rule: str) -> None:
        """Keep the attribute apart so that a rejection can name it."""
        super().__init__(f"{attribute}: {rule}")
        self.attribute = attribute
        self.rule = rule


class Envelope(NamedTuple):
    """The attributes that travel beside an event's data.

    `sequence` counts per (topic, subject) from 1; on ingress it is the center's own version.
    `correlationid` is shared by everything one first event led to; `causationid` is the id of
    the event that led to this one. A tuple, since one is made for every record that is read, and
    a frozen dataclass takes five times as long to make.
    """

    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    sequence: int | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    correlationid: str | None = None
    causationid: str | None = None

    @property
    def institution_id(self) -> str | None:
        """The member center that said it; None for a service of the network."""
        kind, _, name = self.source.removeprefix("/").partition("/")
        return name if kind == "institutions" else None

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the Kafka headers of binary mode, in a fixed order."""
        texts = [(f"ce_{name}", value.encode()) for name, value in self.attributes().items()]
        return [("content-type", CONTENT_TYPE.encode()), *texts]

    def attributes(self) -> dict[str, str]:
        """Return the attributes that are set, as CloudEvents text, in a fixed order."""
        optional = {
            "dataschema": self.dataschema,
            "traceparent": self.traceparent,
            "correlationid": self.correlationid,
            "causationid": self.causationid,
            "sequence": None if self.sequence is None else str(self.sequence),
        }
        return {
            "specversion": SPEC_VERSION,
            "id": str(self.id),
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        } | {name: value for name, value in optional.items() if value is not None}

    def structured(self, data: bytes | None) -> bytes:
        """Return the event as one `application/cloudevents+json` document (HTTP, webhooks)."""
        body: dict[str, Any] = {**self.attributes(), "datacontenttype": CONTENT_TYPE}
        if data is not None:
            body["data"] = json.loads(data)
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def from_headers(headers: Iterable[Header], uuid: Callable[[str], UUID] = UUID) -> Envelope:
    """Return the envelope of a Kafka record in binary mode.

    Headers that are neither `ce_*` nor `content-type` belong to others (tracing, relays) and
    are passed over, whatever they hold. What our relays write of an event that another one led
    to, which is nearly all, is read in one go; all else attribute by attribute, which also finds
    the error. `uuid` makes the id: database drivers have faster classes than Python's.

    Raises:
        EnvelopeError: such a header has a null or non-UTF-8 value, an attribute is missing, doubled
            or malformed, or the content type is not JSON. Quarantine the record.
    """
    headers = tuple(headers)
    return _as_relayed(headers, uuid) or _spelt_otherwise(headers)


def _as_relayed(headers: tuple[Any, ...], uuid: Callable[[str], UUID]) -> Envelope | None:
    try:
        (
            (n0, content_type),
            (n1, version),
            (n2, id_),
            (n3, source),
            (n4, kind),
            (n5, subject),
            (n6, time),
            (n7, schema),
            (n8, trace),
            (n9, flow),
            (n10, cause),
            (n11, number),
        ) = headers
        if (n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11) != _RELAYED:
            return None
        # One text for all: that is one conversion. A null among them is a TypeError.
        together = b"\0".join((id_, source, kind, subject, time, schema, trace, flow, cause))
        texts = together.decode().split("\0")
        if len(together) > _MAX_TEXT or "" in texts:
            return None
        id_, source, kind, subject, time, schema, trace, flow, cause = texts
        if content_type != _CONTENT_TYPE or version != _SPEC_VERSION or not _is_source(source):
            return None
        if (
            time[-1] != "Z"
            or not number.isdigit()
            or not 0 < (sequence := int(number)) < _SEQUENCES
        ):
            return None
        at = datetime.fromisoformat(time)
        # As Envelope(...) does, without its names to be matched
        return tuple.__new__(
            Envelope,
            (uuid(id_), source, kind, subject, at, sequence, schema, trace, flow, cause),
        )
    except (AttributeError, TypeError, ValueError):  # another shape, or malformed
        return None


@lru_cache(maxsize=256)
def _is_source(text: str) -> bool:
    return _SOURCE.fullmatch(text) is not None


def _spelt_otherwise(headers: tuple[Header, ...]) -> Envelope:
    texts: dict[str, str] = {}
    for name, value in headers:
        if name != "content-type" and not name.startswith("ce_"):
            continue
        if name in texts:
            raise EnvelopeError(name, "stands twice")
        texts[name] = _text(name, value)
    if not _is_json(texts.pop("content-type", CONTENT_TYPE)):
        raise EnvelopeError("content-type", f"must be {CONTENT_TYPE} (CloudEvents binary mode)")

    return from_attributes({name.removeprefix("ce_"): text for name, text in texts.items()})


def from_structured(document: bytes) -> tuple[Envelope, bytes | None]:
    """Return the envelope and the data (JSON, None for a tombstone) of a structured document.

    Raises:
        EnvelopeError: it is no JSON object, or an attribute is missing or malformed.
    """
    try:
        body = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError("body", "must be one JSON object in UTF-8") from error
    if not isinstance(body, dict):
        raise EnvelopeError("body", "must be one JSON object in UTF-8")
    data = body.pop("data", None)
    if "data_base64" in body or not _is_json(str(body.get("datacontenttype", CONTENT_TYPE))):
        raise EnvelopeError("data", "must be JSON, written as `data`")
    if wrong := next((k for k, v in body.items() if not isinstance(v, str | int)), None):
        raise EnvelopeError(wrong, "must be text")

    envelope = from_attributes({name: str(value) for name, value in body.items()})
    return envelope, None if data is None else json.dumps(data, separators=(",", ":")).encode()


def from_attributes(texts: Mapping[str, str]) -> Envelope:
    """Return the envelope these CloudEvents attributes spell; unknown ones are passed over.

    Raises:
        EnvelopeError: an attribute is missing or malformed.
    """
    for name in _REQUIRED:
        if not texts.get(name):
            raise EnvelopeError(name, "is missing")
    for name, text in texts.items():
        _check_text(name, text)
    if texts["specversion"] != SPEC_VERSION:
        raise EnvelopeError("specversion", f"must be {SPEC_VERSION}")
    if not _SOURCE.fullmatch(texts["source"]):
        raise EnvelopeError("source", "must be /institutions/<id> or /services/<name>")

    return Envelope(
        id=_uuid(texts["id"]),
        source=texts["source"],
        type=texts["type"],
        subject=texts["subject"],
        time=_instant(texts["time"]),
        sequence=_sequence(texts.get("sequence")),
        dataschema=texts.get("dataschema"),
        traceparent=texts.get("traceparent"),
        correlationid=texts.get("correlationid"),
        causationid=texts.get("causationid"),
    )


def _text(name: str, value: bytes | None) -> str:
    if value is None:
        raise EnvelopeError(name, "has a null value")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise EnvelopeError(name, "is not UTF-8") from error


def _check_text(name: str, text: str) -> None:
    if len(text) > _MAX_TEXT:
        raise EnvelopeError(name, f"is longer than {_MAX_TEXT} characters")
    # JSON can escape both: a NUL, and half of a surrogate pair.
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise EnvelopeError(name, "holds a character that PostgreSQL text cannot keep")


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == CONTENT_TYPE


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise EnvelopeError("id", "must be a UUID (version 7 is best)") from error


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise EnvelopeError("time", "must be an RFC 3339 instant") from error
    raise EnvelopeError("time", "must carry a UTC offset")


def _sequence(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text) or not 1 <= int(text) < _SEQUENCES:
        raise EnvelopeError("sequence", "must be a whole number from 1 to 2^63-1")
    return int(text)
