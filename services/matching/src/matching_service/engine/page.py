"""A report as one HTML page: no script, no font, no request; charts are drawings in the page."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _EDGE, _LABEL = 640, 200, 28, 150
_ROW = 26

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5d6b7a; --paper: #fff; --bar: #2f6f9f;
  --second: #b5651d; --line: #d8dee5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf2; --soft: #9fb0c0; --paper: #141a20;
  --bar: #6fb1e0; --second: #e0a060; --line: #33404d; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.note { border-left: 4px solid var(--second); padding: .3rem .8rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--soft); }
th, td { text-align: right; padding: .2rem .5rem; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; } th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; } text { fill: var(--ink); font-size: 12px; }
.bar { fill: var(--bar); } .second { fill: var(--second); } .axis { stroke: var(--line); }
.mark { stroke: var(--second); stroke-width: 3; }
"""


def page(report: Mapping[str, Any], title: str) -> str:
    """Return the page of a report (`report.report`)."""
    people, stable = report["people"], report.get("stable")
    parts = [
        f"<h1>{escape(title)}</h1>",
        '<p class="note">Synthetic people: nobody here is real.</p>' if report["synthetic"] else "",
        f"<p>{report['served']:,} of {people['mentees']:,} mentees are served by {people['mentors']:,}"
        f" mentors with {people['seats']:,} seats.{_proof(report['proof'])}</p>",
        _table("The round", ("", *_kinds(report, stable)), _figures(report, stable)),
        _section(
            "How well pairs fit",
            columns("Pairs by score, from 0 to 1", report["score_bins"], ("0", "0.5", "1")),
        ),
        _section("Served by center", _centers(report["centers"])),
        _section(
            "Whom mentees have, by their own ranking",
            columns(
                "Pairs by rank among all eligible mentors", report["rank"]["bins"],
                ("1", "2", "3", "4", "5", "6-50", "beyond"),
            ),
        ),
        _section(
            "Share of one's own best",
            columns(
                "Pairs by score over the mentee's best possible score",
                report["of_own_best"]["bins"], ("0", "0.5", "1"),
            ),
        ),
    ]  # fmt: skip
    if stable:
        parts.append(_section("Optimal against stable", _against(report, stable)))
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _proof(proof: Mapping[str, Any] | None) -> str:
    if proof is None:
        return ""
    pairs, gap = f"{proof['pairs_of_all']:,}", proof["gap"]
    return f" No assignment over all {pairs} pairs is better: proved with a gap of {gap}."


def _kinds(report: Mapping[str, Any], stable: Mapping[str, Any] | None) -> list[str]:
    return ["optimal" if report["proof"] else "matching", *(["stable"] if stable else [])]


def _figures(report: Mapping[str, Any], stable: Mapping[str, Any] | None) -> list[Sequence[str]]:
    rows: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
        ("Served", lambda r: f"{r['served']:,}"),
        ("Mean score of a pair", lambda r: _number(r["score"]["mean"])),
        ("Mentees' mean gain", lambda r: _number(r["mentees_gain"])),
        ("Mentors' mean gain", lambda r: _number(r["mentors_gain"])),
        ("First choice", lambda r: _percent(r["rank"]["first"])),
        ("Among the first five", lambda r: _percent(r["rank"]["top_5"])),
        ("Share of own best, worst 5 %", lambda r: _percent(r["of_own_best"]["worst_5_percent"])),
        ("Worst center's rate", lambda r: _percent(r["fairness"]["worst_rate"])),
        ("Jain's index of centers' rates", lambda r: _number(r["fairness"]["jain"])),
        ("Gini coefficient of mentees' scores", lambda r: _number(r["fairness"]["gini"])),
        ("Blocking pairs", lambda r: f"{r['blocking_pairs']:,}"),
        ("Would rather have another's mentor", lambda r: _percent(r["fairness"]["envious"])),
    )
    both = [report, stable] if stable else [report]
    found: list[Sequence[str]] = [(name, *(of(one) for one in both)) for name, of in rows]
    if report["incumbents"] and report["incumbents"]["before"]:
        kept = f"{report['incumbents']['kept']:,} of {report['incumbents']['before']:,}"
        found.append(("Pairs that stay together", kept, *([""] if stable else [])))
    return found


def _centers(centers: Mapping[str, Mapping[str, Any]]) -> str:
    rates = [(name, c["rate"] or 0.0, c["floor"] / c["mentees"]) for name, c in centers.items()]
    rows = [
        (
            name,
            f"{c['mentees']:,}",
            f"{c['served']:,}",
            _percent(c["rate"]),
            f"{c['floor']:,}" if c["floor"] else "",
            f"{c['shortfall']:,}" if c["shortfall"] else "",
        )
        for name, c in centers.items()
    ]
    head = ("Center", "mentees", "served", "rate", "floor", "short of it")
    return rows_of("Rate of mentees served; the mark is the floor", rates) + _table("", head, rows)


def _against(report: Mapping[str, Any], stable: Mapping[str, Any]) -> str:
    pairs = list(zip(report["score_bins"], stable["score_bins"], strict=True))
    text = (
        "<p>A stable matching leaves no two people who would both rather have each other; it is not"
        f" the greatest sum. It serves {stable['served'] - report['served']:+,} and its scores sum to"
        f" {stable['points'] - report['points']:+,.2f} against the optimum.</p>"
    )
    return text + columns("Pairs by score: optimal, and stable beside it", pairs, ("0", "0.5", "1"))


def columns(title: str, values: Sequence[float | tuple[float, ...]], labels: Sequence[str]) -> str:
    """Return a drawing of columns, with several side by side where a value is a tuple."""
    groups = [value if isinstance(value, tuple) else (value,) for value in values]
    most = max((v for group in groups for v in group), default=0) or 1
    wide = (_WIDTH - 2 * _EDGE) / max(1, len(groups))
    drawn = []
    for place, group in enumerate(groups):
        each = wide * 0.9 / len(group)
        for nth, value in enumerate(group):
            tall = (_HEIGHT - 2 * _EDGE) * value / most
            x, y = _EDGE + place * wide + nth * each, _HEIGHT - _EDGE - tall
            kind = "second" if nth else "bar"
            drawn.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{each:.1f}"'
                f' height="{tall:.1f}"><title>{value:,}</title></rect>'
            )
    last, base = max(1, len(labels) - 1), _HEIGHT - _EDGE
    is_each = len(labels) == len(groups)
    for n, label in enumerate(labels):
        x = _EDGE + wide * (n + 0.45) if is_each else _EDGE + (_WIDTH - 2 * _EDGE) * n / last
        drawn.append(
            f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{escape(label)}</text>'
        )
    drawn.append(f'<line class="axis" x1="{_EDGE}" y1="{base}" x2="{_WIDTH - _EDGE}" y2="{base}"/>')
    drawn.append(f'<text x="{_EDGE}" y="14">{most:,}</text>')
    return _drawing(title, _HEIGHT, drawn)


def rows_of(title: str, rates: Sequence[tuple[str, float, float]]) -> str:
    """Return a drawing of rows, each (name, rate from 0 to 1, rate that is marked or 0)."""
    drawn = []
    room = _WIDTH - _LABEL - _EDGE
    for n, (name, rate, mark) in enumerate(rates):
        y = n * _ROW + 4
        drawn.append(f'<text x="0" y="{y + 14}">{escape(name[:22])}</text>')
        drawn.append(
            f'<rect class="bar" x="{_LABEL}" y="{y}" width="{room * rate:.1f}" height="18">'
            f"<title>{_percent(rate)}</title></rect>"
        )
        if mark:
            x = _LABEL + room * min(1.0, mark)
            drawn.append(
                f'<line class="mark" x1="{x:.1f}" y1="{y - 2}" x2="{x:.1f}" y2="{y + 20}"/>'
            )
    return _drawing(title, len(rates) * _ROW + 8, drawn)


def _drawing(title: str, height: int, drawn: Sequence[str]) -> str:
    return (
        f'<figure><svg role="img" viewBox="0 0 {_WIDTH} {height}" aria-label="{escape(title)}">'
        f"{''.join(drawn)}</svg><figcaption>{escape(title)}</figcaption></figure>"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>"


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{told}<thead><tr>{top}</tr></thead>\n<tbody>{lines}</tbody></table>"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
