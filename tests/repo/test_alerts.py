"""Alerts use the metrics that there are, and each has a runbook of one shape."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from servicekit.observing.metrics import HISTOGRAMS, METRICS, exposed

SECTIONS = ["What it means for people", "Look", "Mend", "When it is not that"]
PROMETHEUS_OWN = {"instance", "job"}
METRIC_WORD = re.compile(r"\boncomentor_\w+")


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric as an expression asks for it."""

    name: str
    labels: frozenset[str]


def labels_by_name() -> dict[str, set[str]]:
    """Return the labels of every name under which Prometheus knows something."""
    known: dict[str, set[str]] = {"up": set()}
    for name, metric in METRICS.items():
        parts = ("_bucket", "_sum", "_count") if name in HISTOGRAMS else ("",)
        for part in parts:
            known[exposed(name) + part] = set(metric.labels) | (
                {"le"} if part == "_bucket" else set()
            )
    return known


def selectors(expression: Any) -> Iterator[Selector]:
    """Yield what an expression asks for, wherever in it."""
    if isinstance(expression, promql.VectorSelector):
        matchers = expression.matchers.matchers
        yield Selector(str(expression.name), frozenset(one.name for one in matchers))
        return
    for name in ("lhs", "rhs", "expr", "vector_selector", "args"):
        part = getattr(expression, name, None)
        for one in part if isinstance(part, list) else [part]:
            if isinstance(one, promql.Expr):
                yield from selectors(one)


@pytest.fixture(scope="module")
def alerts(root: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((root / "deploy/prometheus/rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            assert set(group) == {"name", "rules"}
            found += group["rules"]
    return found


@pytest.fixture(scope="module")
def runbooks(root: Path) -> dict[str, str]:
    folder = root / "docs/runbooks"
    return {path.stem: path.read_text() for path in folder.glob("*.md") if path.stem != "README"}


def test_every_alert_has_the_same_fields_and_a_name_of_its_own(
    alerts: list[dict[str, Any]],
) -> None:
    names = [alert["alert"] for alert in alerts]

    assert len(names) == len(set(names)) >= 10
    for alert in alerts:
        assert {"alert", "expr", "labels", "annotations"} <= set(alert)
        assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"([A-Z][a-z]+)+", alert["alert"])
        assert re.fullmatch(r"\d+m", alert.get("for", "1m"))
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert set(alert["annotations"]) == {"summary", "runbook"}


def test_every_expression_can_be_read_and_asks_for_declared_metrics_and_labels(
    alerts: list[dict[str, Any]],
) -> None:
    known = labels_by_name()

    for alert in alerts:
        asked = list(selectors(promql.parse(alert["expr"])))
        assert asked, alert["alert"]
        told = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
        for selector in asked:
            assert selector.name in known, alert["alert"]
            labels = known[selector.name] | PROMETHEUS_OWN
            assert selector.labels <= labels, alert["alert"]
            assert told <= labels, alert["alert"]


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        ("sum by (a) (rate(x{b='1'}[5m])) / y > 1", {"x", "y"}),
        ("changes(x[15m]) >= 3 unless on (a) max_over_time(y[5m:1m]) == 0", {"x", "y"}),
        ("histogram_quantile(0.9, x)", {"x"}),
    ],
)
def test_the_search_finds_every_metric_of_an_expression(expression: str, asked: set[str]) -> None:
    assert {selector.name for selector in selectors(promql.parse(expression))} == asked


def test_every_alert_has_a_runbook_and_every_runbook_its_alert(
    alerts: list[dict[str, Any]], runbooks: dict[str, str]
) -> None:
    assert {alert["alert"] for alert in alerts} == set(runbooks)
    for alert in alerts:
        assert alert["annotations"]["runbook"] == f"docs/runbooks/{alert['alert']}.md"


def test_runbooks_have_one_shape_and_are_short(runbooks: dict[str, str]) -> None:
    for name, text in runbooks.items():
        assert text.startswith(f"# {name}: "), name
        assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == SECTIONS, name
        assert len(text.splitlines()) <= 60, name


def test_runbooks_name_metrics_and_pages_that_there_are(
    root: Path, runbooks: dict[str, str]
) -> None:
    known = set(labels_by_name())

    for name, text in runbooks.items():
        for word in METRIC_WORD.findall(text):
            shortened = any(one.startswith(word) for one in known)  # for grep
            assert shortened or word in {"oncomentor_worker", "oncomentor_api"}, (name, word)
        for link in re.findall(r"\]\(([^)]+\.md)\)", text):
            assert (root / "docs/runbooks" / link).is_file(), (name, link)
