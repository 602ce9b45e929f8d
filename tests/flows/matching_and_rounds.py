"""The matching service, in whose process a thread holds rounds of synthetic people without end.

Run: python matching_and_rounds.py FILE, with tests/perf on PYTHONPATH; FILE tells how many were held.
"""

import sys
import threading
from pathlib import Path

from bench_round import cohort_of
from market import synthetic

from matching_service import app
from matching_service.engine.cohort import Terms
from matching_service.engine.round import solve
from matching_service.engine.scan import best_lines
from matching_service.settings import Settings
from servicekit.service import main

MENTORS, MENTEES, BEST = 5_000, 20_000, 32


def hold(told: Path) -> None:
    """Hold rounds, from people to the proved optimum with floors, some seconds each."""
    cohort, held = cohort_of(synthetic(MENTORS, MENTEES, 1).market), 0
    while True:
        told.write_text(f"{held}")
        found = solve(cohort, Terms(floor=0.9), best_lines(cohort.market, cohort.mentees, BEST))
        assert found.value == found.bound
        held += 1


if __name__ == "__main__":
    path = Path(sys.argv.pop())
    threading.Thread(target=hold, args=(path,), daemon=True).start()
    main(Settings, app.build)
