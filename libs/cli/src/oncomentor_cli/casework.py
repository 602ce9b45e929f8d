"""`oncomentor quarantine`: what its commands do."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from oncomentor_cli.console import emit, note, quiet_libraries, show
from oncomentor_cli.exits import Exit
from oncomentor_cli.operations import ConflictError, Operations, operations
from oncomentor_cli.table import show_table
from oncomentor_client.errors import UnreachableError, UnusableFileError

_PATH = "/ops/quarantine"
_PAGE = 500
_COLUMNS = ("id", "state", "reason", "topic", "at", "type", "subject", "age", "waiting")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are meant; None leaves it open."""

    service: str | None = None
    reason: str | None = None
    subject: str | None = None
    topic: str | None = None

    @property
    def query(self) -> dict[str, object]:
        """The same as the services take it."""
        return {"reason_class": self.reason, "subject": self.subject, "topic": self.topic}


@dataclass(frozen=True, slots=True)
class Discard:
    """What is to be given up, and why."""

    record: str | None
    service: str | None
    reason: str
    superseded: bool
    yes: bool


def list_records(
    wanted: Wanted, credentials: Path | None, *, limit: int, followers: bool, as_json: bool
) -> None:
    """Print counts and records of every service that answers; exit code 3 when one doesn't."""
    quiet_libraries()
    asyncio.run(_list(wanted, credentials, limit=limit, followers=followers, as_json=as_json))


def show_record(
    record: str, bytes_file: Path | None, credentials: Path | None, *, as_json: bool
) -> None:
    """Print a record; write its value only where a file for it is named."""
    if bytes_file is not None and bytes_file.exists():
        raise UnusableFileError(f"{bytes_file} is there already: name a new file for the bytes")
    quiet_libraries()
    asyncio.run(_show(record, bytes_file, credentials, as_json=as_json))


def retry_records(
    record: str | None, wanted: Wanted, credentials: Path | None, *, as_json: bool
) -> None:
    """Retry one record or all that are meant; exit code 1 when any is refused."""
    chosen = [one for one in (wanted.reason, wanted.subject, wanted.topic) if one is not None]
    if (record is None) == (not chosen):
        raise typer.BadParameter("name one record, or say --reason, --subject or --topic")
    quiet_libraries()
    asyncio.run(_retry(record, wanted, credentials, as_json=as_json))


def discard_records(request: Discard, credentials: Path | None, *, as_json: bool) -> None:
    """Discard one record or all superseded ones, after asking."""
    if (request.record is None) == (not request.superseded):
        raise typer.BadParameter("name one record, or say --superseded")
    quiet_libraries()
    asyncio.run(_discard(request, credentials, as_json=as_json))


async def _list(
    wanted: Wanted, credentials: Path | None, *, limit: int, followers: bool, as_json: bool
) -> None:
    counts: list[Row] = []
    records: list[Row] = []
    away: list[UnreachableError] = []
    async with operations(credentials) as network:
        for service in network.chosen(wanted.service):
            query = wanted.query | {"limit": limit, "followers": followers}
            try:
                answer = await network.get(service, _PATH, **query)
            except UnreachableError as error:
                away.append(error)
                continue
            counts += [{"service": service, **one} for one in answer["counts"]]
            records += [_named(service, one) for one in answer["records"]]
    _print_list(counts, records, as_json=as_json)
    for silent in away:
        note(f"oncomentor: {silent}")
    if away:
        raise typer.Exit(Exit.UNREACHABLE)


def _print_list(counts: list[Row], records: list[Row], *, as_json: bool) -> None:
    if as_json:
        for record in records:
            emit(record)
        emit({"summary": counts})
        return
    if not counts:
        note("nothing is in quarantine")
        return
    show_table(
        ("service", "reason", "state", "records"),
        [
            (one["service"], one["reason_class"], one["state"], str(one["records"]))
            for one in counts
        ],
    )
    if records:
        show()
        show_table(_COLUMNS, [_cells(record) for record in records])


async def _show(
    record: str, bytes_file: Path | None, credentials: Path | None, *, as_json: bool
) -> None:
    async with operations(credentials) as network:
        service, number = _parsed(record, network)
        told = _named(service, await network.get(service, f"{_PATH}/{number}"))
        if as_json:
            emit(told)
        else:
            _print_record(told)
        if bytes_file is not None:
            _write_private(bytes_file, await network.get_bytes(service, f"{_PATH}/{number}/value"))
            note(f"the value is in {bytes_file}; it may be personal data: delete it when done")


async def _retry(
    record: str | None, wanted: Wanted, credentials: Path | None, *, as_json: bool
) -> None:
    done, refused, released = 0, 0, 0
    async with operations(credentials) as network:
        async for service, number in _meant(record, wanted, network):
            told: Row = {"id": f"{service}-{number}"}
            try:
                answer = await _post_until_whole(network, service, f"{_PATH}/{number}/retry", None)
            except ConflictError as error:
                refused += 1
                told |= {"outcome": "refused", "why": str(error), "released": 0}
            else:
                done += 1
                released += answer["released"]
                told |= answer
            _print_outcome(told, as_json=as_json)
    note(f"{done} retried, {released} released behind them, {refused} refused")
    if refused:
        raise typer.Exit(Exit.FAILED)


async def _discard(request: Discard, credentials: Path | None, *, as_json: bool) -> None:
    refused = 0
    async with operations(credentials) as network:
        meant = [
            one
            async for one in _meant(
                request.record, Wanted(request.service), network, superseded=request.superseded
            )
        ]
        if meant and not request.yes:
            _confirm(request, len(meant))
        for service, number in meant:
            told: Row = {"id": f"{service}-{number}"}
            path, body = f"{_PATH}/{number}/discard", {"reason": request.reason}
            try:
                told |= await _post_until_whole(network, service, path, body)
            except ConflictError as error:
                refused += 1
                told |= {"outcome": "refused", "why": str(error), "released": 0}
            _print_outcome(told, as_json=as_json)
    note(f"{len(meant) - refused} discarded, {refused} refused")
    if refused:
        raise typer.Exit(Exit.FAILED)


def _confirm(request: Discard, number: int) -> None:
    what = request.record or f"{number} superseded records"
    typer.confirm(f"Give up {what}: never applied, bytes kept. Go on?", abort=True, err=True)


async def _post_until_whole(
    network: Operations, service: str, path: str, body: Mapping[str, object] | None
) -> Row:
    """Send a command again while it says that more followers are to be released."""
    first: Row = await network.post(service, path, body)
    answer = first
    released = first["released"]
    while answer["more"]:
        answer = await network.post(service, path, body)
        released += answer["released"]
    return first | {"released": released, "more": False}


async def _meant(
    record: str | None, wanted: Wanted, network: Operations, *, superseded: bool = False
) -> AsyncIterator[tuple[str, int]]:
    """Yield service and number of each record that is meant, the longest waiting first."""
    if record is not None:
        yield _parsed(record, network)
        return
    for service in network.chosen(wanted.service):
        after, is_last = 0, False
        while not is_last:
            query = wanted.query | {"superseded": superseded, "followers": superseded}
            page = await network.get(service, _PATH, **query, after=after, limit=_PAGE)
            for one in page["records"]:
                after = one["quarantine_id"]
                yield service, after
            is_last = len(page["records"]) < _PAGE


def _parsed(record: str, network: Operations) -> tuple[str, int]:
    service, _, number = record.rpartition("-")
    if service not in network.services or not number.isdecimal():
        raise typer.BadParameter(
            f"'{record}' is no record: ids are as 'oncomentor quarantine list' shows them, such as "
            f"{network.services[0]}-17"
        )
    return service, int(number)


def _named(service: str, record: Row) -> Row:
    """Return a record with the id that these commands take."""
    number = record.pop("quarantine_id")
    return {"id": f"{service}-{number}", "service": service, **record}


def _cells(record: Row) -> tuple[str, ...]:
    return (
        record["id"],
        "superseded" if record["superseded"] else record["state"],
        record["reason_class"],
        record["topic"],
        f"{record['partition']}/{record['record_offset']}",
        record["event_type"] or "-",
        record["subject"] or "-",
        age_of(record["age_seconds"]),
        str(record["followers"] or 0),
    )


def age_of(seconds: int) -> str:
    """Return an age in its two largest units, such as `1d 2h`."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    units = [(days, "d"), (hours, "h"), (minutes, "m"), (left, "s")]
    first = next((n for n, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count}{unit}" for count, unit in units[first : first + 2])


def _print_record(record: Row) -> None:
    headers = record.pop("headers")
    width = max(map(len, record))
    for name, value in record.items():
        show(f"{name:<{width}}  {'-' if value is None else value}")
    for header in headers:
        show(f"{'header':<{width}}  {header['name']}: {header['value']}")


def _print_outcome(told: Row, *, as_json: bool) -> None:
    if as_json:
        emit({name: value for name, value in told.items() if name != "more"})
        return
    behind = f", {told['released']} released behind it" if told["released"] else ""
    show(f"{told['id']}  {told['outcome']}: {told['why']}{behind}")


def _write_private(path: Path, value: bytes) -> None:
    """Write a new file that only this user can read.

    Raises:
        UnusableFileError: it is there already, or can't be made.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UnusableFileError(
            f"{path} can't be made ({error.strerror}): name a new file for the bytes"
        ) from error
    with os.fdopen(file, "wb") as opened:
        opened.write(value)
