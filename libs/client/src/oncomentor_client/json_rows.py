"""People in a JSONL file: one object per line."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from oncomentor_client.lines import TextLine
from oncomentor_client.row import BadRow, RawRow, problem


def json_rows(lines: Iterable[TextLine]) -> Iterator[RawRow | BadRow]:
    """Yield one row per line that is not empty, in order."""
    for line in lines:
        if line.fault is not None:
            yield BadRow(line.number, None, (line.fault,))
        elif line.text.strip():
            yield _row(line)


def _row(line: TextLine) -> RawRow | BadRow:
    try:
        tree = json.loads(line.text, object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    except RecursionError:
        return _bad(line, "the object is nested too deeply", "Flatten it to the documented fields.")
    except ValueError as error:
        return _bad(line, f"the line is not JSON: {error}", "Write one JSON object per line.")
    if not isinstance(tree, dict):
        return _bad(line, "the line is not a JSON object", "Write one {...} object per line.")

    return RawRow(line.number, tree)


def _bad(line: TextLine, message: str, fix: str) -> BadRow:
    return BadRow(line.number, None, (problem("row", "not_json", message, fix),))


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{double}' stands twice in one object")
    return tree


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")
