"""Writes docs/metrics.md from the list of metrics; with `--check` it only looks whether that is so."""

import sys
from pathlib import Path

from servicekit.observing.metrics import COUNTERS, HISTOGRAMS, METRICS, exposed

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
_HEAD = """\
# Metrics

`GET /metrics` of every service, for Prometheus; pushed over OTLP as well when
`ONCOMENTOR_OTLP_ENDPOINT` is set. Gauges are read by the service itself every five seconds, so
asking more often costs nothing. No metric names or counts a person. The alerts made of them are in
[deploy/prometheus/rules](../deploy/prometheus/rules), what to do about each in [runbooks](runbooks).

Made by `make schemas` from `libs/servicekit/src/servicekit/observing/metrics.py`.

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the whole page."""
    rows = []
    for name, metric in METRICS.items():
        kind = "counter" if name in COUNTERS else "histogram" if name in HISTOGRAMS else "gauge"
        labels = ", ".join(metric.labels)
        rows.append(f"| `{exposed(name)}` | {kind} | {labels} | {metric.meaning} |\n")
    return _HEAD + "".join(rows)


def main() -> int:
    """Write, or with `--check` compare, and return a process's exit status."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() == page():
        return 0
    sys.stderr.write("docs/metrics.md is stale: run make schemas\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
