"""Hold a recorded round again with other weights, floors or ceilings, and say what would change.

It reads two files and touches nobody. What was is taken from the certificate as it is: whether that
is right is for verify.py to say. Examples:

  python -m matching_service.engine.replay pool.npz certificate.json --floor 0.9
  python -m matching_service.engine.replay pool.npz certificate.json --weight goals=0.7 --json
  python -m matching_service.engine.replay pool.npz certificate.json --ceiling north=40 --html after.html
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from matching_service.engine.hold import (
    Asked,
    Matched,
    Outcome,
    hold_round,
    hold_stable,
    outcome_of,
)
from matching_service.engine.page import page
from matching_service.engine.recorded import Recorded, RecordError
from matching_service.engine.report import difference, outcome, report
from matching_service.engine.verify import Sheet

_WRONG = (OSError, ValueError, LookupError, TypeError, AttributeError, BadZipFile)


def asked_then(certificate: Mapping[str, Any]) -> Asked:
    """Return what a recorded round was asked."""
    terms, names = certificate["terms"], certificate["centers"]
    return Asked(
        terms["floor"],
        {names[int(c)]: count for c, count in terms["floors"].items()},
        {names[int(c)]: count for c, count in terms["ceilings"].items()},
        terms["retention"],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 2 for what cannot be done, with the fix."""
    parser = argparse.ArgumentParser(
        prog="python -m matching_service.engine.replay",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pool", type=Path, help="pool.npz of the round")
    parser.add_argument("certificate", type=Path, help="certificate.json of the round")
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="CRITERION=NUMBER",
        help="what a criterion weighs now, for both sides",
    )
    parser.add_argument(
        "--floor", type=float, help="every center's least share of the overall rate"
    )
    parser.add_argument(
        "--center-floor",
        action="append",
        default=[],
        metavar="CENTER=NUMBER",
        help="the least number served there",
    )
    parser.add_argument(
        "--ceiling",
        action="append",
        default=[],
        metavar="CENTER=NUMBER",
        help="the largest number served there",
    )
    parser.add_argument("--retention", type=float, help="what staying together counts, in points")
    parser.add_argument("--synthetic", action="store_true", help="the people are made up: say so")
    parser.add_argument("--json", action="store_true", help="print figures for a program")
    parser.add_argument("--html", type=Path, help="write the page of the replayed round there")
    given = parser.parse_args(arguments)
    try:
        return _replay(given)
    except _WRONG as error:
        sys.stderr.write(f"round replay: {_complaint(error)}\n")
        return 2


def _complaint(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, ValueError):
        return str(error)
    return f"these are not the files of a round ({error}): give its pool.npz and certificate.json"


def _replay(given: argparse.Namespace) -> int:
    if given.html and not given.html.parent.is_dir():
        raise ValueError(
            f"--html {given.html}: there is no folder {given.html.parent}: make it first"
        )
    of, certificate = _read(given.pool, given.certificate)
    before = asked_then(certificate)
    after = Asked(
        before.floor if given.floor is None else given.floor,
        {**before.floors, **_numbers("--center-floor", given.center_floor, int)},
        {**before.ceilings, **_numbers("--ceiling", given.ceiling, int)},
        before.retention if given.retention is None else given.retention,
    )
    old, new = (
        Recorded(of, certificate),
        Recorded(of, certificate, _numbers("--weight", given.weight)),
    )
    first = as_it_was(old, certificate)
    sys.stderr.write("round replay: as asked\n")
    second = hold_round(new, after, progress=_tell)
    told = difference(outcome(old, first), outcome(new, second))
    told |= {
        "pairs_that_change": pairs_that_change(first, second),
        "synthetic": given.synthetic,
    }
    if given.html:
        whole = report(new, second, synthetic=given.synthetic, other=hold_stable(new))
        given.html.write_text(
            page(whole, f"Replay of {certificate['programme']}"), encoding="utf-8"
        )
    sys.stdout.write(f"{json.dumps(told, indent=1)}\n" if given.json else in_words(told))
    return 0


def as_it_was(people: Recorded, certificate: Mapping[str, Any]) -> Outcome:
    """Return the matching of a certificate.

    Raises:
        RecordError: it matches two who may not be.
    """
    cohort = people.cohort()
    mentee, mentor = (np.array(certificate[side], np.int64) for side in ("mentee", "mentor"))
    keys = cohort.keys(mentee, mentor)
    if (keys < 0).any():
        raise RecordError(
            "the certificate matches a pair that breaks a rule: see what verify.py says"
        )
    return outcome_of(people, cohort, (mentee, mentor), keys, {})


def _read(pool: Path, certificate: Path) -> tuple[Sheet, dict[str, Any]]:
    with pool.open("rb") as file:
        if file.read(2) != b"PK":  # what every npz begins with
            raise ValueError(f"{pool} is no pool.npz: give the pool first, then the certificate")
    with np.load(pool) as arrays:
        of: Sheet = dict(arrays)
    try:
        return of, json.loads(certificate.read_bytes())
    except ValueError as error:
        raise ValueError(f"{certificate} is no JSON ({error}): give certificate.json") from error


def _tell(text: str) -> None:
    sys.stderr.write(f"  {text}\n")


def _numbers(option: str, given: Sequence[str], kind: type[float] = float) -> dict[str, Any]:
    found = {}
    for one in given:
        name, _, number = one.rpartition("=")
        try:
            found[name] = kind(number)
        except ValueError:
            name = ""
        if not name:
            raise ValueError(f"{option} {one}: write a name, =, and a number, such as {option} x=3")
    return found


def pairs_that_change(before: Outcome, after: Outcome) -> dict[str, Any]:
    """Return how many pairs stay, and which go and come, as [mentee, mentor]."""
    old, new = (_pairs(one.matches) for one in (before, after))
    return {"stay": len(old & new), "go": sorted(old - new), "come": sorted(new - old)}


def _pairs(matches: Sequence[Matched]) -> set[tuple[str, str]]:
    return {(str(m.mentee_id), str(m.mentor_id)) for m in matches}


def in_words(told: Mapping[str, Any]) -> str:
    """Return what changes as lines for a reader."""
    pairs = told["pairs_that_change"]
    names = ("served", "score", "worst_rate", "blocking_pairs")
    rows = [(name.replace("_", " "), told[name]) for name in names]
    rows += [(f"served at {center}", both) for center, both in told["served_by_center"].items()]
    lines = [("", "before", "after"), *((name, _short(a), _short(b)) for name, (a, b) in rows)]
    wide = max(len(name) for name, *_ in lines)
    table = "".join(f"{n:<{wide}}  {b:>10}  {a:>10}\n" for n, b, a in lines)
    go, come = len(pairs["go"]), len(pairs["come"])
    return f"{table}pairs: {pairs['stay']} stay, {go} go, {come} come; nobody was told\n"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


if __name__ == "__main__":
    sys.exit(main())
