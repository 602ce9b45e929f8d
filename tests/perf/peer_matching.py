"""PyPI `matching` on lists from a file: prints {"seconds", "pairs"}. Runs in the peers' environment."""

import json
import sys
import threading
import time

import numpy as np
from matching.games import HospitalResident  # type: ignore[import-not-found] # in the peers' environment

_STACK = 8 << 30  # it copies a graph of objects recursively
_DEPTH = 10**8


def solve(path: str, found: dict[str, object]) -> None:
    """Match the lists' residents and hospitals; residents' best."""
    given = np.load(path)
    residents = {f"r{j}": [f"h{i}" for i in row[row >= 0]] for j, row in enumerate(given["lists"])}
    asked: dict[str, list[str]] = {}
    # The best liked first.
    for i, j, _ in sorted(given["likes"].tolist(), key=lambda entry: -float(entry[2])):
        asked.setdefault(f"h{int(i)}", []).append(f"r{int(j)}")
    seats = {name: int(given["seats"][int(name[1:])]) for name in asked}
    residents = {name: row for name, row in residents.items() if row}
    began = time.perf_counter()
    game = HospitalResident.create_from_dictionaries(residents, asked, seats)
    matched = game.solve(optimal="resident")
    found["seconds"] = time.perf_counter() - began
    found["pairs"] = sorted(
        [int(str(r)[1:]), int(str(h)[1:])] for h, rs in matched.items() for r in rs
    )


def main() -> None:
    """Run it in a thread with a stack for its recursion."""
    found: dict[str, object] = {}
    sys.setrecursionlimit(_DEPTH)
    threading.stack_size(_STACK)
    thread = threading.Thread(target=solve, args=(sys.argv[1], found))
    thread.start()
    thread.join()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
