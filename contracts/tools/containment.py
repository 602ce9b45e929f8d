"""Whether a reader's schema takes everything that a writer's schema allows, and if not, where.

Only what can be proved counts: a keyword or a pattern that differs and cannot be compared is a
gap. It knows the JSON Schema that Pydantic writes, not all of JSON Schema.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from schemas import Schema

_ANNOTATIONS: Final = frozenset(
    {"$comment", "$defs", "$id", "$schema", "default", "deprecated", "description", "examples",
     "readOnly", "title", "writeOnly", "x-known-values"}
)  # fmt: skip
_COMPARED: Final = frozenset(
    {"additionalProperties", "anyOf", "const", "discriminator", "enum", "exclusiveMaximum",
     "exclusiveMinimum", "format", "items", "maximum", "maxItems", "maxLength", "minimum",
     "minItems", "minLength", "oneOf", "pattern", "properties", "required", "type"}
)  # fmt: skip
ANY: Final = "any text"
"""What a writer may write where its schema lists no words."""
_LOWER: Final = {
    "minLength": 0, "minItems": 0, "minimum": -math.inf, "exclusiveMinimum": -math.inf,
}  # fmt: skip
_UPPER: Final = ("maxLength", "maxItems", "maximum", "exclusiveMaximum")
_NUMBERS: Final = frozenset({"integer", "number"})


@dataclass(frozen=True, slots=True)
class Gap:
    """What a writer may write in one place and the reader does not take there."""

    path: str
    rule: str
    written: str
    taken: str


@dataclass(frozen=True)
class Containment:
    """The comparison of one writer with one reader; `gaps()` is its result."""

    writer: Schema
    reader: Schema
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def gaps(self) -> list[Gap]:
        """Return every gap, in the order of the reader's fields; empty where all is taken."""
        found = self._place(self.writer, self.reader, "")
        return list(dict.fromkeys(found))

    def _place(self, writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
        written, taken = _resolved(writer, self.writer), _resolved(reader, self.reader)
        references = (writer.get("$ref", ""), reader.get("$ref", ""))
        if alternatives := _alternatives(written):
            for each in alternatives:
                yield from self._place(each, reader, path)
        elif alternatives := _alternatives(taken):
            found = [list(self._place(writer, each, path)) for each in alternatives]
            yield from min(found, key=lambda gaps: (any(g.rule == "type" for g in gaps), len(gaps)))
        elif references not in self._seen:
            # A model that holds itself is compared once: below, it is the same again.
            self._seen.update({references} if all(references) else ())
            yield from self._one(written, taken, path)
            self._seen.discard(references)

    def _one(self, writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
        if gap := _types(writer, reader, path):
            yield gap
            return
        yield from _unproved(writer, reader, path)
        if (values := _values(writer)) is not None:
            yield from _listed(values, reader, path)
            return
        yield from _free(writer, reader, path)
        yield from _limits(writer, reader, path)
        if "items" in reader:
            yield from self._place(writer.get("items", {}), reader["items"], f"{path}[]")
        yield from self._fields(writer, reader, path)

    def _fields(self, writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
        written, taken = writer.get("properties", {}), reader.get("properties", {})
        always = writer.get("required", [])
        for name in reader.get("required", []):
            if name not in always:
                yield Gap(_at(path, name), "required", "nothing", "only events that have it")
        for name in [name for name in taken if name in written]:
            yield from self._place(written[name], taken[name], _at(path, name))
            if name not in always:
                yield from _defaults(written[name], taken[name], _at(path, name))
        rest = reader.get("additionalProperties", True)
        if rest is False:
            for name in [name for name in written if name not in taken]:
                yield Gap(_at(path, name), "closed", "this field", "no field that it does not know")
        others = writer.get("additionalProperties", True)
        if isinstance(rest, dict) and others is not False:
            others = others if isinstance(others, dict) else {}
            yield from self._place(others, rest, f"{path}.*")


def _resolved(schema: Schema, document: Schema) -> Schema:
    """Return the schema with its `$ref` followed; what stands beside it is kept."""
    while "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**document["$defs"][name], **beside}
    return schema


def _alternatives(schema: Schema) -> list[Schema]:
    beside = {k: v for k, v in schema.items() if k not in {"anyOf", "oneOf", "discriminator"}}
    annotations = {k for k in beside if k in _ANNOTATIONS}
    limits = {k: v for k, v in beside.items() if k not in annotations}
    return [{**limits, **each} for key in ("anyOf", "oneOf") for each in schema.get(key, [])]


def _types(writer: Schema, reader: Schema, path: str) -> Gap | None:
    written, taken = _type_names(writer), _type_names(reader)
    if "number" in taken:
        taken = taken | _NUMBERS
    if not taken or (written and written <= taken):
        return None
    return Gap(path, "type", " or ".join(sorted(written)) or "anything", " or ".join(sorted(taken)))


def _type_names(schema: Schema) -> frozenset[str]:
    named = schema.get("type", [])
    return frozenset([named] if isinstance(named, str) else named)


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _listed(values: Iterable[Any], reader: Schema, path: str) -> Iterator[Gap]:
    """Yield a gap for each of the writer's own words that the reader refuses or does not know."""
    taken, known = _values(reader), reader.get("x-known-values")
    for value in values:
        if taken is not None and value not in taken:
            yield Gap(path, "enum", f"'{value}'", f"only {_words(taken)}")
        elif known is not None and value not in known:
            yield Gap(path, "known_values", f"'{value}'", f"only {_words(known)} as known")
        elif isinstance(value, str):
            yield from _limits({"minLength": len(value), "maxLength": len(value)}, reader, path)
            if not re.search(reader.get("pattern", ""), value):
                yield Gap(path, "pattern", f"'{value}'", f"only {reader['pattern']}")


def _free(writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
    """Yield what an unlisted value may be and the reader does not take, lengths apart."""
    taken = _values(reader)
    if taken is not None:
        yield Gap(path, "enum", "any value", f"only {_words(taken)}")
    elif "x-known-values" in reader:
        yield Gap(path, "known_values", ANY, f"only {_words(reader['x-known-values'])} as known")
    for keyword in ("pattern", "format"):
        wanted = reader.get(keyword)
        if wanted is not None and writer.get(keyword) != wanted:
            yield Gap(path, keyword, str(writer.get(keyword, ANY)), f"only {wanted}")


def _limits(writer: Mapping[str, Any], reader: Schema, path: str) -> Iterator[Gap]:
    for keyword, lowest in _LOWER.items():
        if keyword in reader and writer.get(keyword, lowest) < reader[keyword]:
            yield Gap(path, keyword, "less", f"only {reader[keyword]} and more")
    for keyword in _UPPER:
        if keyword in reader and writer.get(keyword, math.inf) > reader[keyword]:
            yield Gap(path, keyword, "more", f"only {reader[keyword]} and less")


def _defaults(writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
    if "default" in writer and "default" in reader and writer["default"] != reader["default"]:
        written, taken = writer["default"], reader["default"]
        yield Gap(path, "default", f"nothing, which meant {written!r}", f"that for {taken!r}")


def _unproved(writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
    """Yield a gap for every further keyword of the reader that the writer does not share."""
    for keyword in sorted(reader.keys() - _ANNOTATIONS - _COMPARED):
        if writer.get(keyword) != reader[keyword]:
            written = str(writer.get(keyword, "anything"))
            yield Gap(path, keyword.removeprefix("x-"), written, f"only {reader[keyword]}")


def _words(values: Iterable[Any]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
