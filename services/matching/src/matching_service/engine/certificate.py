"""A round's certificate: what a stranger needs to check that the round is right, and the best.

The auditor's pool has what the rules and the score depend on, as arrays; the certificate has the
terms, who is matched with whom, the prices, and the hashes of that pool and of the report; the public
part has a salted commitment to the certificate, and so to all of it, and says nothing else of anybody.
`verify` checks them all. O(people and what is known of them).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matching_service.engine.cohort import Cohort
from matching_service.engine.columns import I64, LANGUAGE_WORDS, Columns
from matching_service.engine.hold import Round
from matching_service.engine.lanes import LANES
from matching_service.engine.patterns import LATE
from matching_service.engine.pool import Pool
from matching_service.engine.rules import LOW
from matching_service.engine.scan import FIRST
from matching_service.engine.verify import LISTS, commitment, pool_hash

FORMAT = 2
_SALT = 32  # characters
Sheet = dict[str, npt.NDArray[Any]]
_HIGH = np.uint64(32)


def sheet(pool: Pool, cohort: Cohort) -> Sheet:
    """Return the auditor's pool of a cohort: arrays, a row a person in the cohort's order.

    Pseudonyms are not in it, nor codes: languages, topics, labs are numbers whose meaning stays here.
    """
    market, features = cohort.market, pool.features
    mentees, mentors = market.mentees, market.mentors
    criteria = np.array(features.criteria, np.int64)
    weights = np.array([[u, v] for _, u, v in features.weights], float).reshape(-1, 2)
    names = [name for name, *_ in features.weights]
    bounds = mentees.terms[cohort.mentees]
    terms = _each(bounds[:, 0], bounds[:, 1])
    row = mentees.rows[terms].astype(np.int64)
    by = weights[criteria[row]]
    by_mentee, by_mentor = pool.readable
    found = {
        "feature_criterion": criteria,
        "term_begin": np.concatenate([[0], np.cumsum(bounds[:, 1] - bounds[:, 0])]),
        "term_feature": row,
        "term_mentee": _over(mentees.left[terms], by[:, 0]),
        "term_mentor": _over(mentees.right[terms], by[:, 1]),
        "mentor_features": mentors.tiles[
            cohort.mentors // LANES, : len(criteria), cohort.mentors % LANES
        ],
        "mentee_readable": np.array(by_mentee, np.int64)[mentees.pattern[cohort.mentees]],
        "mentor_readable": np.array(by_mentor, np.int64)[mentors.pattern[cohort.mentors // LANES]],
        "hours_criterion": np.array([names.index(LATE) if LATE in names else -1]),
        "plenty": np.array([market.scale.plenty]),
        "center_refuses": market.where.broken,
        "center_prefers_others": market.where.later,
        "center_oldest": market.where.oldest,
        "wanted": cohort.wanted,
        "seats": cohort.seats,
        "mentee_lot": mentees.lot[cohort.mentees],
        "mentor_lot": mentors.lot[cohort.mentors],
        "incumbent_mentee": cohort.incumbents[0],
        "incumbent_mentor": cohort.incumbents[1],
        "format": np.array(FORMAT),
        "judged_at": np.array(pool.context.now.isoformat()),
        "centers": np.array(_centers(pool), np.str_),
        "criteria": np.array(names, np.str_),
    }
    sides = (
        ("mentee", mentees.columns, cohort.mentees),
        ("mentor", mentors.columns, cohort.mentors),
    )
    for side, columns, lines in sides:
        found |= {f"{side}_{name}": array for name, array in _facts(columns, lines).items()}
    return {name: np.asarray(array, order="C") for name, array in found.items()}


def _facts(columns: Columns, lines: I64) -> Sheet:
    """Return what the rules ask of one side's people."""
    key, first = columns.key[lines], 1 + LANGUAGE_WORDS
    found: Sheet = {
        "center": (key[:, 0] & LOW).astype(np.int64),
        "lab": (key[:, 0] >> _HIGH).astype(np.int64) - 1,
        "languages": key[:, 1:first],
        "starts": key[:, first:],
        "free": columns.free[lines],
        "changed": columns.changed[lines],
        "unit": columns.unit[lines],
        "person": columns.person[lines],
    }
    for n, name in enumerate(LISTS):
        begin, end = columns.bounds[lines, n], columns.bounds[lines, n + 1]
        found[name] = columns.lists[_each(begin, end)]
        found[f"{name}_begin"] = np.concatenate([[0], np.cumsum(end - begin)])
    return found


def _each(begin: I64, end: I64) -> I64:
    """Return the numbers of all ranges, one range after the other."""
    count = end - begin
    before: I64 = np.repeat(np.cumsum(count) - count - begin, count)
    return np.arange(len(before)) - before


def _over(values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(weights > 0, values / np.where(weights > 0, weights, 1), 0.0)


def certificate(
    pool: Pool, held: Round, of: Sheet, report_hash: str | None = None
) -> dict[str, Any]:
    """Return the certificate of a round, ready for JSON; numbers are places in the sheet.

    Args:
        pool: who was matched.
        held: the round.
        of: the auditor's pool, see `sheet`.
        report_hash: SHA-256 of the round's report as it is written, if there is one.
    """
    solution, cohort, numbers, asked = held.solution, held.cohort, pool.centers, held.asked
    programme = pool.context.programme
    served = np.unique(solution.mentee)
    by_center = np.bincount(cohort.centers[served], minlength=len(numbers))
    return {
        "format": FORMAT,
        "programme": programme.programme_id,
        "criteria_version": programme.criteria_version,
        "judged_at": pool.context.now.isoformat(),
        "seed": pool.seed,
        "pool": pool_hash(of),
        "criteria": [name for name, *_ in pool.features.weights],
        "weights": [[u, v] for _, u, v in pool.features.weights],
        "terms": {
            "floor": asked.floor,
            "floors": {str(numbers[c]): count for c, count in asked.floors.items()},
            "ceilings": {str(numbers[c]): count for c, count in asked.ceilings.items()},
            "retention": asked.retention,
        },
        "scale": solution.levels.scale,
        "level": solution.levels.served,
        "centers": _centers(pool),
        "mentees": [str(pool.mentee_at(line)) for line in cohort.mentees.tolist()],
        "mentors": [str(pool.mentor_at(line)) for line in cohort.mentors.tolist()],
        "mentee": solution.mentee.tolist(),
        "mentor": solution.mentor.tolist(),
        "prices": solution.prices.tolist(),
        "bench_prices": {
            f"{c} {kind}": price for (c, kind), price in solution.bench_prices.items()
        },
        "report": {
            "served": len(served),
            "points": float((solution.key % FIRST).sum()),
            "served_by_center": {
                str(n): int(by_center[n]) for n in np.unique(cohort.centers).tolist()
            },
            "sha256": report_hash,
        },
    }


def public_part(of: dict[str, Any], salt: str) -> dict[str, Any]:
    """Return what anybody may see: which round it was, and a commitment to all that came of it."""
    shown = ("format", "programme", "criteria_version", "judged_at")
    return {name: of[name] for name in shown} | {"commitment": commitment(of, salt)}


def write(
    folder: Path, pool: Pool, held: Round, salt: str, report: Mapping[str, Any] | None = None
) -> None:
    """Write pool.npz, certificate.json, report.json and salt.txt for the auditor, and public.json.

    Args:
        folder: where to; it is made if it is not there.
        pool: who was matched.
        held: the round.
        salt: a secret that nobody can guess, such as `secrets.token_hex(32)`.
        report: the round's report (`report.report`), for report.json; the certificate ties it.

    Raises:
        ValueError: the salt can be guessed.
    """
    if len(salt) < _SALT:
        raise ValueError(f"the salt has {len(salt)} characters: give secrets.token_hex(32)")
    folder.mkdir(parents=True, exist_ok=True)
    told = None if report is None else _write(folder / "report.json", report)
    of = sheet(pool, held.cohort)
    made = certificate(pool, held, of, told)
    np.savez_compressed(folder / "pool.npz", allow_pickle=False, **of)
    _write(folder / "certificate.json", made)
    _write(folder / "public.json", public_part(made, salt))
    (folder / "salt.txt").write_text(f"{salt}\n", encoding="utf-8")


def _write(path: Path, value: Mapping[str, Any]) -> str:
    """Write JSON; return the SHA-256 of the file."""
    written = f"{json.dumps(value, indent=1, sort_keys=True)}\n".encode()
    path.write_bytes(written)
    return hashlib.sha256(written).hexdigest()


def _centers(pool: Pool) -> list[str]:
    """Return the centers' names by their numbers."""
    return sorted(pool.centers, key=lambda name: pool.centers[name])
