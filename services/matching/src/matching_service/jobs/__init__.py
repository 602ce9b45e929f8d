"""What matching does by itself: because something changed, or because time passed."""

from collections.abc import Mapping
from functools import partial

from matching_service.jobs import progress
from matching_service.jobs import propose as proposing
from matching_service.jobs.judge import Judge
from matching_service.store import work
from servicekit.subscription import Job


def jobs(judge: Judge) -> Mapping[str, Job]:
    """Return every job of matching by the kind of its timers."""
    return {
        work.PROPOSE: partial(proposing.propose, judge=judge),
        work.PROPOSE_WAITING: proposing.propose_waiting,
        work.ADVANCE: progress.advance,
        work.RECHECK: partial(progress.recheck, judge=judge),
    }
