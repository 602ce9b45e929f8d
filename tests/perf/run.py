"""`make bench [ONLY=prefix]`: run the benchmarks, each file on a stack of its own, print, write the file."""

import argparse
import asyncio
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import frame
from surroundings import Surroundings

from servicekit.observing import log
from testkit.plugin import running_stack

_HERE = Path(__file__).parent
_RESULT = _HERE.parents[1] / "build" / "bench.json"


def measure(benchmarks: Sequence[frame.Benchmark]) -> list[frame.Row]:
    """Measure one file's benchmarks on a stack of their own, telling each as it is done.

    What a bench leaves is strange to the next file's services: a relay that meets records of its
    service which its database has not, stops, as it should. A file that says `NEEDS_STACK = False`
    gets none.
    """
    module = sys.modules[benchmarks[0].run.__module__]
    if not getattr(module, "NEEDS_STACK", True):
        return asyncio.run(_measure(benchmarks, None))
    with running_stack(services=()) as stack:
        return asyncio.run(_measure(benchmarks, Surroundings(stack)))


async def _measure(
    benchmarks: Sequence[frame.Benchmark], surroundings: Surroundings | None
) -> list[frame.Row]:
    rows = []
    for benchmark in benchmarks:
        print(f"measuring {benchmark.name} ...", file=sys.stderr, flush=True)
        row = await benchmark.measure(surroundings)
        rows.append(row)
        print(frame.table([row]).splitlines()[1], file=sys.stderr, flush=True)
        frame.write([row], _RESULT)
    return rows


def main() -> None:
    """Parse, run, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a prefix of dotted names, such as `kernel.`")
    only = parser.parse_args().only
    for path in sorted(_HERE.glob("bench_*.py")):
        importlib.import_module(path.stem)
    files = frame.by_file(frame.chosen(only))
    with Path(os.devnull).open("w") as nowhere:
        with contextlib.redirect_stdout(nowhere):  # services log as they do, into nothing
            log.configure("bench", "info")
        rows = [row for benchmarks in files for row in measure(benchmarks)]
    print(frame.table(rows))
    print("everybody in it is synthetic")
    print(f"written to {_RESULT.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
