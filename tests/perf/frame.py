"""The frame of all benchmarks: what one is, how it is run, and how its figures are told.

Each figure is measured beside its limit in the same run: one call makes one run and returns both.
The figures go to a table on the terminal and to `build/bench.json`; nothing gates on them.
"""

import json
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RUNS = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """One run: our figure, and the limit's beside it (None where the goal is absolute)."""

    ours: float
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted: a share of the limit, or a figure that ours should not pass.

    `kind` is `ratio` (ours / limit, at least `value`), `at_most_ratio` (at most), `at_most` or
    `at_least` (ours alone).
    """

    value: float
    kind: str = "ratio"

    def met(self, ours: float, ratio: float | None) -> bool:
        """Tell whether these medians reach it."""
        if self.kind == "at_most":
            return ours <= self.value
        if self.kind == "at_least":
            return ours >= self.value
        if self.kind == "at_most_ratio":
            return ratio is not None and ratio <= self.value
        return ratio is not None and ratio >= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table and one object in `build/bench.json`."""

    name: str
    unit: str
    ours: float
    limit: float | None
    limit_is: str
    ratio: float | None
    goal: str
    met: bool
    runs: int
    people: str = "synthetic"
    """Whose data it was measured on: whoever reads the figures elsewhere must see that nobody is real."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A named figure and how one run of it is made."""

    name: str
    unit: str
    goal: Goal
    limit_is: str
    run: Callable[[Any], Awaitable[Pair]]
    runs: int = RUNS

    async def measure(self, surroundings: Any) -> Row:
        """Run as often as it takes and return the medians; the ratio is the median of ratios."""
        pairs = [await self.run(surroundings) for _ in range(self.runs)]
        ours = statistics.median(pair.ours for pair in pairs)
        limits = [pair.limit for pair in pairs if pair.limit is not None]
        ratios = [pair.ours / pair.limit for pair in pairs if pair.limit is not None]
        ratio = round(statistics.median(ratios), 3) if ratios else None
        return Row(
            name=self.name,
            unit=self.unit,
            ours=_rounded(ours),
            limit=_rounded(statistics.median(limits)) if limits else None,
            limit_is=self.limit_is,
            ratio=ratio,
            goal=_told(self.goal),
            met=self.goal.met(ours, ratio),
            runs=len(pairs),
        )


BENCHMARKS: dict[str, Benchmark] = {}


def bench(
    name: str, *, unit: str, goal: float | Goal, limit_is: str, runs: int = RUNS
) -> Callable[[Callable[[Any], Awaitable[Pair]]], Callable[[Any], Awaitable[Pair]]]:
    """Register the decorated `async (surroundings) -> Pair` under a dotted name."""

    def register(run: Callable[[Any], Awaitable[Pair]]) -> Callable[[Any], Awaitable[Pair]]:
        made = goal if isinstance(goal, Goal) else Goal(goal)
        BENCHMARKS[name] = Benchmark(name, unit, made, limit_is, run, runs)
        return run

    return register


def chosen(only: str) -> list[Benchmark]:
    """Return the benchmarks whose dotted name begins with `only`, in order of name.

    Raises:
        SystemExit: there is none; the text lists what there is.
    """
    found = [made for name, made in sorted(BENCHMARKS.items()) if name.startswith(only)]
    if not found:
        raise SystemExit(f"no benchmark begins with {only!r}: there are {', '.join(BENCHMARKS)}")
    return found


def by_file(benchmarks: Sequence[Benchmark]) -> list[list[Benchmark]]:
    """Return the benchmarks of each file together, in the order given."""
    files: dict[str, list[Benchmark]] = {}
    for benchmark in benchmarks:
        files.setdefault(benchmark.run.__module__, []).append(benchmark)
    return list(files.values())


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text to read."""
    lines = [
        f"{'figure':28} {'ours':>10} {'limit':>10} {'ratio':>6}  {'goal':10} unit; the limit is"
    ]
    for row in rows:
        limit = "-" if row.limit is None else f"{row.limit:,.6g}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        mark = "met" if row.met else "NOT met"
        lines.append(
            f"{row.name:28} {row.ours:>10,.6g} {limit:>10} {ratio:>6}  {row.goal:10} "
            f"{mark}; {row.unit}; {row.limit_is}"
        )
    return "\n".join(lines)


def write(rows: Sequence[Row], path: Path) -> None:
    """Put the rows into the file; those of other names that it has stay."""
    kept = {row["name"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    kept |= {row.name: asdict(row) for row in rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([kept[name] for name in sorted(kept)], indent=2) + "\n")


def _rounded(figure: float) -> float:
    return float(f"{figure:.4g}") if abs(figure) < 1 else round(figure, 2)


def _told(goal: Goal) -> str:
    sign = {
        "ratio": ">= {:.0%}",
        "at_most_ratio": "<= {:g} x",
        "at_most": "<= {:g}",
        "at_least": ">= {:g}",
    }[goal.kind]
    return sign.format(goal.value)
