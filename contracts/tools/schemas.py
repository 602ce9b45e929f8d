"""JSON Schemas of an event: what its writer may say, and what its reader must take.

The writer's is closed, so that a misspelt field is seen; the reader's is open, so that a field
that a newer writer adds is passed over. Confusing the two is what makes registries call an added
optional field incompatible.
"""

from typing import Any, NamedTuple, TypeAlias

from oncomentor_contracts.event import Event

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Schemas(NamedTuple):
    """Both schemas of one revision of an event."""

    writer: Schema
    reader: Schema


def schemas_of(event: type[Event]) -> Schemas:
    """Return the schemas that the event's model gives today.

    Beside the fields stand `x-topic`, `x-subject` (the field that is subject and key),
    `x-vocabulary` and `x-known-values`. A tombstone's data is null.
    """
    if event.TOMBSTONE:
        deletion = {"title": event.__name__, "description": event.__doc__, "type": "null"}
        return Schemas(
            _headed(event, deletion, event.dataschema()),
            _headed(event, deletion, f"{event.dataschema()}:reader"),
        )
    writer = closed(event.model_json_schema(mode="serialization"))
    reader = event.model_json_schema(mode="validation")
    return Schemas(
        _headed(event, writer, event.dataschema()),
        _headed(event, reader, f"{event.dataschema()}:reader"),
    )


def closed(schema: Schema) -> Schema:
    """Return the schema with every object in it closed to fields it does not name."""
    result = {name: _closed(part) for name, part in schema.items()}
    if result.get("type") == "object" and "properties" in result:
        result.setdefault("additionalProperties", False)
    return result


def _headed(event: type[Event], schema: Schema, name: str) -> Schema:
    head = {
        "$schema": DIALECT,
        "$id": name,
        "x-topic": event.TOPIC.name,
        "x-subject": event.SUBJECT,
    }
    return head | schema


def _closed(part: object) -> object:
    if isinstance(part, list):
        return [_closed(each) for each in part]
    return closed(part) if isinstance(part, dict) else part
