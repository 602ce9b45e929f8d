"""The people of a center, as they stand in its file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from oncomentor_client.csv_rows import csv_rows
from oncomentor_client.digest import normal_id, opaque_token
from oncomentor_client.errors import UnusableFileError
from oncomentor_client.json_rows import json_rows
from oncomentor_client.lines import read_lines
from oncomentor_client.row import BadRow, RawRow, problem
from oncomentor_client.rules import rule_problems
from oncomentor_client.shape import stray_problems
from oncomentor_contracts.event import Body, Line
from oncomentor_contracts.identifiers import pseudonym
from oncomentor_contracts.profile import CodedProfile, ContactBlock, SurvivorBlock
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation import problems_of


class FileFormat(StrEnum):
    """How a file of people is written."""

    CSV = "csv"
    JSONL = "jsonl"


class LocalFacts(Body):
    """What a center knows in its own words; only digests under its key ever leave it."""

    unit: Line | None = None
    lab: Line | None = None
    reporting_lines: tuple[Line, ...] = ()
    """Names of the lines of reporting a person stands in, as superior or not."""
    evaluated_units: tuple[Line, ...] = ()
    """Names of the units whose people this person evaluates."""
    blocked: tuple[Line, ...] = ()
    """Local ids of colleagues that this person must not be matched with."""


class Submission(Body):
    """A row in the shape that JSONL shows and CSV spells with dotted column names."""

    local_id: Annotated[str, Field(min_length=1, max_length=200)]
    profile: CodedProfile
    contact: ContactBlock
    survivor: SurvivorBlock | None = None
    local: LocalFacts = LocalFacts()


@dataclass(frozen=True, slots=True)
class Person:
    """A row that keeps the contract and the rules as far as a center alone can tell."""

    row: int
    local_id: str
    profile: CodedProfile
    contact: ContactBlock
    survivor: SurvivorBlock | None
    local: LocalFacts

    def coded(self, center_key: bytes, institution_id: str) -> CodedProfile:
        """Return the profile with the center's own words turned into tokens and pseudonyms."""
        local = self.local
        if local == LocalFacts():
            return self.profile
        profile = self.profile

        def token(kind: str, text: str) -> str:
            return opaque_token(center_key, kind, text)

        lines = [token("reporting-line", one) for one in local.reporting_lines]
        units = [token("unit", one) for one in local.evaluated_units]
        blocked = [pseudonym(center_key, institution_id, one) for one in local.blocked]
        return profile.model_copy(
            update={
                "unit_key": token("unit", local.unit) if local.unit else profile.unit_key,
                "lab_key": token("lab", local.lab) if local.lab else profile.lab_key,
                "reporting_line_keys": (*profile.reporting_line_keys, *lines),
                "evaluated_unit_keys": (*profile.evaluated_unit_keys, *units),
                "blocked_person_ids": (*profile.blocked_person_ids, *blocked),
            }
        )


def read_people(path: Path, file_format: FileFormat | None = None) -> Iterator[Person | BadRow]:
    """Yield every row of the file in order, judged alone: a bad row costs nobody else.

    The format follows from the name unless it is given. A second row with the same local id is
    bad, since nobody can say which of the two is meant.

    Raises:
        UnusableFileError: there is no such file, or its format can't be told.
    """
    lines = read_lines(path)
    wanted = file_format or _format_of(path)
    rows = csv_rows(lines) if wanted is FileFormat.CSV else json_rows(lines)
    return _without_doubles(map(_judged, rows))


def _format_of(path: Path) -> FileFormat:
    match path.suffix.lower():
        case ".csv" | ".tsv":
            return FileFormat.CSV
        case ".jsonl" | ".ndjson":
            return FileFormat.JSONL
    raise UnusableFileError(
        f"{path.name} is named neither .csv nor .jsonl: rename it, or say --format csv or jsonl"
    )


def _judged(row: RawRow | BadRow) -> Person | BadRow:
    if isinstance(row, BadRow):
        return row
    given = row.tree.get("local_id")
    local_id = given if isinstance(given, str) else None
    problems = [*row.problems, *stray_problems(Submission, row.tree)]
    told = {one.field for one in problems}
    try:
        said = Submission.model_validate(row.tree)
    except ValidationError as error:
        return BadRow(row.row, local_id, (*problems, *_new(problems_of(error), told)))
    problems += _new(rule_problems(said.profile, said.contact, said.survivor), told)
    if problems:
        return BadRow(row.row, local_id, tuple(problems))

    return Person(
        row.row, normal_id(said.local_id), said.profile, said.contact, said.survivor, said.local
    )


def _new(problems: Iterable[Problem], told: set[str]) -> Iterator[Problem]:
    return (one for one in problems if one.field not in told)


def _without_doubles(rows: Iterable[Person | BadRow]) -> Iterator[Person | BadRow]:
    seen: dict[str, int] = {}
    for row in rows:
        local_id = normal_id(row.local_id) if row.local_id else None
        first = None if local_id is None else seen.setdefault(local_id, row.row)
        yield row if first in {None, row.row} else _double(row, first)


def _double(row: Person | BadRow, first: int | None) -> BadRow:
    twice = problem(
        "local_id", "duplicate", f"row {first} has the same local_id",
        "Keep one row for each person, or correct the local_id.",
    )  # fmt: skip
    others = row.problems if isinstance(row, BadRow) else ()
    return BadRow(row.row, row.local_id, (twice, *others))
