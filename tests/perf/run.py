"""`make bench [ONLY=prefix]`: run the benchmarks on a stack of their own, print, write the file."""

import argparse
import asyncio
import contextlib
import importlib
import os
import sys
from pathlib import Path

import frame
from surroundings import Surroundings

from servicekit.observing import log
from testkit.plugin import running_stack

_HERE = Path(__file__).parent
_RESULT = _HERE.parents[1] / "build" / "bench.json"


async def measure(surroundings: Surroundings, only: str) -> list[frame.Row]:
    """Measure what was chosen, one after the other, telling each as it is done."""
    rows = []
    for benchmark in frame.chosen(only):
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
    frame.chosen(only)  # before the stack starts
    with Path(os.devnull).open("w") as nowhere:
        with contextlib.redirect_stdout(nowhere):  # services log as they do, into nothing
            log.configure("bench", "info")
        with running_stack(services=()) as stack:
            rows = asyncio.run(measure(Surroundings(stack), only))
    print(frame.table(rows))
    print(f"written to {_RESULT.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
