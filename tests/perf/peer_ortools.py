"""OR-Tools' min-cost flow on arcs from a file: prints {"seconds", "value"}. Runs in the peers' environment."""

import json
import sys
import time

import numpy as np
from ortools.graph.python import min_cost_flow  # type: ignore[import-not-found] # in the peers' environment


def main() -> None:
    """Match for the greatest value: mentees, then mentors, then where the flow ends."""
    given = np.load(sys.argv[1])
    who, whom, value, seats = (given[name] for name in ("who", "whom", "value", "seats"))
    mentees, mentors = int(who.max()) + 1, len(seats)
    end = mentees + mentors
    tails = np.concatenate([who, mentees + np.arange(mentors), np.arange(mentees)])
    heads = np.concatenate([mentees + whom, np.full(mentors + mentees, end)])
    rooms = np.concatenate([np.ones(len(who), np.int64), seats, np.ones(mentees, np.int64)])
    costs = np.concatenate([-value, np.zeros(mentors + mentees, np.int64)])
    began = time.perf_counter()
    flow = min_cost_flow.SimpleMinCostFlow()
    flow.add_arcs_with_capacity_and_unit_cost(tails, heads, rooms, costs)
    flow.set_nodes_supplies(
        np.arange(end + 1), np.concatenate([np.ones(mentees), np.zeros(mentors), [-mentees]])
    )
    status = flow.solve()
    seconds = time.perf_counter() - began
    assert status == flow.OPTIMAL, status
    json.dump({"seconds": seconds, "value": -flow.optimal_cost()}, sys.stdout)


if __name__ == "__main__":
    main()
