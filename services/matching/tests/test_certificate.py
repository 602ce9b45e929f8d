"""A round's certificate: a stranger's check agrees, and nothing in it can be changed unseen."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests.test_round import a_cohort, open_of, some_asked

from matching_service.engine import verify as verify_module
from matching_service.engine.certificate import (
    Sheet,
    certificate,
    public_part,
    sheet,
    write,
)
from matching_service.engine.hold import Asked, Round, hold_round
from matching_service.engine.pool import Pool
from matching_service.engine.verify import RefusedError, commitment, pool_hash, verify

Certificate = dict[str, Any]
ENGINE = Path(verify_module.__file__).parent


def certified(seed: int, retention: float = 0.0) -> tuple[Certificate, Sheet, Round, Pool]:
    pool, mentees, _ = a_cohort(seed)
    given = some_asked(seed, open_of(pool, mentees))
    asked = Asked(given.floor, given.floors, given.ceilings, retention, candidates=3)
    before = [(m.mentee_id, m.mentor_id) for m in hold_round(pool).matches]
    held = hold_round(pool, asked, before[::2] if retention else ())
    of = sheet(pool, held.cohort)
    made: Certificate = json.loads(json.dumps(certificate(pool, held, of)))
    return made, of, held, pool


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**9), retention=st.sampled_from([0.0, 0.5]))
def test_a_stranger_finds_the_same_and_the_proof_whole(seed: int, retention: float) -> None:
    made, of, held, _ = certified(seed, retention)

    found = verify(made, of)

    assert found["served"] == len({m.mentee_id for m in held.matches})
    assert found["points"] == pytest.approx(sum(m.score for m in held.matches), abs=1e-5)
    assert abs(found["gap"]) < 1e-5


def a_full_one() -> tuple[Certificate, Sheet]:
    """Return a certificate with matches of different scores, a free mentee and several prices."""
    for seed in range(1000):
        pool, *_ = a_cohort(seed)
        cohort = pool.cohort()
        if len(np.unique(cohort.centers)) < 2:
            continue
        asked = Asked(floor=0.5, candidates=3)
        held = hold_round(pool, asked)
        of = sheet(pool, held.cohort)
        made = json.loads(json.dumps(certificate(pool, held, of)))
        scores = {match.score for match in held.matches}
        if len(scores) > 4 and held.unserved and sum(p > 0 for p in made["prices"]) > 2:
            return made, of
    raise AssertionError("no seed gives such a round")


def _swap(made: Certificate, of: Sheet) -> None:
    mentee, mentor = made["mentee"], made["mentor"]
    others = enumerate(zip(mentee, mentor, strict=True))
    other = next(n for n, (j, i) in others if j != mentee[0] and i != mentor[0])
    mentor[0], mentor[other] = mentor[other], mentor[0]


def _match_twice(made: Certificate, of: Sheet) -> None:
    made["mentee"].append(made["mentee"][0])
    made["mentor"].append(made["mentor"][0])


def _leave_out(made: Certificate, of: Sheet) -> None:
    made["mentee"].pop()
    made["mentor"].pop()


def _match_who_is_not_there(made: Certificate, of: Sheet) -> None:
    made["mentee"][0] = len(of["wanted"])


def _lower_a_price(made: Certificate, of: Sheet) -> None:
    dearest = int(np.argmax(made["prices"]))
    made["prices"][dearest] -= made["levels"]["scale"]


def _raise_a_price(made: Certificate, of: Sheet) -> None:
    made["prices"][int(np.argmax(of["seats"]))] += made["levels"]["scale"]


def _negative_price(made: Certificate, of: Sheet) -> None:
    made["prices"][0] = -1


def _one_price_less(made: Certificate, of: Sheet) -> None:
    made["prices"].pop()


def _other_weights(made: Certificate, of: Sheet) -> None:
    made["weights"][0] = [made["weights"][0][0] * 3 + 1, made["weights"][0][1]]


def _other_floor(made: Certificate, of: Sheet) -> None:
    made["terms"]["floor"] = 0.9


def _more_points(made: Certificate, of: Sheet) -> None:
    made["report"]["points"] += 0.001


def _more_served(made: Certificate, of: Sheet) -> None:
    made["report"]["served"] += 1


def _another_center_served(made: Certificate, of: Sheet) -> None:
    center = next(iter(made["report"]["served_by_center"]))
    made["report"]["served_by_center"][center] += 1


def _coarser(made: Certificate, of: Sheet) -> None:
    made["levels"]["scale"] = 1


def _lower_level(made: Certificate, of: Sheet) -> None:
    made["levels"]["served"] = made["levels"]["bench"] = 1


def _swap_names(made: Certificate, of: Sheet) -> None:
    made["mentees"][0], made["mentees"][1] = made["mentees"][1], made["mentees"][0]


def _another_mentor(made: Certificate, of: Sheet) -> None:
    made["mentors"][0] = made["mentees"][0]


def _other_seed(made: Certificate, of: Sheet) -> None:
    made["seed"] += "again"


def _a_ceiling(made: Certificate, of: Sheet) -> None:
    made["terms"]["ceilings"] = {str(int(of["mentee_center"][made["mentee"][0]])): 0}


def _cheaper_bench(made: Certificate, of: Sheet) -> None:
    dearest = max(made["bench_prices"], key=made["bench_prices"].__getitem__)
    made["bench_prices"][dearest] -= made["levels"]["scale"]


def _without(name: str) -> Callable[..., None]:
    def tamper(made: Certificate, of: Sheet) -> None:
        del made[name]

    return tamper


def _without_prices(made: Certificate, of: Sheet) -> None:
    del made["prices"]


def _in_the_pool(name: str, change: Callable[[Any], Any], *, hidden: bool) -> Callable[..., None]:
    """Change an array of the pool; `hidden` if the certificate is made to fit its hash."""

    def tamper(made: Certificate, of: Sheet) -> None:
        of[name] = change(of[name])
        if hidden:
            made["pool"] = pool_hash(of)

    return tamper


TAMPERED = {
    "two mentees swap mentors": _swap,
    "a pair twice": _match_twice,
    "a pair less": _leave_out,
    "somebody who is not there": _match_who_is_not_there,
    "a price lower": _lower_a_price,
    "a price higher": _raise_a_price,
    "a price below 0": _negative_price,
    "a price less": _one_price_less,
    "no prices": _without_prices,
    "another weight": _other_weights,
    "another floor": _other_floor,
    "two names swapped": _swap_names,
    "another name": _another_mentor,
    "another seed": _other_seed,
    "a ceiling": _a_ceiling,
    "a bench's price": _cheaper_bench,
    "no pool": _without("pool"),
    "no seed": _without("seed"),
    "no names": _without("mentors"),
    "points": _more_points,
    "people served": _more_served,
    "a center's number": _another_center_served,
    "coarser scores": _coarser,
    "a level": _lower_level,
    "seats": _in_the_pool("seats", lambda a: a + 1, hidden=False),
    "seats, with the hash": _in_the_pool("seats", lambda a: np.maximum(a - 1, 0), hidden=True),
    "a rule": _in_the_pool("mentor_languages", np.zeros_like, hidden=False),
    "a rule, with the hash": _in_the_pool("mentor_languages", np.zeros_like, hidden=True),
    "how many are wanted": _in_the_pool("wanted", lambda a: a * 0, hidden=True),
    "features": _in_the_pool("mentor_features", lambda a: a / 2, hidden=True),
    "who refuses whom": _in_the_pool("center_refuses", np.ones_like, hidden=True),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_whatever_is_changed_is_refused(what: str) -> None:
    made, of = a_full_one()
    verify(made, of)

    TAMPERED[what](made, of)

    with pytest.raises(RefusedError):
        verify(made, of)


def with_somebody_who_stays() -> tuple[Certificate, Sheet]:
    for seed in range(1000):
        made, of, *_ = certified(seed, retention=0.5)
        before = zip(of["incumbent_mentee"].tolist(), of["incumbent_mentor"].tolist(), strict=True)
        if set(before) & set(zip(made["mentee"], made["mentor"], strict=True)):
            return made, of
    raise AssertionError("no seed gives such a round")


def test_another_bonus_for_those_who_stay_is_refused() -> None:
    made, of = with_somebody_who_stays()
    verify(made, of)

    made["terms"]["retention"] = 0.4

    with pytest.raises(RefusedError, match="gap"):
        verify(made, of)


def test_the_public_part_is_tied_to_the_certificate_and_tells_of_nobody() -> None:
    made, _, held, _ = certified(3)
    public = public_part(made, "salt")

    assert public["commitment"] == commitment(made, "salt") != commitment(made, "other salt")
    assert public.keys() == {"format", "programme", "criteria_version", "judged_at", "commitment"}
    assert held.matches
    changed = {**made, "mentee": made["mentee"][::-1]}
    assert commitment(changed, "salt") != public["commitment"]


def test_the_auditor_needs_the_files_and_numpy_and_no_engine(tmp_path: Path) -> None:
    pool, *_ = a_cohort(3)
    asked = Asked()
    write(tmp_path, pool, hold_round(pool, asked), "salt")
    script = tmp_path / "verify.py"
    script.write_bytes((ENGINE / "verify.py").read_bytes())
    command = [sys.executable, "-I", str(script), str(tmp_path / "certificate.json")]

    good = subprocess.run(
        [*command, str(tmp_path / "pool.npz")], capture_output=True, text=True, check=True
    )

    assert json.loads(good.stdout)["gap"] == pytest.approx(0, abs=1e-5)
    tie = [str(tmp_path / "public.json"), str(tmp_path / "salt.txt")]
    tied = [*command, str(tmp_path / "pool.npz"), *tie]
    assert subprocess.run(tied, capture_output=True, check=True).stdout.decode() == good.stdout
    (tmp_path / "salt.txt").write_text("another")
    untied = subprocess.run(tied, capture_output=True, text=True, check=False)
    assert (untied.returncode, untied.stderr) == (1, "refused: it is not what was published\n")
    other, *_ = a_cohort(4)
    write(tmp_path / "other", other, hold_round(other, asked), "salt")
    bad = subprocess.run(
        [*command, str(tmp_path / "other" / "pool.npz")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode == 1
    assert bad.stderr == "refused: the pool is not the one that was matched\n"


def test_the_check_is_short_and_imports_nothing_of_ours() -> None:
    text = (ENGINE / "verify.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    prose = {
        line
        for node in ast.walk(tree)
        if isinstance(node, documented) and ast.get_docstring(node)
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.strip() and n not in prose]
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
    }

    assert len(lines) < 200
    assert imported <= {"numpy", *sys.stdlib_module_names}
