"""One row of a center's file: what it says, or everything that is wrong with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from oncomentor_contracts.receipt import Problem

_LINE = 200  # characters that a line of a problem may have (contracts, `Line`)
_VALUE = 60  # characters of a value that are shown


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in the file, in the shape of a JSON object, not judged yet."""

    row: int
    """The line on which it begins; the first line of the file is 1."""
    tree: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()
    """What is wrong with how it is written; the fields concerned are not in the tree."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be published; the rows around it are not affected."""

    row: int
    local_id: str | None
    problems: tuple[Problem, ...]


def problem(
    field: str, rule: str, message: str, fix: str, suggestions: Iterable[str] = ()
) -> Problem:
    """Return the problem with texts cut to what a problem may hold."""
    return Problem(
        field=_cut(field or "row"),
        rule=rule,
        message=_cut(message),
        fix=_cut(fix),
        suggestions=tuple(_cut(one) for one in suggestions),
    )


def nearest(word: str, words: Iterable[str]) -> tuple[str, ...]:
    """Return the words that `word` was probably meant to be, best first, three at most."""
    by_case = {one.casefold(): one for one in words}
    found = get_close_matches(word.casefold(), list(by_case), n=3, cutoff=0.5)
    return tuple(by_case[one] for one in found)


def shown(value: object) -> str:
    """Return a value for a message, short enough to leave room for the sentence around it."""
    text = str(value)
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…"


def _cut(text: str) -> str:
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"
