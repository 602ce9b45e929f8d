"""Physical lines of a file that anybody may have made: bounded, numbered, decoded one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from oncomentor_client.errors import UnusableFileError
from oncomentor_client.row import problem
from oncomentor_contracts.receipt import Problem

MAX_LINE_BYTES = 256 * 1024  # the hub takes events up to a quarter of that size
_BOM = b"\xef\xbb\xbf"
_FOREIGN = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"PK": "a spreadsheet or zip file"}


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line without its line end; `fault` says why `text` is not to be trusted."""

    number: int
    text: str
    fault: Problem | None = None


def read_lines(path: Path) -> Iterator[TextLine]:
    """Yield every line; one that is no UTF-8 or too long carries a fault, the next ones are fine.

    A byte order mark is passed over. Memory is bounded whatever the file holds.

    Raises:
        UnusableFileError: there is no such file, or it may not be read.
    """
    try:
        with path.open("rb") as file:
            yield from _lines(file)
    except OSError as error:
        raise UnusableFileError(
            f"{path} can't be read ({error.strerror}): check the name and that you may read it"
        ) from error


def _lines(file: BinaryIO) -> Iterator[TextLine]:
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            _skip_rest(file)
            yield TextLine(number, "", _too_long())
            continue
        foreign = _FOREIGN.get(raw[:2]) if number == 1 else None
        if foreign is not None:
            yield TextLine(number, "", _not_text(foreign))
            return
        yield _decoded(number, raw.removeprefix(_BOM) if number == 1 else raw)


def _decoded(number: int, raw: bytes) -> TextLine:
    try:
        return TextLine(number, raw.rstrip(b"\r\n").decode())
    except UnicodeDecodeError as error:
        # Another encoding changes letters, seldom structure: what follows can still be read.
        text = raw.rstrip(b"\r\n").decode("latin-1")
        return TextLine(number, text, _not_utf8(error))


def _skip_rest(file: BinaryIO) -> None:
    while chunk := file.readline(MAX_LINE_BYTES):
        if chunk.endswith(b"\n"):
            return


def _too_long() -> Problem:
    return problem(
        "row", "too_long", f"the line is longer than {MAX_LINE_BYTES} bytes",
        "Shorten its texts; check that no line end is missing.",
    )  # fmt: skip


def _not_utf8(error: UnicodeDecodeError) -> Problem:
    return problem(
        "row", "not_utf8", f"byte {error.start + 1} of the line is not UTF-8",
        "Save the file as UTF-8 (in a spreadsheet: 'CSV UTF-8').",
    )  # fmt: skip


def _not_text(what: str) -> Problem:
    return problem(
        "file", "not_utf8", f"the file is {what}, not UTF-8 text",
        "Save it as UTF-8 CSV or JSONL.",
    )  # fmt: skip
