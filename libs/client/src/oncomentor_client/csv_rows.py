"""People in a CSV file: RFC 4180, comma, semicolon or tab; dotted column names in the first row.

One stray quotation mark swallows the rest of a file for an ordinary reader. Here a record that
doesn't come out right gives back the lines after its first one.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from oncomentor_client.csv_cells import CELLS, REQUIRED, CellError
from oncomentor_client.lines import MAX_LINE_BYTES, TextLine
from oncomentor_client.row import BadRow, RawRow, nearest, problem
from oncomentor_contracts.receipt import Problem

MAX_RECORD_LINES = 200
_DELIMITERS = (",", ";", "\t")


def csv_rows(lines: Iterable[TextLine]) -> Iterator[RawRow | BadRow]:
    """Yield one row per record that is not empty, in order; a wrong header is the only row."""
    source = _Lines(iter(lines), deque())
    first = source.next_not_empty()
    if first is None:
        yield BadRow(1, None, (_no_header("the file is empty"),))
        return
    delimiter = max(_DELIMITERS, key=first.text.count)
    header = _header(first, delimiter)
    if isinstance(header, BadRow):
        yield header
        return
    while (line := source.next_not_empty()) is not None:
        yield _row(line, source, header, delimiter)


@dataclass(slots=True)
class _Lines:
    rest: Iterator[TextLine]
    given_back: deque[TextLine]

    def next_not_empty(self) -> TextLine | None:
        while (line := self.next()) is not None:
            if line.fault is not None or line.text.strip(' ,;\t"'):
                return line
        return None

    def next(self) -> TextLine | None:
        return self.given_back.popleft() if self.given_back else next(self.rest, None)

    def give_back(self, lines: Iterable[TextLine]) -> None:
        self.given_back.extendleft(reversed(list(lines)))


def _header(line: TextLine, delimiter: str) -> list[str] | BadRow:
    cells = None if line.fault else _parsed(line.text, delimiter)
    if cells is None:
        return BadRow(line.number, None, (line.fault or _no_header("its quotes don't match"),))
    names = [cell.strip() for cell in cells]
    if not set(names) & set(CELLS):
        return BadRow(line.number, None, (_no_header("the first row names no known column"),))
    problems = tuple(_header_problems(names))
    return BadRow(line.number, None, problems) if problems else names


def _header_problems(names: list[str]) -> Iterator[Problem]:
    for place, name in enumerate(names, start=1):
        if name not in CELLS:
            yield problem(
                name or f"column {place}", "unknown_column", f"there is no column '{name}'",
                "Rename or remove the column; what it holds would be lost.", nearest(name, CELLS),
            )  # fmt: skip
        elif names.index(name) != place - 1:
            yield problem(
                name, "double_column", f"the column '{name}' stands twice", "Keep one of them."
            )
    for name in REQUIRED:
        if name not in names:
            yield problem(
                name, "missing_column", f"the column '{name}' is missing", "Add it to every row."
            )


def _row(line: TextLine, source: _Lines, header: list[str], delimiter: str) -> RawRow | BadRow:
    record = _record(line, source)
    fault = next((one.fault for one in record if one.fault is not None), None)
    cells = _parsed("\n".join(one.text for one in record), delimiter)
    good = cells is not None and len(cells) == len(header)
    if len(record) > 1 and (fault is not None or not good):
        source.give_back(record[1:])
    if fault is not None and len(record) == 1:
        return BadRow(line.number, None, (fault,))
    if cells is None or (len(record) > 1 and not good) or fault is not None:
        return BadRow(line.number, None, (_bad_quotes(),))
    if not good:
        return BadRow(line.number, None, (_wrong_count(len(cells), len(header)),))

    return _tree(line.number, dict(zip(header, cells, strict=True)))


def _record(line: TextLine, source: _Lines) -> list[TextLine]:
    """Return the lines of the record that begins here: more than one when a quote stays open."""
    record, size, is_open = [line], len(line.text), line.text.count('"') % 2
    while is_open and len(record) < MAX_RECORD_LINES and size < MAX_LINE_BYTES:
        following = source.next()
        if following is None:
            break
        record.append(following)
        size += len(following.text)
        is_open ^= following.text.count('"') % 2
    return record


def _parsed(text: str, delimiter: str) -> list[str] | None:
    # Not splitlines(): it would also end rows at U+2028 and its like inside a cell.
    lines = [f"{line}\n" for line in text.split("\n")]
    try:
        records = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 else None


def _tree(number: int, cells: dict[str, str]) -> RawRow:
    tree: dict[str, Any] = {}
    problems = []
    for name, cell in cells.items():
        text = cell.strip()
        if not text:
            continue
        section, _, field = name.rpartition(".")
        try:
            value = CELLS[name](text)
        except CellError as error:
            problems.append(error.problem(name))
            continue
        (tree.setdefault(section, {}) if section else tree)[field] = value
    return RawRow(number, tree, tuple(problems))


def _no_header(why: str) -> Problem:
    return problem(
        "header", "missing_header", f"{why}: the first row must name the columns",
        f"Begin the file with {', '.join(REQUIRED)} and the others you use.",
    )  # fmt: skip


def _bad_quotes() -> Problem:
    return problem(
        "row", "bad_quotes", "a quotation mark is not closed, or stands inside a bare cell",
        'Put the cell in quotes and double each quote inside: "he said ""yes""".',
    )  # fmt: skip


def _wrong_count(found: int, wanted: int) -> Problem:
    return problem(
        "row", "column_count", f"the row has {found} cells, the header has {wanted}",
        "Put a cell that holds the delimiter in quotes; keep empty cells.",
    )  # fmt: skip
