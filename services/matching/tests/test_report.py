"""A round's report, its page, and the round held again from what was recorded of it."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests.test_round import a_cohort, open_of, some_asked

from matching_service.engine import replay
from matching_service.engine.blocking import unrest
from matching_service.engine.certificate import certificate, sheet, write
from matching_service.engine.choose import hold_chosen
from matching_service.engine.hold import Asked, Outcome, hold_round, hold_stable
from matching_service.engine.page import page
from matching_service.engine.pool import Pool
from matching_service.engine.recorded import Recorded, RecordError
from matching_service.engine.report import Cost, difference, outcome, report
from matching_service.engine.scan import FIRST

SEEDS = st.integers(0, 10**9)


def pairs(held: Outcome) -> set[tuple[Any, Any]]:
    return {(m.mentee_id, m.mentor_id) for m in held.matches}


def recorded(pool: Pool, asked: Asked | None = None, **other: float) -> tuple[Recorded, Any]:
    held = hold_round(pool, asked)
    of = sheet(pool, held.cohort)
    made = json.loads(json.dumps(certificate(pool, held, of)))
    return Recorded(of, made, other), held


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_a_round_that_is_held_again_is_the_same(seed: int) -> None:
    pool, mentees, _ = a_cohort(seed)
    asked = some_asked(seed, open_of(pool, mentees))

    again, held = recorded(pool, asked)
    second = hold_round(again, asked)

    assert pairs(second) == pairs(held)
    assert [m.score for m in second.matches] == pytest.approx([m.score for m in held.matches])
    assert second.centers == held.centers
    assert pairs(hold_stable(again)) == pairs(hold_stable(pool))


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_other_weights_give_what_a_pool_with_those_weights_gives(seed: int) -> None:
    pool, mentees, mentors = a_cohort(seed)
    weights = {name: u for name, u, v in pool.features.weights if u and v}
    if not weights:
        return
    name = sorted(weights)[0]
    other, _ = recorded(pool, None, **{name: 3.0})
    programme = pool.context.programme
    changed = replace(
        programme,
        weights=tuple((n, 3.0 if n == name else w) for n, w in programme.weights),
        mentor_weights=tuple((n, 3.0 if n == name else w) for n, w in programme.mentor_weights),
    )
    direct = Pool(replace(pool.context, programme=changed), mentees, mentors)

    found, expected = hold_round(other), hold_round(direct)

    assert sum(m.score for m in found.matches) == pytest.approx(
        sum(m.score for m in expected.matches), abs=1e-5
    )
    assert len(found.matches) == len(expected.matches)


def test_what_was_not_recorded_cannot_be_weighed() -> None:
    pool, *_ = a_cohort(3)

    with pytest.raises(RecordError, match=r"shoe_size was not weighed, so .*there are "):
        recorded(pool, None, shoe_size=1.0)
    name = pool.features.weights[0][0]
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(RecordError, match=f"the weight of {name} is {wrong}: give 0 or more"):
            recorded(pool, None, **{name: wrong})


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_ranks_shares_of_the_best_and_fairness_are_those_of_all_pairs(seed: int) -> None:
    pool, *_ = a_cohort(seed)
    held = hold_round(pool)
    cohort, told = held.cohort, outcome(pool, held)
    n, m = len(cohort.mentees), len(cohort.mentors)
    keys = cohort.keys(np.repeat(np.arange(n), m), np.tile(np.arange(m), n)).reshape(n, m)
    pairs = list(zip(held.solution.mentee.tolist(), held.solution.mentor.tolist(), strict=True))
    served = {j for j, _ in pairs}
    ranks = {(j, i): 1 + int((keys[j] > keys[j, i]).sum()) for j, i in pairs}
    shares = sorted(
        (keys[j, i] % FIRST) / best if (best := keys[j].max() % FIRST) else 1.0 for j, i in pairs
    )
    has = [max((keys[j, i] % FIRST for k, i in pairs if k == j), default=0.0) for j in range(n)]
    rates = [center.served / center.mentees for center in held.centers.values()]

    def of_served(most: int) -> float | None:
        good = {j for (j, _), rank in ranks.items() if rank <= most}
        return len(good) / len(served) if served else None

    assert told["rank"]["first"] == of_served(1)
    assert told["rank"]["top_5"] == of_served(5)
    if pairs:
        worst = shares[: -(-len(shares) // 20)]
        assert told["of_own_best"]["worst_5_percent"] == pytest.approx(sum(worst) / len(worst))
    apart = sum(abs(a - b) for a in has for b in has)
    if sum(has):
        assert told["fairness"]["gini"] == pytest.approx(apart / (2 * n * sum(has)))
    if any(rates):
        jain = sum(rates) ** 2 / (len(rates) * sum(rate**2 for rate in rates))
        assert told["fairness"]["jain"] == pytest.approx(jain)
        assert told["fairness"]["worst_rate"] == min(rates)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_blocking_pairs_are_those_that_would_both_rather_have_each_other(seed: int) -> None:
    pool, *_ = a_cohort(seed)
    held = hold_round(pool)
    cohort = held.cohort
    mentee = held.solution.mentee.astype(np.int64)
    mentor = held.solution.mentor.astype(np.int64)
    n, m = len(cohort.mentees), len(cohort.mentors)
    if not n or not m:
        return
    js, is_ = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    ours, theirs = (cohort.keys(js, is_, view).reshape(n, m) for view in pool.views)
    together = set(zip(mentee.tolist(), mentor.tolist(), strict=True))

    def least(mine: list[float], room: int) -> float:
        return -0.5 if len(mine) < room else min(mine, default=np.inf)

    of_mentee = [
        least([ours[j, i] for a, i in together if a == j], int(cohort.wanted[j])) for j in range(n)
    ]
    of_mentor = [
        least([theirs[j, i] for j, b in together if b == i], int(cohort.seats[i])) for i in range(m)
    ]
    expected = [
        sum(
            ours[j, i] > of_mentee[j]
            and theirs[j, i] > of_mentor[i]
            and cohort.seats[i] > 0
            and (j, i) not in together
            for i in range(m)
        )
        for j in range(n)
    ]

    found = unrest(cohort, pool.views, mentee, mentor)
    assert found.blocking.tolist() == expected
    taken = set(mentor.tolist())
    assert found.envied.tolist() == [
        sum(ours[j, i] > of_mentee[j] and (j, i) not in together for i in taken) for j in range(n)
    ]
    stable = hold_stable(pool)
    assert outcome(pool, stable)["blocking_pairs"] == 0


def a_full_report() -> dict[str, Any]:
    for seed in range(500):
        pool, *_ = a_cohort(seed)
        before = [(m.mentee_id, m.mentor_id) for m in hold_round(pool).matches]
        held = hold_round(pool, Asked(floor=0.9, retention=0.1), before)
        if len(held.matches) > 4 and len(held.centers) > 1 and held.unserved:
            return report(pool, held, synthetic=True, other=hold_stable(pool), cost=Cost(1.5, 80.0))
    raise AssertionError("no seed gives such a round")


def test_the_figures_of_a_report_hang_together() -> None:
    told = a_full_report()

    assert json.loads(json.dumps(told)) == told
    assert told["synthetic"] is True
    assert sum(told["score_bins"]) == told["pairs"] == sum(told["rank"]["bins"])
    assert sum(c["served"] for c in told["centers"].values()) == told["served"]
    assert told["served"] + told["unserved"] == told["people"]["mentees"]
    assert told["points"] == pytest.approx(told["score"]["mean"] * told["pairs"])
    assert 0 < told["rank"]["first"] <= told["rank"]["top_5"] <= 1
    assert 0 < told["of_own_best"]["worst_5_percent"] <= told["of_own_best"]["mean"] <= 1
    assert told["fairness"]["worst_rate"] == min(c["rate"] for c in told["centers"].values())
    assert 1 / len(told["centers"]) <= told["fairness"]["jain"] <= 1
    assert 0 <= told["fairness"]["gini"] < 1
    assert told["proof"]["gap"] == 0
    assert told["incumbents"] == {
        "before": told["pairs"], "kept": told["pairs"], "moved": 0
    }  # fmt: skip
    assert told["stable"]["blocking_pairs"] == 0
    assert told["cost"] == {"seconds": 1.5, "megabytes": 80.0}


class Parts(HTMLParser):
    """What is in a page: tags that must be closed, attributes that would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loads += [name for name, _ in attrs if name in {"src", "href", "onload"}]
        if tag not in {"meta", "rect", "line"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"rect", "line"}:
            assert self.open.pop() == tag


def test_a_report_is_one_page_with_its_charts_and_loads_nothing() -> None:
    told = a_full_report()

    text = page(told, "Round <1>")

    parts = Parts()
    parts.feed(text)
    assert parts.open == []
    assert parts.loads == []
    assert "script" not in parts.seen
    assert parts.seen.count("svg") == 5
    assert "nobody here is real" in text
    assert "Round &lt;1&gt;" in text
    assert "nobody here is real" not in page(told | {"synthetic": False}, "Round")
    assert "stable" not in page({k: v for k, v in told.items() if k != "stable"}, "Round")
    for name in told["centers"]:
        assert name in text


def test_an_empty_round_has_a_report_and_a_page() -> None:
    pool, *_ = a_cohort(1)
    empty = Pool(pool.context)

    told = report(empty, hold_round(empty), synthetic=True, other=hold_stable(empty))

    assert told["served"] == 0
    assert "<svg" in page(told, "Nobody")


def files_of(folder: Path) -> tuple[list[str], str]:
    """Write a round's files; return them, and a center of which several people are served."""
    for seed in range(500):
        pool, *_ = a_cohort(seed)
        held = hold_round(pool)
        center = max(held.centers, key=lambda name: held.centers[name].served, default="")
        if center and held.centers[center].served > 1 and len(held.matches) > 4:
            write(folder, pool, held, "a salt of thirty-two characters.")
            return [str(folder / "pool.npz"), str(folder / "certificate.json")], center
    raise AssertionError("no seed gives such a round")


def test_a_round_is_replayed_from_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, center = files_of(tmp_path)
    html = tmp_path / "after.html"

    assert replay.main([*files, "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    more = ["--ceiling", f"{center}=1", "--html", str(html), "--synthetic"]
    assert replay.main([*files, *more]) == 0
    other = capsys.readouterr().out

    assert same["pairs_that_change"]["go"] == same["pairs_that_change"]["come"] == []
    assert same["served"][0] == same["served"][1]
    (line,) = [line for line in other.splitlines() if line.startswith(f"served at {center} ")]
    assert line.split()[-1] == "1"
    assert "nobody was told" in other
    assert "<svg" in html.read_text()


def test_a_replay_under_another_weight_and_floor_is_the_round_of_the_recorded_pool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, _ = files_of(tmp_path)
    made = json.loads(Path(files[1]).read_text())
    both = zip(made["criteria"], made["weights"], strict=True)
    name = next(name for name, weights in both if min(weights) > 0)
    with np.load(files[0]) as arrays:
        sheet_of = dict(arrays)

    assert replay.main([*files, "--weight", f"{name}=7", "--floor", "0.9", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    before = hold_round(Recorded(sheet_of, made))
    after = hold_round(Recorded(sheet_of, made, {name: 7.0}), Asked(floor=0.9))
    assert told["served"] == [len({m.mentee_id for m in one.matches}) for one in (before, after)]
    old, new = ({(str(j), str(i)) for j, i in pairs(one)} for one in (before, after))
    assert told["pairs_that_change"] == {
        "stay": len(old & new),
        "go": [list(pair) for pair in sorted(old - new)],
        "come": [list(pair) for pair in sorted(new - old)],
    }
    assert told["score"][1] == pytest.approx(np.mean([m.score for m in after.matches]))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--weight", "goals"], "--weight goals: write a name, =, and a number"),
        (["--weight", "shoe_size=1"], "shoe_size was not weighed"),
        (["--floor", "2"], "floor is 2.0: a share of the overall rate is from 0 to 1"),
        (["--center-floor", "nowhere=1"], "nobody in the pool is of center 'nowhere'"),
        (["--ceiling", "north=x"], "--ceiling north=x: write a name"),
        (["--html", "no/such/after.html"], "there is no folder no/such: make it first"),
    ],
)
def test_what_cannot_be_replayed_is_said_with_the_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert replay.main([*files_of(tmp_path)[0], *more]) == 2
    assert said in capsys.readouterr().err


def test_files_that_are_none_of_a_round_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pool_file, certificate_file), _ = files_of(tmp_path)
    other = tmp_path / "other"
    files, _ = files_of(other)
    made = json.loads(Path(files[1]).read_text())
    Path(files[1]).write_text(json.dumps(made | {"pool": "0" * 64}))

    assert replay.main([str(tmp_path / "none.npz"), certificate_file]) == 2
    assert "No such file" in capsys.readouterr().err
    assert replay.main([pool_file, files[1]]) == 2
    assert "give the two files of one round" in capsys.readouterr().err
    assert replay.main([certificate_file, pool_file]) == 2
    assert "is no pool.npz: give the pool first, then the certificate" in capsys.readouterr().err
    assert replay.main([pool_file, pool_file]) == 2
    assert "is no JSON" in capsys.readouterr().err
    Path(files[1]).write_text("{}")
    assert replay.main([pool_file, files[1]]) == 2
    assert "these are not the files of a round" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["centers", "criteria", "mentees", "mentors", "weights", "terms"])
@pytest.mark.parametrize("value", [None, 7, []])
def test_a_certificate_that_is_none_is_named_whatever_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, value: Any
) -> None:
    files, _ = files_of(tmp_path)
    made = json.loads(Path(files[1]).read_text())
    Path(files[1]).write_text(json.dumps(made | {name: value}))

    assert replay.main(files) == 2
    assert capsys.readouterr().err.startswith("round replay: ")


def test_what_was_is_what_the_certificate_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, _ = files_of(tmp_path)
    made = json.loads(Path(files[1]).read_text())
    gone = made["mentees"][made["mentee"].pop()], made["mentors"][made["mentor"].pop()]
    Path(files[1]).write_text(json.dumps(made))

    assert replay.main([*files, "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["pairs_that_change"]["go"] == []
    assert told["pairs_that_change"]["come"] == [list(gone)]


def test_a_pair_that_may_not_be_was_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, _ = files_of(tmp_path)
    made = json.loads(Path(files[1]).read_text())
    with np.load(files[0]) as arrays:
        who = Recorded(dict(arrays), made).cohort()
    n, m = len(who.mentees), len(who.mentors)
    mentee, mentor = np.divmod(np.arange(n * m), m)
    never = int(np.flatnonzero(who.keys(mentee, mentor) < 0)[0])
    made |= {"mentee": [never // m], "mentor": [never % m]}
    Path(files[1]).write_text(json.dumps(made))

    assert replay.main(files) == 2
    assert "a pair that breaks a rule: see what verify.py says" in capsys.readouterr().err


def test_rounds_of_other_kinds_have_a_report_and_a_page_too() -> None:
    pool, *_ = a_cohort(3)
    stable = hold_stable(pool)
    met = {m.mentee_id: [m.mentor_id] for m in stable.matches}

    for held in (stable, hold_chosen(pool, met, {})):
        told = report(pool, held, synthetic=True)
        assert told["pairs"] == len(held.matches) > 0
        assert told["proof"] is told["terms"] is told["incumbents"] is None
        assert "proved" not in page(told, "Round")


def test_what_differs_is_told_side_by_side() -> None:
    told = a_full_report()

    same = difference(told, told)

    assert same["served"] == [told["served"]] * 2
    assert same["served_by_center"].keys() == told["centers"].keys()
