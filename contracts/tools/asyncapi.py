"""The network as one AsyncAPI 3.0 document: channels, messages, and who sends and receives what."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import yaml

from catalogue import summary
from oncomentor_contracts.event import Event
from oncomentor_contracts.topics import INSTITUTION_ID, Kind, Topic

Part: TypeAlias = dict[str, Any]

_KINDS: Final = {
    Kind.INGRESS: "A center's own commands; the sequence is the center's version.",
    Kind.STATE: "The whole current state of every key; compacted, a null value deletes.",
    Kind.FACT: "What happened; the sequence of a subject has no gaps.",
    Kind.EGRESS: "What the network says to one center; the sequence of a subject has no gaps.",
}
_ATTRIBUTES: Final = {
    "ce_specversion": "Always `1.0`.",
    "ce_id": "The event's id, a UUID; version 7 is best.",
    "ce_source": "`/institutions/<id>` or `/services/<name>`.",
    "ce_type": "The event's type.",
    "ce_subject": "What the event is about; equal to the key.",
    "ce_time": "When it was said, RFC 3339.",
    "ce_sequence": "Counts per topic and subject from 1.",
    "ce_dataschema": "The schema that the data was written by.",
    "ce_traceparent": "W3C trace context.",
    "ce_correlationid": "Shared by everything that one first event led to.",
    "ce_causationid": "The event that led to this one.",
}
_REQUIRED: Final = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time")


def document(events: Sequence[type[Event]], topics: Sequence[Topic]) -> str:
    """Return the document as YAML; payloads are references into `schemas/`."""
    parts = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "OncoMentor",
            "version": "0.1.0",
            "description": "The events of the OncoMentor network, as CloudEvents 1.0 on Kafka in "
            "binary mode. Written by `make schemas`.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {channel(topic): _channel(topic, events) for topic in topics},
        "operations": _operations(topics),
        "components": {
            "securitySchemes": {"scram": {"type": "scramSha512"}},
            "messages": {event.TYPE: _message(event) for event in events},
        },
    }
    text: str = yaml.safe_dump(parts, sort_keys=False, width=100, allow_unicode=True)
    return text


def channel(topic: Topic) -> str:
    """Return the topic's name in the document, where braces may not stand."""
    return topic.name.replace("{institution}", "institution")


def _server() -> Part:
    return {
        "host": "{bootstrap}",
        "protocol": "kafka",
        "variables": {"bootstrap": {"description": "Host and port of the network's brokers."}},
        "security": [{"$ref": "#/components/securitySchemes/scram"}],
    }


def _channel(topic: Topic, events: Sequence[type[Event]]) -> Part:
    parameter = {"institution": {"description": f"A member center's id: {INSTITUTION_ID}"}}
    cleanup = {"cleanup.policy": ["compact"]} if topic.kind is Kind.STATE else {}
    configuration = {"topicConfiguration": cleanup} if cleanup else {}
    return {
        "address": topic.name,
        "description": _KINDS[topic.kind],
        **({"parameters": parameter} if topic.is_template else {}),
        "messages": {
            event.TYPE: {"$ref": f"#/components/messages/{event.TYPE}"}
            for event in events
            if topic == event.TOPIC
        },
        "bindings": {"kafka": {**configuration, "bindingVersion": "0.5.0"}},
    }


def _operations(topics: Sequence[Topic]) -> Part:
    """Return one operation for each principal and topic: what its credentials allow."""
    allowed = [
        (principal, action, channel(topic))
        for topic in topics
        for action, principals in (("send", topic.writers), ("receive", topic.readers))
        for principal in sorted(principals)
    ]
    return {
        f"{principal}.{action}.{name}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{name}"},
            "tags": [{"name": principal}],
        }
        for principal, action, name in allowed
    }


def _message(event: type[Event]) -> Part:
    schema = f"./schemas/{event.TYPE}/{event.REVISION}"
    attributes: Part = {
        name: {"type": "string", "description": text} for name, text in _ATTRIBUTES.items()
    }
    attributes["ce_type"]["const"] = event.TYPE
    return {
        "name": event.TYPE,
        "title": event.__name__,
        "summary": summary(event),
        "contentType": "application/json",
        "headers": {"type": "object", "required": list(_REQUIRED), "properties": attributes},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"{schema}.reader.json"},
        },
        "x-writer-schema": f"{schema}.writer.json",
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The event's `{event.SUBJECT}`."},
                "bindingVersion": "0.5.0",
            }
        },
    }
