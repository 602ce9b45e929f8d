"""Golden samples: one event of every kind as it travels, bare and with every field filled.

What is once frozen is kept, so that every later reader can be held against it.
"""

import hashlib
import json
from collections.abc import Mapping
from uuid import UUID

from filler import CENTER, NOW, Filler, identifier
from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.topics import Kind
from schemas import Schemas


def samples_of(event: type[Event], schemas: Schemas) -> Mapping[str, str]:
    """Return the event's samples by name, as structured CloudEvents documents.

    `minimal` has what a reader asks for, `full` every attribute and every field that there is.
    """
    return {name: _document(event, schemas, name) for name in ("minimal", "full")}


def _document(event: type[Event], schemas: Schemas, name: str) -> str:
    full = name == "full"
    data = None if event.TOMBSTONE else Filler(schemas.reader, full).data()
    subject = CENTER if event.SUBJECT == "institution_id" else identifier(event.SUBJECT)
    travelled = {
        "dataschema": event.dataschema(),
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "correlationid": str(_event_id("correlation")),
        "causationid": str(_event_id("causation")),
    }
    envelope = Envelope(
        id=_event_id(event.TYPE, name),
        source=_source(event),
        type=event.TYPE,
        subject=str(subject if data is None else data[event.SUBJECT]),
        time=NOW,
        sequence=1,
        **(travelled if full else {}),
    )
    document = envelope.structured(None if data is None else json.dumps(data).encode())
    return json.dumps(json.loads(document), indent=2, ensure_ascii=False) + "\n"


def _source(event: type[Event]) -> str:
    if event.TOPIC.kind is Kind.INGRESS:
        return f"/institutions/{CENTER}"
    return f"/services/{max(event.TOPIC.writers)}"


def _event_id(*parts: str) -> UUID:
    """Return an id of version 7, as real ones are, that these parts always give."""
    milliseconds = int(NOW.timestamp() * 1000)
    chance = int.from_bytes(hashlib.sha256("/".join(parts).encode()).digest()[:10])
    value = milliseconds << 80 | 0x7 << 76 | (chance >> 68) << 64
    return UUID(int=value | 0b10 << 62 | chance & ((1 << 62) - 1))
