from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests.builders import (
    NORTH,
    SOUTH,
    a_center,
    a_context,
    a_mentee,
    a_mentor,
    a_pair,
    a_person,
    a_programme,
    mentee_with,
    mentor_with,
    person_id,
)

from matching_service.domain.pool import Context, Mentee, Mentor, Pair, Survivor, Training
from matching_service.domain.rules.book import (
    RULES,
    checked,
    first_broken,
    first_broken_since,
    worth_opening,
)
from matching_service.domain.rules.rule import NOTHING_IN_THE_WAY, Cause

MIA, MAX = person_id("mia"), person_id("max")
LANE = a_programme(kind="survivorship")


def broken(pair: Pair, context: Context | None = None) -> str | None:
    rule = first_broken(pair, context or a_context())
    return rule.name if rule else None


def centers(mentees: dict[str, Any], mentors: dict[str, Any] | None = None) -> Pair:
    return a_pair(
        mentee_with(center=a_center(NORTH, **mentees)),
        mentor_with(center=a_center(SOUTH, **(mentors or {}))),
    )


def survivors(mentee: Survivor | None, mentor: Survivor | None, **changes: Any) -> Pair:
    lane = a_center(survivor_lane=True)
    return a_pair(
        mentee_with(center=lane, survivor=mentee, **changes),
        mentor_with(center=replace(lane, institution_id=SOUTH), survivor=mentor),
    )


READY = Survivor("IDC", years_since_treatment=3)


def test_an_ordinary_pair_breaks_no_rule() -> None:
    assert broken(a_pair()) is None


def test_every_rule_is_named_once_with_a_fact_that_fits_its_contract() -> None:
    facts = checked(a_pair(), a_context())

    names = [fact.rule for fact in facts]
    assert len(set(names)) == len(names) == len(RULES)
    assert all(1 <= len(fact.fact) <= 200 for fact in facts)


@pytest.mark.parametrize(
    ("rule", "pair"),
    [
        ("two-people", a_pair(a_mentee(), a_mentor(person=a_person("mia")))),
        (
            "two-people",
            a_pair(mentee_with(identity_tokens={"orcid"}), mentor_with(identity_tokens={"orcid"})),
        ),
        ("both-active", a_pair(mentee_with(active=False))),
        ("both-active", a_pair(None, mentor_with(active=False))),
        ("centers-active", centers({"active": False})),
        ("centers-active", centers({}, {"active": False})),
        ("never-before", a_pair(a_mentee(met_before=frozenset({MAX})))),
        (
            "no-conflict",
            a_pair(mentee_with(conflict_tokens={"npi"}), mentor_with(identity_tokens={"npi"})),
        ),
        (
            "no-conflict",
            a_pair(mentee_with(identity_tokens={"npi"}), mentor_with(conflict_tokens={"npi"})),
        ),
        ("not-blocked", a_pair(mentee_with(blocked_person_ids=frozenset({MAX})))),
        ("not-blocked", a_pair(None, mentor_with(blocked_person_ids=frozenset({MIA})))),
        ("independent", a_pair(mentee_with(lab_key="lab"), mentor_with(lab_key="lab"))),
        (
            "independent",
            a_pair(
                mentee_with(reporting_line_keys=frozenset({"a", "b"})),
                mentor_with(reporting_line_keys=frozenset({"b"})),
            ),
        ),
        (
            "independent",
            a_pair(mentee_with(unit_key="u"), mentor_with(evaluated_unit_keys=frozenset({"u"}))),
        ),
        (
            "independent",
            a_pair(mentee_with(evaluated_unit_keys=frozenset({"u"})), mentor_with(unit_key="u")),
        ),
        ("consents", a_pair(mentee_with(consents=frozenset({"statistics"})))),
        ("consents", a_pair(None, mentor_with(consents=frozenset()))),
        ("cross-institution", centers({"cross_institution": "unknown"})),
        ("partners", centers({"partners_refused": frozenset({SOUTH})})),
        ("partners", centers({}, {"partners_allowed": frozenset({"west-center"})})),
        ("jurisdictions", centers({"jurisdictions_allowed": frozenset({"FR"})})),
        ("jurisdictions", centers({}, {"jurisdictions_allowed": frozenset({"DE"})})),
        ("profile-age", centers({"max_profile_age": timedelta(days=9)})),
        ("profile-age", centers({}, {"max_profile_age": timedelta(days=9)})),
        ("shared-language", a_pair(mentee_with(languages=("pt-BR",)))),
        ("seat-free", a_pair(None, a_mentor(seats=2, seats_taken=2))),
        ("seat-free", a_pair(None, a_mentor(seats=1, seats_taken=3))),
        ("seat-free", a_pair(None, a_mentor(seats=0))),
        ("common-hours", a_pair(mentee_with(hours=((6, 540, 1020),)))),
        ("common-hours", a_pair(mentee_with(hours=()))),
        ("common-hours", a_pair(mentee_with(time_zone="Mars/Olympus"))),
    ],
)
def test_a_pair_that_breaks_a_rule_is_refused_by_that_rule(rule: str, pair: Pair) -> None:
    assert broken(pair) == rule


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"kind": "unknown"},
        {"mode": "unknown"},
        {"participants": frozenset({NORTH})},
    ],
)
def test_a_programme_that_matches_nobody_now_has_no_pairs(changes: dict[str, Any]) -> None:
    assert broken(a_pair(), a_context(a_programme(**changes))) == "programme-open"


@pytest.mark.parametrize("mode", ["open", "round", "choose"])
def test_however_pairs_come_about_the_rules_are_the_same(mode: str) -> None:
    assert broken(a_pair(), a_context(a_programme(mode=mode))) is None


def test_a_pair_of_one_center_needs_neither_center_to_require_another() -> None:
    one_center = mentor_with(center=a_center(NORTH))

    assert broken(a_pair(None, one_center)) is None
    required = mentee_with(center=a_center(NORTH, cross_institution="required"))
    assert broken(a_pair(required, one_center)) == "cross-institution"


def test_a_center_that_refuses_every_partner_still_has_pairs_of_its_own() -> None:
    alone = a_center(NORTH, partners_allowed=frozenset(), jurisdictions_allowed=frozenset())

    pair = a_pair(mentee_with(center=alone), mentor_with(center=alone))

    assert broken(pair) is None


@pytest.mark.parametrize(
    ("record", "allowed"),
    [
        (Training("mentor_basics", date(2025, 1, 1)), True),
        (Training("mentor_basics", date(2025, 1, 1), date(2026, 3, 2)), True),
        (Training("mentor_basics", date(2025, 1, 1), date(2026, 3, 1)), False),
        (Training("mentor_basics", date(2026, 3, 3)), False),
        (Training("boundaries", date(2025, 1, 1)), False),
    ],
)
def test_a_required_training_counts_on_the_days_it_is_valid(
    record: Training, allowed: bool
) -> None:
    context = a_context(a_programme(required_training=("mentor_basics",)))

    pair = a_pair(None, mentor_with(training=(record,)))

    assert broken(pair, context) == (None if allowed else "training")


@pytest.mark.parametrize(("left", "allowed"), [(None, False), (119, False), (120, True)])
def test_a_programme_may_ask_for_protected_minutes(left: int | None, allowed: bool) -> None:
    context = a_context(a_programme(protected_minutes_month=120))

    pair = a_pair(None, a_mentor(minutes_left=left))

    assert broken(pair, context) == (None if allowed else "protected-minutes")


def test_languages_are_shared_whatever_the_region() -> None:
    pair = a_pair(mentee_with(languages=("pt-BR",)), mentor_with(languages=("en", "pt-PT")))

    facts = {fact.rule: fact.fact for fact in checked(pair, a_context())}

    assert broken(pair) is None
    assert facts["shared-language"] == "both speak pt"


@pytest.mark.parametrize(
    ("rule", "pair"),
    [
        ("survivor-lane", a_pair(mentee_with(survivor=READY), mentor_with(survivor=READY))),
        ("survivors-ready", survivors(None, READY)),
        ("survivors-ready", survivors(READY, replace(READY, ready=False))),
        ("past-treatment", survivors(READY, replace(READY, years_since_treatment=0.9))),
        ("past-treatment", survivors(READY, replace(READY, years_since_treatment=None))),
        ("consents", survivors(READY, READY, consents=frozenset({"matching"}))),
        (None, survivors(replace(READY, years_since_treatment=0.1), READY)),
    ],
)
def test_the_survivor_lane_has_rules_of_its_own(rule: str | None, pair: Pair) -> None:
    assert broken(pair, a_context(LANE)) == rule


def test_no_other_programme_asks_what_a_survivor_declared() -> None:
    not_ready = replace(READY, ready=False, years_since_treatment=0.0)

    assert broken(survivors(not_ready, not_ready)) is None


def test_blocks_are_opened_only_where_no_other_rule_is_broken() -> None:
    closed = survivors(None, None)

    assert worth_opening(closed, a_context(LANE))
    refused = replace(closed, mentor=a_mentor(seats=0))
    assert not worth_opening(refused, a_context(LANE))


def test_blind_rules_all_read_alike() -> None:
    facts = {fact.rule: fact.fact for fact in checked(a_pair(), a_context())}

    blind = {"no-conflict", "not-blocked", "never-before"}
    assert {facts[name] for name in blind} == {NOTHING_IN_THE_WAY}
    assert {rule.name for rule in RULES if rule.cause is Cause.BLIND} <= blind


def test_the_facts_of_the_lane_tell_nothing_that_a_survivor_declared() -> None:
    pair = survivors(Survivor("LUAD", years_since_treatment=0.2), READY)

    told = " ".join(fact.fact for fact in checked(pair, a_context(LANE)))

    assert not any(secret in told for secret in ("LUAD", "IDC", "0.2", "3"))


def test_room_is_not_judged_again_once_a_proposal_is_out() -> None:
    full = a_pair(a_mentee(met_before=frozenset({MAX})), a_mentor(seats=1, seats_taken=1))

    assert first_broken_since(full, a_context()) is None


def test_an_unreadable_block_decides_nothing_about_an_open_proposal() -> None:
    pair = survivors(None, READY, survivor_unreadable=True)
    left = replace(pair, mentee=replace(pair.mentee, person=a_person("mia", active=False)))

    assert first_broken_since(pair, a_context(LANE)) is None
    rule = first_broken_since(left, a_context(LANE))
    assert rule is not None
    assert rule.cause is Cause.PAUSED


NAMES = st.sampled_from(["mia", "max"])
TOKENS = st.frozensets(st.sampled_from(["a", "b"]))
KEYS = st.sampled_from([None, "a", "b"])
CENTERS = st.builds(
    a_center,
    st.sampled_from([NORTH, SOUTH]),
    active=st.booleans(),
    cross_institution=st.sampled_from(["required", "preferred", "any", "unknown"]),
    partners_allowed=st.none() | st.frozensets(st.sampled_from([NORTH, SOUTH])),
    partners_refused=st.frozensets(st.sampled_from([NORTH, SOUTH])),
    jurisdictions_allowed=st.none() | st.frozensets(st.sampled_from(["PT", "DE"])),
)
PEOPLE = st.builds(
    a_person,
    NAMES,
    CENTERS,
    active=st.booleans(),
    languages=st.sampled_from([("en",), ("pt", "de"), ("pt-BR",)]),
    lab_key=KEYS,
    unit_key=KEYS,
    reporting_line_keys=TOKENS,
    evaluated_unit_keys=TOKENS,
    blocked_person_ids=st.frozensets(NAMES.map(person_id)),
    identity_tokens=TOKENS,
    conflict_tokens=TOKENS,
    hours=st.sampled_from([(), ((1, 540, 600),), ((1, 570, 700), (2, 0, 1440))]),
)
ONE_SIDED = {"never-before", "training", "seat-free", "protected-minutes", "past-treatment"}
"""Rules that ask something of the mentor or of the mentee alone."""


@settings(deadline=None)
@given(one=PEOPLE, other=PEOPLE)
def test_rules_between_two_people_do_not_depend_on_who_is_the_mentor(one: Any, other: Any) -> None:
    context = a_context()
    pair = Pair(Mentee(one), Mentor(other))
    turned = Pair(Mentee(other), Mentor(one))

    for rule in RULES:
        if rule.name not in ONE_SIDED:
            assert rule.holds(pair, context) == rule.holds(turned, context), rule.name
