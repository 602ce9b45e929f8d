"""What is told of a slice once it is committed: one canonical log line, and the figures."""

from collections.abc import Mapping

from servicekit.hearing.apply import Outcome
from servicekit.observing import metrics
from servicekit.observing.log import logger

_log = logger(__name__)


def tell(
    topic: str, where: Mapping[str, object], outcome: Outcome, *, fenced: int, seconds: float
) -> None:
    """Log and count a slice; `fenced` of its records had been dealt with by somebody else.

    There is a line for each slice and none without records, so an idle service is silent.
    """
    waiting = sum(item.state == "parked" for item in outcome.parked)
    counts = {
        "applied": outcome.applied,
        "duplicate": outcome.duplicates,
        "passed_over": outcome.passed_over,
        "quarantined": len(outcome.parked) - waiting,
        "parked": waiting,
        "fenced": fenced,
    }
    size = sum(counts.values())
    for word, count in counts.items():
        metrics.add("slice_records", count, topic=topic, outcome=word)
    metrics.record("slice_size", size, topic=topic)
    metrics.record("slice_duration", seconds, topic=topic)
    _log.info(
        "slice",
        **where,
        records=size,
        **counts,
        said=len(outcome.said),
        duration_ms=round(seconds * 1000, 1),
    )
