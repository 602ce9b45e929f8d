"""The engine, and the rules and score of one pair, against the reference, on random people.

The people break every rule there is, and some break none.
"""

import re
from collections import Counter
from dataclasses import replace
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests import reference
from services.matching.tests.builders import (
    a_context,
    a_mentee,
    a_mentor,
    a_person,
    a_programme,
    mentee_with,
    mentor_with,
    person_id,
)
from services.matching.tests.people import a_pool_of

from matching_service.domain.criteria import CRITERIA
from matching_service.domain.pool import Context, Mentor, Pair
from matching_service.domain.rules.book import RULES
from matching_service.domain.score import score
from matching_service.engine import jit, scan
from matching_service.engine.pool import Pool

SEEDS = st.integers(0, 10**9)
AGREE = 1e-6


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_each_rule_is_broken_by_the_pairs_that_break_it(seed: int) -> None:
    context, (mentees, mentors), _ = a_pool_of(seed)
    pool = Pool(context, mentees, mentors)

    for mentee in mentees:
        for mentor in mentors:
            expected = reference.broken_rules(mentee, mentor, context)
            found = pool.broken(mentee.person.person_id, mentor.person.person_id)
            told = {r.name for r in RULES if not r.holds(Pair(mentee, mentor), context)}
            assert {rule.name for rule in found} == told == expected


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, name=st.sampled_from(sorted(CRITERIA)))
def test_each_criterion_gives_each_pair_what_it_should(seed: int, name: str) -> None:
    context, (mentees, mentors), _ = a_pool_of(seed, 3, 20)
    alone = replace(context.programme, weights=((name, 1.0),), mentor_weights=())
    context = replace(context, programme=alone)
    pool = Pool(context, mentees, mentors)

    for mentee in mentees:
        found = pool.best_mentors([mentee.person.person_id], len(mentors))[0]
        scores = {candidate.person_id: candidate.score for candidate in found}
        for mentor in mentors:
            views = reference.view(name, mentee, mentor, context)
            read = CRITERIA[name](Pair(mentee, mentor), context).views
            assert views == (pytest.approx((read.mentee, read.mentor)) if read else None)
            if mentor.person.person_id in scores:
                expected = sqrt(views[0] * views[1]) if views else 0.0
                assert scores[mentor.person.person_id] == pytest.approx(expected, abs=AGREE)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_the_best_are_the_best_of_all_eligible_pairs(seed: int) -> None:
    context, (mentees, mentors), _ = a_pool_of(seed, 3, 80)
    pool = Pool(context, mentees, mentors)

    found = pool.best_mentors([m.person.person_id for m in mentees], 5)

    for mentee, best in zip(mentees, found, strict=True):
        pairs = [Pair(mentee, mentor) for mentor in mentors]
        eligible = {
            p.mentor.person.person_id: p
            for p in pairs
            if not reference.broken_rules(mentee, p.mentor, context)
        }
        scores = {i: reference.score(mentee, p.mentor, context) for i, p in eligible.items()}
        told = {i: score(pair, context).value for i, pair in eligible.items()}
        assert told == pytest.approx(scores)
        later = {
            i: not p.across_centers and p.mentor.person.center.cross_institution == "preferred"
            for i, p in eligible.items()
        }
        order = sorted(scores, key=lambda i: (later[i], -scores[i]))

        assert len(best) == min(5, len(eligible))
        for candidate, expected in zip(best, order, strict=False):
            assert candidate.person_id in eligible
            assert candidate.later == later[candidate.person_id] == later[expected]
            assert candidate.score == pytest.approx(scores[candidate.person_id], abs=AGREE)
            assert candidate.score == pytest.approx(scores[expected], abs=AGREE)


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_a_mentor_finds_the_mentees_who_would_find_the_mentor(seed: int) -> None:
    context, (mentees, mentors), _ = a_pool_of(seed, 80, 8)
    pool = Pool(context, mentees, mentors)
    ids = [mentee.person.person_id for mentee in mentees]
    found = dict(zip(ids, pool.best_mentors(ids, len(mentors)), strict=True))

    for mentor in mentors:
        mentor_id = mentor.person.person_id
        seen = {
            (who, one.score, one.later)
            for who, best in found.items()
            for one in best
            if one.person_id == mentor_id
        }
        best = pool.best_mentees(mentor_id, len(mentees))

        assert {(one.person_id, one.score, one.later) for one in best} == seen
        assert best == sorted(best, key=lambda one: (one.later, -one.score))
        assert pool.best_mentees(mentor_id, 3) == best[:3]


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_whoever_came_and_went_the_pool_is_that_of_who_is_there(seed: int) -> None:
    context, now, before = a_pool_of(seed, 8, 80)
    shuffle = Random(seed)  # noqa: S311 - for tests
    pool = Pool(context, before[0][::2], before[1][::3])

    for mentor in shuffle.sample(before[1], 60):
        pool.put_mentor(mentor)
    for mentee in shuffle.sample(before[0], 6):
        pool.put_mentee(mentee)
    for mentor in shuffle.sample(now[1], len(now[1])):
        pool.put_mentor(mentor)
    for mentee in shuffle.sample(now[0], len(now[0])):
        pool.put_mentee(mentee)
    gone = {mentor.person.person_id for mentor in shuffle.sample(now[1], 20)}
    for one in gone | pool.mentor_ids - {m.person.person_id for m in now[1]}:
        pool.drop_mentor(one)

    anew = Pool(context, now[0], [m for m in now[1] if m.person.person_id not in gone])
    ids = [mentee.person.person_id for mentee in now[0]]
    assert pool.best_mentors(ids, 10) == anew.best_mentors(ids, 10)


def test_mentees_may_bring_more_features_than_the_mentors_had() -> None:
    codes = frozenset(f"topic {n}" for n in range(500))
    context = a_context(a_programme(weights=(("topics", 1.0),)))
    mentor = mentor_with(topics=frozenset({"lung"}))
    pool = Pool(context, (), [mentor])

    pool.put_mentee(mentee_with(topics=codes))

    arrays = pool.market
    assert arrays.mentees.rows.max() < arrays.mentors.tiles.shape[1]
    assert pool.best_mentors([person_id("mia")], 1)[0][0].score == 0


def test_people_break_every_rule_and_some_break_none() -> None:
    broken: Counter[str] = Counter()
    for seed in range(40):
        context, (mentees, mentors), _ = a_pool_of(seed)
        pool = Pool(context, mentees, mentors)
        for mentee in mentees:
            for mentor in mentors:
                rules = pool.broken(mentee.person.person_id, mentor.person.person_id)
                broken.update([rule.name for rule in rules] or ["none"])

    assert broken.keys() == {rule.name for rule in RULES} | {"none"}


def best(mentors: list[Mentor], context: Context | None = None) -> str | None:
    """The name of the one who fits best."""
    mentee = a_mentee()
    pool = Pool(context or a_context(), [mentee], mentors)
    (found,) = pool.best_mentors([mentee.person.person_id], 1)
    names = {person_id(name): name for name in "abcdefgh"}
    return names[found[0].person_id] if found else None


def test_the_best_eligible_mentor_is_chosen() -> None:
    poor = a_mentor("a", offers=frozenset({"publishing"}))
    full = a_mentor("b", seats=0)
    good = a_mentor("c")

    assert best([poor, full, good]) == "c"
    assert best([full]) is None
    assert best([]) is None


@settings(deadline=None)
@given(order=st.permutations(list("abcdefgh")))
def test_ties_are_broken_alike_in_whatever_order_people_come(order: list[str]) -> None:
    assert best([a_mentor(n) for n in order]) == best([a_mentor(n) for n in "abcdefgh"])


def test_another_version_of_the_criteria_draws_another_lot() -> None:
    winners = {
        best([a_mentor(n) for n in "abcdefgh"], a_context(a_programme(criteria_version=version)))
        for version in range(1, 9)
    }

    assert len(winners) > 1


def test_a_center_that_prefers_others_gets_its_own_only_as_a_last_resort() -> None:
    own = a_mentor("a", person=a_person("a"))
    other = a_mentor("b", offers=frozenset({"publishing"}))

    assert best([own, other]) == "b"
    assert best([own]) == "a"


def test_the_example_in_the_readme_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    code, printed = re.findall(r"```(?:python)?\n(.*?)```", readme, re.DOTALL)[:2]

    exec(code, {})  # noqa: S102 - our own page

    assert capsys.readouterr().out == printed


def test_what_was_compiled_is_kept_for_just_these_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    jit._stamp.cache_clear()
    before = jit._stamp()
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: read(path) + (b"#" if path.name == "rules.py" else b"")
    )
    jit._stamp.cache_clear()
    after = jit._stamp()
    monkeypatch.undo()
    jit._stamp.cache_clear()

    assert jit._stamp() == before != after
    assert before in scan.best_mentors._cache._cache_path  # type: ignore[attr-defined]


def test_what_was_compiled_is_read_where_nothing_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in an image: its disk is read-only and the folder is there."""

    def read_only(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    source = tmp_path / "kernel.py"
    source.write_text("def twice(x):\n    return 2 * x\n")
    namespace: dict[str, Any] = {}
    exec(compile(source.read_text(), str(source), "exec"), namespace)  # noqa: S102 - our own lines
    made = jit.compiled(namespace["twice"])
    assert made(4) == 8
    assert list(tmp_path.rglob("*.nbc"))
    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", read_only)

    again = jit.compiled(namespace["twice"])

    assert again(4) == 8
    assert again.stats.cache_hits == {again.signatures[0]: 1}
    assert again(4.5) == 9  # not kept, and no error

    monkeypatch.setattr(jit, "_stamp", lambda: "others")
    monkeypatch.setattr("os.makedirs", read_only)
    assert jit.compiled(namespace["twice"])(4) == 8
