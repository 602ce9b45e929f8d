"""How rows and their problems are shown, to people and to programs."""

from collections.abc import Iterable, Mapping
from typing import Any

from oncomentor_cli.console import show
from oncomentor_client.publisher import RowResult
from oncomentor_client.row import BadRow
from oncomentor_contracts.receipt import Problem


def show_problems(where: str, problems: Iterable[Problem]) -> None:
    """Print what is wrong with one row, each problem with its fix."""
    for one in problems:
        show(f"{where}  {one.field}  {one.rule}: {one.message}")
        nearest = f"  (nearest: {', '.join(one.suggestions)})" if one.suggestions else ""
        show(f"{' ' * len(where)}  fix: {one.fix}{nearest}")


def bad_row_json(row: BadRow) -> Mapping[str, Any]:
    """Return a wrong row for programs."""
    return {
        "row": row.row,
        "local_id": row.local_id,
        "problems": [one.model_dump(mode="json") for one in row.problems],
    }


def result_json(result: RowResult) -> Mapping[str, Any]:
    """Return what became of a row, for programs."""
    return {
        "row": result.row,
        "local_id": result.local_id,
        "outcome": result.outcome.value,
        "person_id": result.person_id,
        "event_id": result.event_id,
        "problems": [one.model_dump(mode="json") for one in result.problems],
    }


def counted(counts: Mapping[str, int], noun: str = "rows") -> str:
    """Return `58 rows: 55 accepted, 3 invalid`."""
    parts = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items())
    return f"{sum(counts.values())} {noun}" + (f": {parts}" if parts else "")
