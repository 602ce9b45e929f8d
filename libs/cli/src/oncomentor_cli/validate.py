"""`oncomentor validate`: every error of a file, before anything is sent."""

from pathlib import Path

import typer

from oncomentor_cli.console import emit, note
from oncomentor_cli.exits import Exit
from oncomentor_cli.render import bad_row_json, counted, show_problems
from oncomentor_client.people import FileFormat, read_people
from oncomentor_client.row import BadRow


def run(file: Path, file_format: str | None, *, as_json: bool) -> None:
    """Print what is wrong with each row; exit code 1 when anything is."""
    counts = {"good": 0, "wrong": 0}
    for row in read_people(file, format_of(file_format)):
        if not isinstance(row, BadRow):
            counts["good"] += 1
            continue
        counts["wrong"] += 1
        if as_json:
            emit(bad_row_json(row))
        else:
            show_problems(f"{file.name}:{row.row}", row.problems)
    if as_json:
        emit({"summary": counts})
    note(f"{file.name}: {counted(counts)}")
    if counts["wrong"]:
        raise typer.Exit(Exit.FAILED)


def format_of(word: str | None) -> FileFormat | None:
    """Return the format that the option names."""
    if word is None:
        return None
    try:
        return FileFormat(word.lower())
    except ValueError:
        raise typer.BadParameter("--format is csv or jsonl") from None
