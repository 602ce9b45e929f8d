"""A round's certificate: a stranger's check agrees, and nothing in it can be changed unseen."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
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
from matching_service.engine.report import report
from matching_service.engine.verify import (
    BARRING,
    LISTS,
    RefusedError,
    commitment,
    pool_hash,
    verify,
)

Certificate = dict[str, Any]
SALT = "a salt of thirty-two characters."
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
    made["prices"][dearest] -= made["scale"]


def _raise_a_price(made: Certificate, of: Sheet) -> None:
    made["prices"][int(np.argmax(of["seats"]))] += made["scale"]


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
    made["scale"] = 1


def _lower_level(made: Certificate, of: Sheet) -> None:
    made["level"] = 1


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
    made["bench_prices"][dearest] -= made["scale"]


def _prices_that_wrap_round(made: Certificate, of: Sheet) -> None:
    """Nobody is matched, and 64-bit sums of seats times price would come to nothing."""
    seats = of["seats"].tolist()
    odd = next(n for n, some in enumerate(seats) if some % 2)
    rest = sum(some * 2**61 for n, some in enumerate(seats) if n != odd)
    prices = [2**61] * len(seats)
    prices[odd] = -rest * pow(seats[odd], -1, 2**64) % 2**64
    made |= {"mentee": [], "mentor": [], "prices": prices}
    nobody = dict.fromkeys(made["report"]["served_by_center"], 0)
    made["report"] |= {"served": 0, "points": 0.0, "served_by_center": nobody}


def _a_bench_of_another_center(made: Certificate, of: Sheet) -> None:
    last = max(made["bench_prices"])
    made["bench_prices"]["-1 floor"] = made["bench_prices"].pop(last)


def _term(name: str, value: Any) -> Callable[..., None]:
    def tamper(made: Certificate, of: Sheet) -> None:
        made["terms"][name] = value

    return tamper


def _claim(name: str, change: Callable[[Any], Any]) -> Callable[..., None]:
    def tamper(made: Certificate, of: Sheet) -> None:
        made[name] = change(made[name])

    return tamper


def _figure(made: Certificate, of: Sheet) -> None:
    made["report"]["gini"] = 0.0


def _in_the_pool(name: str, change: Callable[[Any], Any], *, hidden: bool) -> Callable[..., None]:
    """Change an array of the pool; `hidden` if the certificate is made to fit its hash."""

    def tamper(made: Certificate, of: Sheet) -> None:
        of[name] = change(of[name])
        if hidden:
            made["pool"] = pool_hash(of)

    return tamper


KEYS = (
    "format", "programme", "criteria_version", "judged_at", "seed", "pool", "criteria", "weights", "terms",
    "scale", "level", "centers", "mentees", "mentors", "mentee", "mentor", "prices", "bench_prices", "report",
)  # fmt: skip
ARRAYS = (
    "format", "judged_at", "centers", "criteria", "feature_criterion", "term_begin", "term_feature",
    "term_mentee", "term_mentor", "mentor_features", "hours_criterion", "plenty", "center_refuses",
    "center_prefers_others", "center_oldest", "wanted", "seats", "incumbent_mentee", "incumbent_mentor",
    *(f"{side}_{name}" for side in ("mentee", "mentor")
      for name in ("readable", "lot", "center", "lab", "languages", "starts", "free", "changed", "unit",
                   "person", *LISTS, *(f"{one}_begin" for one in LISTS))),
)  # fmt: skip
TAMPERED = {
    "two mentees swap mentors": _swap,
    "a pair twice": _match_twice,
    "a pair less": _leave_out,
    "somebody who is not there": _match_who_is_not_there,
    "a price lower": _lower_a_price,
    "a price higher": _raise_a_price,
    "a price below 0": _negative_price,
    "a price less": _one_price_less,
    "prices that wrap round": _prices_that_wrap_round,
    "parts of a price": _claim("prices", lambda prices: [price + 0.5 for price in prices]),
    "a price in a list": _claim("prices", lambda prices: [[price] for price in prices]),
    "half a mentee": _claim("mentee", lambda mentees: [mentee + 0.5 for mentee in mentees]),
    "a weight more": _claim("weights", lambda weights: [*weights, [1.0, 1.0]]),
    "no weights": _claim("weights", lambda _: []),
    "weights that are none": _claim("weights", lambda ws: [[float("nan")] * 2 for _ in ws]),
    "endless levels": _claim("level", lambda _: float("inf")),
    "centers the other way round": _claim("centers", lambda names: names[::-1]),
    "another criterion": _claim("criteria", lambda names: ["other", *names[1:]]),
    "another programme": _claim("programme", lambda name: f"{name}-2"),
    "another version": _claim("criteria_version", lambda version: version + 1),
    "another hour": _claim("judged_at", lambda _: "1999-01-01T00:00:00+00:00"),
    "another format": _claim("format", lambda number: number + 1),
    "a bonus below 0": _term("retention", -1.0),
    "a bonus in words": _term("retention", "x"),
    "a floor that is none": _term("floor", float("nan")),
    "a floor above 1": _term("floor", 1.5),
    "a floor of a center that is not there": _term("floors", {"-1": 0}),
    "a ceiling of a center that is not there": _term("ceilings", {"99": 0}),
    "a bench of another center": _a_bench_of_another_center,
    "a figure more": _figure,
    "another weight": _other_weights,
    "another floor": _other_floor,
    "two names swapped": _swap_names,
    "another name": _another_mentor,
    "another seed": _other_seed,
    "a ceiling": _a_ceiling,
    "a bench's price": _cheaper_bench,
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


@pytest.fixture(scope="module")
def a_good_one() -> tuple[Certificate, Sheet]:
    made, of = a_full_one()
    verify(made, of)
    return made, of


@pytest.mark.parametrize("what", TAMPERED)
def test_whatever_is_changed_is_refused(what: str, a_good_one: tuple[Certificate, Sheet]) -> None:
    made, of = deepcopy(a_good_one)

    TAMPERED[what](made, of)

    with pytest.raises(RefusedError):
        verify(made, of)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("value", [None, 7, "x", [], {}])
def test_what_is_of_another_kind_is_refused_and_breaks_nothing(
    name: str, value: Any, a_good_one: tuple[Certificate, Sheet]
) -> None:
    made, of = deepcopy(a_good_one)
    del made[name]
    with pytest.raises(RefusedError):
        verify(made, of)

    made[name] = value
    with pytest.raises(RefusedError):
        verify(made, of)


@pytest.mark.parametrize("name", ARRAYS)
def test_every_array_of_the_pool_is_tied_to_the_certificate(
    name: str, a_good_one: tuple[Certificate, Sheet]
) -> None:
    made, of = deepcopy(a_good_one)
    assert set(of) == set(ARRAYS)

    of[name] = np.append(of[name].ravel(), np.zeros(1, of[name].dtype))

    with pytest.raises(RefusedError, match="the pool is not the one that was matched"):
        verify(made, of)


@pytest.mark.parametrize("fact", BARRING.split())
def test_a_matched_pair_that_something_bars_is_refused(
    fact: str, a_good_one: tuple[Certificate, Sheet]
) -> None:
    made, of = deepcopy(a_good_one)
    for side, name in zip(("mentee", "mentor"), fact.split("-"), strict=True):
        _have(of, f"{side}_{name}", made[side][0], 10**6)
    made["pool"] = pool_hash(of)

    with pytest.raises(RefusedError, match="a pair is matched that breaks a rule"):
        verify(made, of)


def _have(of: Sheet, name: str, who: int, number: int) -> None:
    """Let somebody have a number more in a list, or another one where there is one each."""
    begin = of.get(f"{name}_begin")
    if begin is None:
        of[name][who] = number
    else:
        of[name] = np.insert(of[name], begin[who + 1], number)
        begin[who + 1 :] += 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("center_refuses", 1), ("center_oldest", np.inf), ("mentee_changed", -np.inf),
        ("mentor_changed", -np.inf), ("mentee_starts", 0), ("mentor_starts", 0),
        ("mentee_languages", 0), ("mentor_languages", 0),
    ],
)  # fmt: skip
def test_a_matched_pair_that_breaks_a_rule_is_refused(
    name: str, value: float, a_good_one: tuple[Certificate, Sheet]
) -> None:
    made, of = deepcopy(a_good_one)
    of[name][...] = value
    made["pool"] = pool_hash(of)

    with pytest.raises(RefusedError, match="a pair is matched that breaks a rule"):
        verify(made, of)


def with_somebody_who_stays() -> tuple[Certificate, Sheet]:
    for seed in range(1000):
        made, of, *_ = certified(seed, retention=0.5)
        before = zip(of["incumbent_mentee"].tolist(), of["incumbent_mentor"].tolist(), strict=True)
        if set(before) & set(zip(made["mentee"], made["mentor"], strict=True)):
            return made, of
    raise AssertionError("no seed gives such a round")


@pytest.mark.parametrize("bonus", [0.0, 0.4])
def test_another_bonus_for_those_who_stay_is_refused(bonus: float) -> None:
    made, of = with_somebody_who_stays()
    verify(made, of)

    made["terms"]["retention"] = bonus

    with pytest.raises(RefusedError, match="gap"):
        verify(made, of)


def test_another_number_of_incumbents_is_refused() -> None:
    made, of = with_somebody_who_stays()
    of["incumbent_mentee"], of["incumbent_mentor"] = (
        of["incumbent_mentee"][:0],
        of["incumbent_mentor"][:0],
    )
    made["pool"] = pool_hash(of)

    with pytest.raises(RefusedError, match="gap"):
        verify(made, of)


def test_a_salt_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    pool, *_ = a_cohort(3)

    with pytest.raises(
        ValueError, match=r"the salt has 4 characters: give secrets.token_hex\(32\)"
    ):
        write(tmp_path / "round", pool, hold_round(pool), "salt")
    assert not (tmp_path / "round").exists()


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
    held = hold_round(pool, asked)
    write(tmp_path, pool, held, SALT, report(pool, held, synthetic=True))
    script = tmp_path / "verify.py"
    script.write_bytes((ENGINE / "verify.py").read_bytes())
    command = [sys.executable, "-I", str(script), str(tmp_path / "certificate.json")]

    good = subprocess.run(
        [*command, str(tmp_path / "pool.npz")], capture_output=True, text=True, check=True
    )

    assert json.loads(good.stdout)["gap"] == pytest.approx(0, abs=1e-5)
    published = [str(tmp_path / name) for name in ("pool.npz", "public.json", "salt.txt")]
    tied = [*command, *published, str(tmp_path / "report.json")]
    assert subprocess.run(tied, capture_output=True, check=True).stdout.decode() == good.stdout

    def refused(*arguments: str) -> str:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        return done.stderr

    told = (tmp_path / "report.json").read_text()
    (tmp_path / "report.json").write_text(told.replace('"blocking_pairs": ', '"blocking_pairs": 1'))
    assert refused(*tied[4:]) == "refused: the report is not the one of this round\n"
    (tmp_path / "salt.txt").write_text("another")
    assert refused(*published) == "refused: it is not what was published\n"
    other, *_ = a_cohort(4)
    write(tmp_path / "other", other, hold_round(other, asked), SALT)
    another = str(tmp_path / "other" / "pool.npz")
    assert refused(another) == "refused: the pool is not the one that was matched\n"
    assert "No such file" in refused(str(tmp_path / "nothing"))
    assert refused(str(script)).startswith("refused: ")
    assert "Run: python verify.py" in refused(another, published[1])


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
