"""What the tests of the contracts share: where the package is, and data for any schema."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

Schema = Mapping[str, Any]
Instances = Callable[[Schema], st.SearchStrategy[Any]]

_TEXT = st.characters(codec="utf-8", exclude_characters="\x00")


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The folder of the contracts package."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def instances() -> Instances:
    """Draw data that a writer's schema allows (of the JSON Schema that Pydantic writes)."""

    def of(schema: Schema) -> st.SearchStrategy[Any]:
        return _instances(schema, schema)

    return of


def _instances(schema: Schema, document: Schema) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _instances(document["$defs"][schema["$ref"].removeprefix("#/$defs/")], document)
    if "anyOf" in schema:
        return st.one_of([_instances(each, document) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    of_type: Mapping[str, Callable[[Schema, Schema], st.SearchStrategy[Any]]] = {
        "array": _lists,
        "boolean": lambda *_: st.booleans(),
        "integer": lambda part, _: st.integers(part.get("minimum"), part.get("maximum")),
        "null": lambda *_: st.none(),
        "number": lambda part, _: st.floats(
            part.get("minimum"), part.get("maximum"), allow_nan=False, allow_infinity=False
        ),
        "object": _objects,
        "string": lambda part, _: _texts(part),
    }
    return of_type[schema["type"]](schema, document)


def _lists(schema: Schema, document: Schema) -> st.SearchStrategy[Any]:
    low, high = schema.get("minItems", 0), min(schema.get("maxItems", 3), 3)
    items = _instances(schema["items"], document)
    return st.lists(items, min_size=low, max_size=max(low, high))


def _objects(schema: Schema, document: Schema) -> st.SearchStrategy[Any]:
    fields = {name: _instances(part, document) for name, part in schema["properties"].items()}
    required = {name: fields[name] for name in schema.get("required", [])}
    optional = {name: fields[name] for name in fields if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def _texts(schema: Schema) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        # Python's `$` lets a line break follow; JSON Schema's and Pydantic's does not.
        pattern = re.sub(r"\$$", r"\\Z", schema["pattern"])
        longest = schema.get("maxLength", 2000)
        texts = st.from_regex(pattern, alphabet=_TEXT)
        return texts.filter(lambda text: len(text) <= longest)
    instants = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone comes from the strategy
    match schema.get("format"):
        case "uuid":
            return st.uuids().map(str)
        case "date":
            return st.dates().map(str)
        case "date-time":
            return instants.map(datetime.isoformat)
        case _:
            low, high = schema.get("minLength", 0), schema.get("maxLength", 50)
            return st.text(_TEXT, min_size=low, max_size=min(high, 50))
