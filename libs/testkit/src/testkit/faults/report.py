"""The report of a campaign: one file that is whole after each cycle and that runs add to."""

import hashlib
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import devstack
import oncomentor_client
import oncomentor_contracts
import servicekit
import testkit
from testkit.faults.plan import PLACES

_ROOT = Path(__file__).resolve().parents[5]
_RUN = (servicekit, oncomentor_contracts, oncomentor_client, devstack, testkit)
_SHOWN = [
    *(Path(str(package.__file__)).parent for package in _RUN),
    *(_ROOT / "deploy" / part for part in ("kafka", "postgres")),
    _ROOT / "requirements",
]
_SOURCES = {".py", ".sql", ".toml", ".json", ".lock"}


@dataclass(frozen=True, slots=True)
class Done:
    """What one cycle came to, as the report keeps it."""

    seed: int
    cycle: int
    fault: str
    seconds: float
    commands: int
    records: int
    violations: list[tuple[int, str]] = field(default_factory=list)
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """Failpoints at which something was done."""
    left_undone: list[str] = field(default_factory=list)
    load: float = 0.0
    """Processes that waited for a processor in the last minute: recovery is read beside it."""
    code: str = ""
    """What it was run on, see `code`."""


def code(folders: Iterable[Path] = _SHOWN) -> str:
    """Return a digest of what a campaign shows something about: the kernel, and all that runs it.

    Work elsewhere leaves it as it is, so that a long campaign may go on beside it.
    """
    found = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in _SOURCES):
            found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


class Report:
    """The cycles done so far, by seed and number; one that is there is not run again on the same code."""

    def __init__(self, path: Path, on: str) -> None:
        """Take up the report that is there; `on` is the code of now."""
        self._path, self._on = path, on
        self._done: dict[tuple[int, int], Done] = {}
        if path.exists():
            for entry in json.loads(path.read_text())["runs"]:
                done = Done(**entry)
                self._done[done.seed, done.cycle] = done

    def has(self, seed: int, cycle: int) -> bool:
        """Tell whether this cycle was done before, on this code."""
        done = self._done.get((seed, cycle))
        return done is not None and done.code == self._on

    def add(self, done: Done) -> None:
        """Keep a cycle; it is on disk when this returns."""
        self._done[done.seed, done.cycle] = replace(done, code=self._on)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(summary(self._done.values()), indent=1))
        draft.replace(self._path)

    def of_seed(self, seed: int) -> list[Done]:
        """Return the cycles of one seed, on this code."""
        return [d for d in self._done.values() if d.seed == seed and d.code == self._on]

    @property
    def violated(self) -> int:
        """How many violations there are on this code."""
        return sum(len(d.violations) for d in self._done.values() if d.code == self._on)


def summary(all_done: Iterable[Done]) -> dict[str, Any]:
    """Return the report: counts, recovery times, failpoints, and every cycle."""
    runs = sorted(all_done, key=lambda done: (done.seed, done.cycle))
    violations = Counter(str(number) for done in runs for number, _ in done.violations)
    recoveries: dict[str, list[float]] = defaultdict(list)
    for done in runs:
        for what, seconds in done.recoveries:
            recoveries[what].append(seconds)
    hit = Counter(place for done in runs for place in done.places)
    return {
        "cycles": len(runs),
        "seeds": sorted({done.seed for done in runs}),
        "codes": dict(Counter(done.code for done in runs)),
        "commands": sum(done.commands for done in runs),
        "records": sum(done.records for done in runs),
        "seconds": round(sum(done.seconds for done in runs), 1),
        "faults": dict(sorted(Counter(done.fault for done in runs).items())),
        "violations": dict(sorted(violations.items(), key=lambda item: int(item[0]))),
        "recovery_seconds": {
            what: {
                "count": len(times),
                "p50": round(statistics.median(times), 2),
                "max": round(max(times), 2),
            }
            for what, times in sorted(recoveries.items())
        },
        "failpoints": {place: hit[place] for place in PLACES},
        "not_run": sorted({text for done in runs for text in done.left_undone}),
        "runs": [asdict(done) for done in runs],
    }


def table(report: dict[str, Any]) -> str:
    """Return the report as the Markdown that docs/faults.md ends with."""
    lines = [
        f"{report['cycles']} cycles (seeds {', '.join(map(str, report['seeds']))}; "
        f"code {', '.join(report.get('codes', ['unknown']))}), "
        f"{report['commands']:,} commands, {report['records']:,} records in Kafka, "
        f"{sum(report['violations'].values())} violations.",
        "",
        "| recovery of | times | p50 s | max s |",
        "| --- | --- | --- | --- |",
        *(
            f"| {what} | {one['count']} | {one['p50']} | {one['max']} |"
            for what, one in report["recovery_seconds"].items()
        ),
        "",
        "| fault | cycles |",
        "| --- | --- |",
        *(f"| {fault} | {count} |" for fault, count in report["faults"].items()),
        "",
        "Failpoints at which something was done: "
        + ", ".join(f"{place} {count}" for place, count in report["failpoints"].items())
        + ".",
    ]
    return "\n".join(lines) + "\n"
