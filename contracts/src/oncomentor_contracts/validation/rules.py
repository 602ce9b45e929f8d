"""The rules that every submission shares: words that exist, and how a problem is written."""

import textwrap
import types
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Annotated, Any, Final, Union, get_args, get_origin

from oncomentor_contracts import vocabulary
from oncomentor_contracts.event import Body, In, OpenEnum
from oncomentor_contracts.receipt import Problem

LIMIT: Final = 50
"""Problems told of one submission; whoever mends these hears of the next."""
_LINE: Final = 200  # characters that a line of a receipt may have
_FEW: Final = 16  # terms of a vocabulary that still fit into a sentence
_STANDARDS: Final = {
    "country": ("country code", "an ISO 3166-1 alpha-2 code such as PT"),
    "language": ("language", "a BCP 47 tag such as pt or pt-BR"),
    "zone": ("time zone", "an IANA time zone such as Europe/Lisbon"),
}
"""What other people's lists are called, and how their terms are written."""


def problem(
    field: str, rule: str, message: str, fix: str, suggestions: Iterable[str] = ()
) -> Problem:
    """Return the problem, its sentences shortened to what a receipt may hold."""
    return Problem(
        field=_shortened(field),
        rule=rule,
        message=_shortened(message),
        fix=_shortened(fix),
        suggestions=tuple(suggestions),
    )


def first(*problems: Iterable[Problem]) -> list[Problem]:
    """Return the first `LIMIT` problems; rules behind the limit are not even looked at."""
    return list(islice((each for some in problems for each in some), LIMIT))


def word_problems(body: Body, path: str = "") -> Iterator[Problem]:
    """Yield every word of `body` that nobody knows: enum values, codes, languages, zones.

    Which vocabulary a field takes its terms from is said in the model, by `In`.
    """
    for name, words in _vocabularies(type(body)):
        for place, value in _values(f"{path}{name}", getattr(body, name)):
            if isinstance(value, Body):
                yield from word_problems(value, f"{place}.")
            elif isinstance(value, OpenEnum):
                yield from _unknown_value(place, value)
            elif words is not None:
                yield from _unknown_term(place, words, value)


def repeated(path: str, field: str, values: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield the place of each value that stood before, and the index where it did."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            yield f"{path}[{index}].{field}", seen[value]
        seen.setdefault(value, index)


@cache
def _vocabularies(model: type[Body]) -> Sequence[tuple[str, str | None]]:
    """Return the model's fields, each with the vocabulary that its terms are of."""
    fields = model.model_fields.items()
    return [(name, _vocabulary(field.annotation, field.metadata)) for name, field in fields]


def _values(path: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple):
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(value))
    elif value is not None:
        yield path, value


def _vocabulary(annotation: object, metadata: Iterable[object]) -> str | None:
    """Return the vocabulary that `In` names in `X`, `X | None` or `tuple[X, ...]`."""
    for mark in metadata:
        if isinstance(mark, In):
            return mark.vocabulary
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return _vocabulary(inner, marks)
    if get_origin(annotation) in {Union, types.UnionType, tuple}:
        named = (_vocabulary(part, ()) for part in get_args(annotation))
        return next((name for name in named if name is not None), None)
    return None


def _unknown_value(place: str, value: OpenEnum) -> Iterator[Problem]:
    if value.value != "unknown":
        return
    words = [member.value for member in type(value) if member is not value]
    yield problem(
        place, "unknown_value", "is none of the known values", f"use one of: {', '.join(words)}"
    )


def _unknown_term(place: str, words: str, code: str) -> Iterator[Problem]:
    if code in vocabulary.known(words) or (words == "language" and vocabulary.is_language(code)):
        return
    suggestions = vocabulary.suggest(words, code)
    if words in _STANDARDS:
        thing, form = _STANDARDS[words]
        message = f"'{code}' is no {thing} that exists"
        yield problem(place, f"unknown_{words}", message, f"use {form}", suggestions)
        return
    message = f"'{code}' is not in the vocabulary {words}"
    yield problem(place, "unknown_code", message, _fix(words, suggestions), suggestions)


def _fix(words: str, suggestions: Sequence[str]) -> str:
    if suggestions:
        return f"use {suggestions[0]}, or another code of the vocabulary {words}"
    codes = tuple(vocabulary.known(words))
    if len(codes) > _FEW:
        return f"use a code of the vocabulary {words}"
    return f"use one of: {', '.join(codes)}"


def _shortened(text: str) -> str:
    return textwrap.shorten(text, _LINE, placeholder=" ...")
