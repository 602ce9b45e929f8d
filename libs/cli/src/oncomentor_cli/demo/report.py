"""What the audience reads at the end, and the same for programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oncomentor_cli.console import show
from oncomentor_cli.demo.checks import Check
from oncomentor_cli.demo.observed import Match
from oncomentor_cli.demo.timeline import Moment, short, timeline, told_match
from oncomentor_cli.demo.world import World
from oncomentor_cli.render import counted
from oncomentor_cli.table import show_table
from oncomentor_client.publisher import RowOutcome, RowResult

_REASONS = 2
_MAILS = 20  # the last ones; the inbox has all
_WRONG = frozenset({RowOutcome.INVALID, RowOutcome.REJECTED})


def show_report(
    world: World, checks: Sequence[Check], *, keeps: bool, inbox: str, in_containers: bool = False
) -> None:
    """Print the story: one match, all matches, wrong rows, mails, checks, and where to go on."""
    show("Everything below is synthetic: no person, center or address in it is real.")
    _show_timeline(world)
    _show_matches(world)
    _show_wrong_rows(world)
    _show_mails(world)
    _show_outcome(world, checks)
    _show_next(
        _shortened(world.home / "demo"), keeps=keeps, inbox=inbox, in_containers=in_containers
    )


def summary(world: World, checks: Sequence[Check], seconds: float) -> Mapping[str, Any]:
    """Return the story as one JSON object."""
    match = told_match(world)
    return {
        "ok": all(check.ok for check in checks),
        "synthetic": True,
        "seconds": round(seconds, 1),
        "repetition": world.is_repetition(),
        "counts": world.counts(),
        "rows": {center: _outcomes(results) for center, results in sorted(world.results.items())},
        "timeline": [
            {"at": m.at, "event": m.event, "by": m.by, "where": m.where, "what": m.what}
            for m in (timeline(world, match) if match else ())
        ],
        "matches": [_match_json(one) for one in _in_order(world)],
        "wrong_rows": [_wrong_row_json(*one) for one in _wrong_rows(world)],
        "mails": [
            {
                "to": mail.recipients,
                "subject": mail.subject,
                "calendar": mail.calendar and mail.calendar.summary,
                "starts_at": mail.calendar and mail.calendar.starts_at,
            }
            for mail in world.mails
        ],
        "checks": [
            {
                "name": check.name,
                "ok": check.ok,
                "expected": check.expected,
                "failures": check.failures,
                "look": check.look,
            }
            for check in checks
        ],
    }


def _show_timeline(world: World) -> None:
    match = told_match(world)
    if match is None:
        return
    show(f"\nOne match, from profile to invitation (match {match.proposal.match_id})")
    show_table(
        ("time (UTC)", "event", "said by", "read on", "what"),
        [_moment_row(moment) for moment in timeline(world, match)],
    )


def _moment_row(moment: Moment) -> tuple[str, ...]:
    clock = f"{moment.at:%H:%M:%S}.{moment.at.microsecond // 1000:03}"
    return clock, moment.event, moment.by, moment.where, moment.what


def _show_matches(world: World) -> None:
    show("\nMatches (people by pseudonym: the network never learns a local id)")
    show_table(
        ("programme", "mentor", "mentee", "score", "state", "what counted most"),
        [_match_row(match) for match in _in_order(world)],
    )


def _match_row(match: Match) -> tuple[str, ...]:
    said = match.proposal
    return (
        said.programme_id,
        f"{short(said.mentor.person_id)} {said.mentor.institution_id}",
        f"{short(said.mentee.person_id)} {said.mentee.institution_id}",
        f"{said.score:.2f}",
        _state(match),
        "; ".join(_reasons(match)),
    )


def _reasons(match: Match) -> list[str]:
    parts = sorted(match.proposal.explanation.contributions, key=lambda part: -part.points)
    return [part.reason for part in parts[:_REASONS] if part.points > 0]


def _state(match: Match) -> str:
    if match.is_active:
        return "active"
    # Such as `match.superseded.v1`.
    return "open" if match.ending is None else match.ending.TYPE.split(".")[1].replace("_", " ")


def _show_wrong_rows(world: World) -> None:
    show("\nRows that were wrong on purpose")
    rows = [
        (
            f"{name}:{result.row}",
            "at home" if result.outcome is RowOutcome.INVALID else "by the hub",
            one.field,
            one.rule,
            one.fix + (f" (nearest: {', '.join(one.suggestions)})" if one.suggestions else ""),
        )
        for name, result in _wrong_rows(world)
        for one in result.problems
    ]
    show_table(("row", "found", "field", "rule", "fix"), rows)


def _show_mails(world: World) -> None:
    show("\nMails (caught on this machine, delivered to nobody)")
    shown = world.mails[-_MAILS:]
    show_table(
        ("to", "subject", "calendar (.ics)", "starts (UTC)"),
        [
            (
                ", ".join(mail.recipients),
                mail.subject,
                mail.calendar.summary if mail.calendar else "",
                f"{mail.calendar.starts_at:%a %Y-%m-%d %H:%M}" if mail.calendar else "",
            )
            for mail in shown
        ],
    )
    if more := len(world.mails) - len(shown):
        show(f"and {more} before these, in the inbox")


def _show_outcome(world: World, checks: Sequence[Check]) -> None:
    show()
    for center, results in sorted(world.results.items()):
        show(f"{center}: {counted(_outcomes(results))}")
    told = ", ".join(f"{number} {name}" for name, number in world.counts().items())
    show(f"the network: {told}")
    if world.is_repetition():
        show("this was a repetition: every right row is unchanged, and nothing was doubled")
    failed = [check for check in checks if not check.ok]
    show(f"checks: {len(checks) - len(failed)} of {len(checks)} hold")


def _show_next(folder: Path, *, keeps: bool, inbox: str, in_containers: bool) -> None:
    own = f"ONCOMENTOR_HOME={folder.parent} " if in_containers else ""
    show(
        "\nWhere to look next"
        + ("" if keeps else " (the stack is down: 'oncomentor dev up' first)")
    )
    show(f"  http://{inbox}/  every mail, with its calendar")
    show(f"  {own}oncomentor tail match --as harbor-demo --from beginning")
    show(f"  {own}oncomentor tail matching.match --as downstream --from beginning --json")
    show(f"  oncomentor validate {folder / 'harbor-demo.csv'}")
    show(f"  {own}oncomentor publish {folder / 'ridge-demo.jsonl'} --as ridge-demo --dry-run")
    if in_containers:
        show("  oncomentor doctor --against compose; docker compose logs matching")
    else:
        show("  oncomentor dev status; oncomentor dev logs matching; oncomentor dev reset")


def _in_order(world: World) -> list[Match]:
    return sorted(
        world.observation.matches.values(),
        key=lambda match: (match.proposal.programme_id, not match.is_active, match.proposed.at),
    )


def _wrong_rows(world: World) -> list[tuple[str, RowResult]]:
    return [
        (file.path.name, result)
        for file in world.files
        for result in sorted(world.results.get(file.center.id, ()), key=lambda one: one.row)
        if result.outcome in _WRONG
    ]


def _outcomes(results: Sequence[RowResult]) -> dict[str, int]:
    found = [one.outcome.value for one in results]
    return {name: found.count(name) for name in sorted(set(found))}


def _match_json(match: Match) -> Mapping[str, Any]:
    said = match.proposal
    return {
        "match_id": said.match_id,
        "programme_id": said.programme_id,
        "mentor": said.mentor.person_id,
        "mentor_center": said.mentor.institution_id,
        "mentee": said.mentee.person_id,
        "mentee_center": said.mentee.institution_id,
        "score": said.score,
        "state": _state(match),
        "reasons": _reasons(match),
    }


def _wrong_row_json(name: str, result: RowResult) -> Mapping[str, Any]:
    return {
        "file": name,
        "row": result.row,
        "found_by": "center" if result.outcome is RowOutcome.INVALID else "hub",
        "problems": [one.model_dump(mode="json") for one in result.problems],
    }


def _shortened(path: Path) -> Path:
    """Return the path as one would type it from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
