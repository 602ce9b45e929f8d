"""`oncomentor publish`: a center's people, each once, with a receipt for each."""

import asyncio
from collections import Counter as Counts
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import typer

from oncomentor_cli.console import Counter, emit, note, quiet_libraries
from oncomentor_cli.exits import Exit
from oncomentor_cli.home import journal_folder, load_credentials
from oncomentor_cli.render import counted, result_json, show_problems
from oncomentor_cli.validate import format_of
from oncomentor_client.credentials import Credentials
from oncomentor_client.journal import Journal
from oncomentor_client.people import read_people
from oncomentor_client.publisher import RowResult, preview
from oncomentor_client.session import SessionOptions, Via, journal_path, publishing


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    file: Path
    file_format: str | None
    institution: str
    via: str
    dry_run: bool
    as_json: bool
    credentials: Path | None
    journal: Path | None
    patience_seconds: float
    accept_key: str | None


def run(request: Request) -> None:
    """Publish, print what became of the rows, and end with the exit code that says it."""
    quiet_libraries()
    credentials = load_credentials(request.institution, request.credentials)
    folder = journal_folder(credentials, request.journal)
    counts: Counts[str] = Counts()
    if request.dry_run:
        for result in _previewed(request, credentials, folder):
            _take(result, request, counts)
    else:
        asyncio.run(_publish(request, credentials, folder, counts))
    if request.as_json:
        emit({"summary": dict(counts)})
    note(f"{request.file.name}: {counted(counts)}")
    _end(counts)


async def _publish(
    request: Request, credentials: Credentials, folder: Path, counts: Counts[str]
) -> None:
    if request.via not in set(Via):
        raise typer.BadParameter("--via is kafka or http")
    options = SessionOptions(
        via=Via(request.via),
        patience=timedelta(seconds=request.patience_seconds),
        accept_key=request.accept_key,
    )
    rows = read_people(request.file, format_of(request.file_format))
    counter = Counter()
    async with publishing(credentials, folder, options) as publisher:
        async for result in publisher.publish(rows):
            _take(result, request, counts, counter)
    counter.clear()


def _previewed(request: Request, credentials: Credentials, folder: Path) -> Iterator[RowResult]:
    rows = read_people(request.file, format_of(request.file_format))
    key, institution_id = credentials.center_key, credentials.institution_id
    if not journal_path(folder).exists():
        yield from preview(key, institution_id, None, rows)
        return
    with Journal(journal_path(folder), institution_id, key) as journal:
        yield from preview(key, institution_id, journal, rows)


def _take(
    result: RowResult, request: Request, counts: Counts[str], counter: Counter | None = None
) -> None:
    counts[result.outcome.value] += 1
    if request.as_json:
        emit(result_json(result))
    elif result.problems:
        if counter is not None:
            counter.clear()
        show_problems(f"{request.file.name}:{result.row}", result.problems)
    if counter is not None:
        counter.show(f"{request.file.name}: {counted(counts)}")


def _end(counts: Counts[str]) -> None:
    if counts["rejected"] or counts["invalid"]:
        raise typer.Exit(Exit.FAILED)
    if counts["pending"]:
        note("no receipt came for some rows in time: run the same command again to ask for them")
        raise typer.Exit(Exit.PENDING)
