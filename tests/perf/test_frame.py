"""The frame of the benchmarks, without a benchmark."""

import json
from dataclasses import replace
from pathlib import Path

import frame
import pytest


def a_benchmark(pairs: list[frame.Pair], goal: frame.Goal) -> frame.Benchmark:
    left = iter(pairs)

    async def run(_: object) -> frame.Pair:
        return next(left)

    return frame.Benchmark("a.name", "events/s", goal, "something bare", run, len(pairs))


async def test_a_figure_is_the_median_of_its_runs_and_its_ratio_the_median_of_theirs() -> None:
    pairs = [frame.Pair(50, 100), frame.Pair(90, 100), frame.Pair(80, 200)]

    row = await a_benchmark(pairs, frame.Goal(0.5)).measure(None)

    assert (row.ours, row.limit, row.ratio, row.runs) == (80, 100, 0.5, 3)
    assert row.met
    assert row.goal == ">= 50%"


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (frame.Goal(30, "at_most"), False),
        (frame.Goal(31, "at_most"), True),
        (frame.Goal(31, "at_least"), True),
        (frame.Goal(32, "at_least"), False),
        (frame.Goal(0.1), False),
    ],
)
async def test_a_goal_without_a_limit_is_absolute(goal: frame.Goal, met: bool) -> None:
    row = await a_benchmark([frame.Pair(31)], goal).measure(None)

    assert row.met is met
    assert row.ratio is None


async def test_the_file_keeps_the_figures_that_were_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    row = await a_benchmark([frame.Pair(1, 2)], frame.Goal(0.5)).measure(None)
    frame.write([row], path)

    frame.write([frame.Row("b.name", "ms", 1, None, "none", None, "<= 2", True, 1)], path)

    rows = json.loads(path.read_text())
    assert [one["name"] for one in rows] == ["a.name", "b.name"]
    assert set(rows[0]) == {
        "name", "unit", "ours", "limit", "limit_is", "ratio", "goal", "met", "runs",
        "people",
    }  # fmt: skip
    assert {one["people"] for one in rows} == {"synthetic"}


def test_a_part_is_chosen_by_the_beginning_of_its_name() -> None:
    with pytest.raises(SystemExit, match="no benchmark begins with 'nothing'"):
        frame.chosen("nothing")


def test_the_benchmarks_of_a_file_stay_together_in_their_order() -> None:
    def named(name: str, module: str) -> frame.Benchmark:
        made = a_benchmark([], frame.Goal(1))
        made.run.__module__ = module
        return replace(made, name=name)

    files = frame.by_file([named("a.x", "one"), named("b.x", "two"), named("b.y", "one")])

    assert [[made.name for made in one] for one in files] == [["a.x", "b.y"], ["b.x"]]
