"""OpenReview's solvers on arcs from a file: prints {"seconds", "pairs"}. Runs in the peers' environment.

Arguments: a checkout of openreview-matcher (github.com/openreview/openreview-matcher, MIT; it is on
no package registry), the solver's module, its class, the file.
"""

import importlib
import json
import sys
import time
import types
from pathlib import Path

import numpy as np


def main() -> None:
    """Give every mentee one mentor; who has no arc to whom may not be matched."""
    folder, module, name, path = sys.argv[1:]
    # The package itself wants a server's libraries: its solvers do not.
    for package in ("matcher", "matcher.solvers"):
        made = types.ModuleType(package)
        made.__path__ = [str(Path(folder, *package.split(".")))]
        sys.modules[package] = made
    solver = getattr(importlib.import_module(f"matcher.solvers.{module}"), name)
    given = np.load(path)
    who, whom, seats = (given[name] for name in ("who", "whom", "seats"))
    shape = int(who.max()) + 1, len(seats)
    scores, constraints = np.zeros(shape), np.full(shape, -1)
    scores[who, whom], constraints[who, whom] = given["score"], 0
    encoder = types.SimpleNamespace(
        cost_matrix=-100 * scores, aggregate_score_matrix=scores, constraint_matrix=constraints
    )
    wanted = np.ones(shape[0], np.int64)
    began = time.perf_counter()
    found = solver(np.zeros_like(seats).tolist(), seats.tolist(), wanted.tolist(), encoder).solve()
    seconds = time.perf_counter() - began
    json.dump(
        {"seconds": seconds, "pairs": np.argwhere(np.asarray(found) > 0).tolist()}, sys.stdout
    )


if __name__ == "__main__":
    main()
