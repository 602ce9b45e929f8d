"""Whether a row has the shape of the contract, told so that its author can mend it.

The contracts pass over unknown fields and read unknown words as `unknown`, so that old readers
understand new writers. A file that a person made is held to what there is: a misspelt field would
be lost in silence.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from oncomentor_client.row import nearest, problem, shown
from oncomentor_contracts.event import OpenEnum
from oncomentor_contracts.receipt import Problem

_Inner = type[BaseModel] | type[OpenEnum]


def stray_problems(model: type[BaseModel], tree: object, path: str = "") -> Iterator[Problem]:
    """Yield a problem for every field and every word of the tree that the model doesn't know."""
    if not isinstance(tree, Mapping):
        return
    known = _fields(model)
    for name, value in tree.items():
        here = f"{path}.{name}" if path else str(name)
        if name not in known:
            yield problem(
                here, "unknown_field", f"there is no field '{shown(name)}' here",
                "Rename or remove it; what it holds would be lost.", nearest(str(name), known),
            )  # fmt: skip
        elif (inner := known[name]) is not None:
            yield from _inside(inner, value, here)


def _inside(inner: _Inner, value: object, path: str) -> Iterator[Problem]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inside(inner, item, f"{path}[{index}]")
    elif issubclass(inner, BaseModel):
        yield from stray_problems(inner, value, path)
    elif isinstance(value, str) and value not in (words := _words(inner)):
        yield problem(
            path, "unknown_value", f"'{shown(value)}' is none of the words this field knows",
            f"Use one of: {', '.join(words)}.", nearest(value, words),
        )  # fmt: skip


@cache
def _fields(model: type[BaseModel]) -> Mapping[str, _Inner | None]:
    """Return the model's fields, each with the model or enum that stands inside it, if any."""
    return {name: _inner(field.annotation) for name, field in model.model_fields.items()}


@cache
def _words(inner: type[OpenEnum]) -> tuple[str, ...]:
    return tuple(one.value for one in inner if one.value != "unknown")


def _inner(annotation: Any) -> _Inner | None:
    if get_origin(annotation) in {Union, UnionType, tuple}:
        return next((inner for part in get_args(annotation) if (inner := _inner(part))), None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel | OpenEnum):
        return annotation
    return None
