"""What the schema itself refuses, in the words that people are told problems in.

Built from the rule that was broken and never from Pydantic's own sentence, which may quote what
was sent: an address, a name, a diagnosis.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from oncomentor_contracts import block, event, institution
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation.rules import LIMIT, problem


class _Saying(NamedTuple):
    """How one kind of error is told; `{limits}` come from the schema, never from the data."""

    rule: str
    message: str
    fix: str


_TYPES: Final = {
    "bool": "true or false",
    "date": "a day such as 2026-03-02",
    "datetime": "an instant with its offset, such as 2026-03-02T09:00:00Z",
    "dict": "an object",
    "enum": "one of the known words",
    "finite": "a finite number",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "an object",
    "string": "text",
    "time": "a local time such as 09:30",
    "timezone": "an instant with its offset, such as 2026-03-02T09:00:00Z",
    "tuple": "a list",
    "uuid": "a UUID",
}
"""What is expected, by the first word of Pydantic's error type (`int_parsing`, `uuid_type`...)."""
_LONG: Final = _Saying(
    "too_long", "has more than {max_length} entries", "keep {max_length} at most"
)
_SHORT: Final = _Saying(
    "too_short", "has fewer entries than {min_length}", "give {min_length} at least"
)
_SAYINGS: Final = {
    "greater_than": _Saying("too_small", "is not above {gt}", "give more than {gt}"),
    "greater_than_equal": _Saying("too_small", "is below {ge}", "give {ge} or more"),
    "less_than": _Saying("too_large", "is not below {lt}", "give less than {lt}"),
    "less_than_equal": _Saying("too_large", "is above {le}", "give {le} or less"),
    "instant_out_of_range": _Saying(
        "too_large", "lies outside the years 1 to 9999", "give the instant in UTC"
    ),
    "json_invalid": _Saying("not_json", "is not JSON", "send one JSON object in UTF-8"),
    "json_type": _Saying("not_json", "is not JSON", "send one JSON object in UTF-8"),
    "missing": _Saying("missing", "is missing", "add the field"),
    "nul_character": _Saying("nul_character", "holds a NUL character", "take it out"),
    "offset": _Saying(
        "wrong_type", "carries a UTC offset", "give a local time; the zone is the profile's"
    ),
    "reserved_word": _Saying(
        "reserved_word", "is a word of the network itself", "choose another id"
    ),
    "string_too_long": _Saying(
        "too_long", "is longer than {max_length} characters", "shorten it to {max_length}"
    ),
    "string_too_short": _Saying(
        "too_short", "is shorter than {min_length} characters", "give {min_length} or more"
    ),
    "too_long": _LONG,
    "too_short": _SHORT,
}
_OTHER: Final = _Saying("invalid", "is not what the schema says", "compare it with the schema")


def problems_of(error: ValidationError, under: str = "") -> list[Problem]:
    """Return a schema error as the problems that a submitter is told; no value is repeated.

    `under` is put before every path, such as `sealed_contact` for an unsealed block. At most
    `LIMIT` problems, in Pydantic's order.
    """
    details = error.errors(include_url=False, include_input=False)[:LIMIT]
    return [problem(_path(each["loc"], under), *_saying(each)) for each in details]


def _path(location: Sequence[int | str], under: str) -> str:
    path = under
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "data"


def _saying(error: ErrorDetails) -> _Saying:
    kind, limits = error["type"], error.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return _pattern(limits["pattern"])
    if kind in _SAYINGS:
        rule, message, fix = _SAYINGS[kind]
        return _Saying(rule, message.format(**limits), fix.format(**limits))
    expected = _TYPES.get(kind.partition("_")[0])
    if expected is None:
        return _OTHER
    return _Saying("wrong_type", f"is not {expected}", f"give {expected}")


def _pattern(pattern: str) -> _Saying:
    example = _EXAMPLES.get(pattern)
    fix = f"write it like {example}" if example else f"make it match {pattern}"
    return _Saying("wrong_format", "does not have the form of this field", fix)


def _examples(aliases: Iterable[object]) -> Mapping[str, str]:
    """Return an example by pattern, for field types that are written `Annotated[str, Field(...)]`."""
    fields: list[Any] = [get_args(alias)[1] for alias in aliases]
    return {
        limit.pattern: field.examples[-1]
        for field in fields
        for limit in field.metadata
        if hasattr(limit, "pattern")
    }


_EXAMPLES: Final = _examples(
    (
        event.InstitutionId,
        event.Slug,
        event.Country,
        event.Language,
        event.Zone,
        event.Token,
        event.Sealed,
        event.Base64Url,
        institution.RorId,
        block.Email,
    )
)
