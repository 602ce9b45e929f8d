"""The centers' files, as their own systems would export them."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from oncomentor_cli.demo.cast import CENTERS, CenterPlan, Fault, PersonPlan
from oncomentor_cli.demo.faults import faulty_people
from oncomentor_cli.demo.generator import SEED, people
from oncomentor_client.people import FileFormat

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class CenterFile:
    """One center's file: whom it holds, and what is wrong in which row."""

    center: CenterPlan
    path: Path
    good: tuple[PersonPlan, ...]
    faults: Mapping[int, Fault]
    """By row."""


def write_files(folder: Path, seed: str = SEED) -> tuple[CenterFile, ...]:
    """Write every center's file, wrong rows among the right ones, and return what they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    good, faulty = people(seed), faulty_people(seed)
    return tuple(_write(folder, center, good, faulty) for center in CENTERS)


def _write(
    folder: Path,
    center: CenterPlan,
    good: Sequence[PersonPlan],
    faulty: Sequence[tuple[PersonPlan, Fault]],
) -> CenterFile:
    own = [person for person in good if person.center_id == center.id]
    rows: list[tuple[PersonPlan, Fault | None]] = [(person, None) for person in own]
    # Spread among the right rows: what comes after a wrong one must not suffer.
    for place, (person, fault) in enumerate(faulty):
        if person.center_id == center.id:
            rows.insert(min(len(rows), 3 + 4 * place), (person, fault))
    path = folder / center.file_name
    first = 1
    if center.file_format is FileFormat.CSV:
        path.write_text(_csv([person.tree for person, _ in rows]), encoding="utf-8")
        first = 2  # below the header
    else:
        lines = [json.dumps(person.tree, ensure_ascii=False) for person, _ in rows]
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    faults = {row: fault for row, (_, fault) in enumerate(rows, start=first) if fault is not None}
    return CenterFile(center, path, tuple(own), faults)


def _csv(trees: Sequence[Mapping[str, Any]]) -> str:
    rows = [dict(_cells(tree)) for tree in trees]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells(tree: Mapping[str, Any]) -> list[tuple[str, str]]:
    cells = [("local_id", str(tree["local_id"]))]
    for section in ("profile", "contact", "survivor", "local"):
        for name, value in tree.get(section, {}).items():
            cells.append((f"{section}.{name}", _cell(name, value)))
    return cells


def _cell(name: str, value: Any) -> str:  # the shapes of JSON
    match name:
        case "weekly_hours":
            return "|".join(
                f"{_DAYS[one['weekday'] - 1]} {one['starts']}-{one['ends']}" for one in value
            )
        case "mentor_roles" | "mentee_roles":
            return "|".join(_role(one) for one in value)
        case "training":
            return "|".join(f"{one['code']}@{one['completed_on']}" for one in value)
        case "consents":
            return "|".join(
                f"{one['purpose']}@{one['text_version']}@{one['given_at']}" for one in value
            )
    return "|".join(value) if isinstance(value, list) else str(value)


def _role(role: Mapping[str, Any]) -> str:
    options = {
        "capacity": role.get("capacity"),
        "minutes": role.get("protected_minutes_month"),
        "years": role.get("years_mentoring"),
        "urgency": role.get("urgency"),
    }
    goals = "+".join(role.get("offers", role.get("goals", ())))
    said = "".join(f";{name}={value}" for name, value in options.items() if value is not None)
    return f"{role['programme_id']}:{goals}{said}"
