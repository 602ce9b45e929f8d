from dataclasses import replace
from math import fsum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests.builders import (
    TAXONOMY,
    a_center,
    a_context,
    a_mentee,
    a_mentor,
    a_pair,
    a_person,
    a_programme,
    mentee_with,
    mentor_with,
)

from matching_service.domain.criteria import CRITERIA
from matching_service.domain.pool import Mentee, Mentor, Pair, Survivor
from matching_service.domain.score import score
from matching_service.domain.taxonomy import coverage, mutual
from oncomentor_contracts.matching import Contribution
from oncomentor_contracts.programme import Criterion

LANE = replace(
    a_programme(kind="survivorship"),
    weights=tuple((name, 1.0) for name in CRITERIA),
)
OPEN_LANE = a_center(survivor_lane=True)


def codes(*names: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(names))


SURVIVORS = st.none() | st.builds(
    Survivor,
    st.sampled_from(["LUAD", "LUSC", "IDC", "GB"]),
    treatments=codes("surgery", "chemotherapy", "radiation"),
    age_band=st.sampled_from([None, "20-29", "50-59"]),
    concerns=codes("fatigue", "sleep"),
    family_situation=codes("single", "partnered"),
)
PEOPLE = st.builds(
    a_person,
    st.sampled_from(["ann", "bob", "cai"]),
    st.just(OPEN_LANE),
    career_stage=st.sampled_from([None, "trainee", "fellow", "senior", "unheard_of"]),
    topics=codes("lung", "breast", "immunotherapy", "unheard_of"),
    methods=codes("clinical_trial", "single_cell"),
    communication_styles=codes("direct", "listening"),
    modalities=codes("virtual", "phone"),
    hours=st.sampled_from([(), ((1, 540, 600),), ((2, 540, 1020), (3, 540, 1020))]),
    survivor=SURVIVORS,
)
GOALS = codes("grant_writing", "publishing", "team_leadership")
PAIRS = st.builds(
    Pair,
    st.builds(Mentee, PEOPLE, GOALS, st.sampled_from(["whenever", "soon", "now", "unknown"])),
    st.builds(Mentor, PEOPLE, GOALS, st.integers(0, 3), st.integers(0, 3)),
)
WEIGHTS = st.lists(
    st.tuples(st.sampled_from([*CRITERIA, "unknown"]), st.floats(0, 1, width=16)), max_size=8
)


@settings(deadline=None)
@given(pair=PAIRS, weights=WEIGHTS, kind=st.sampled_from(["research", "survivorship"]))
def test_contributions_sum_to_the_score_and_fit_their_contract(
    pair: Pair, weights: Any, kind: str
) -> None:
    context = a_context(a_programme(kind=kind, weights=tuple(weights)))

    result = score(pair, context)

    assert 0 <= result.value <= 1
    assert abs(fsum(c.points for c in result.contributions) - result.value) <= 1e-9
    assert all(c.value is not None or c.points == 0 for c in result.contributions)
    for c in result.contributions:
        Contribution(
            criterion=Criterion(c.criterion),
            weight=min(1, c.weight),
            value=c.value,
            points=min(1, c.points),
            reason=c.reason,
        )


@settings(deadline=None)
@given(pair=PAIRS, weights=WEIGHTS)
def test_a_criterion_that_cannot_be_read_changes_nothing(pair: Pair, weights: Any) -> None:
    context = a_context(a_programme(weights=(("goals", 0.5), ("modality", 0.25))))
    silent = ("unknown", 0.25)
    with_it = replace(
        context, programme=replace(context.programme, weights=(*context.programme.weights, silent))
    )

    assert score(pair, with_it).value == pytest.approx(score(pair, context).value)


@settings(deadline=None)
@given(pair=PAIRS, factor=st.floats(0.01, 1))
def test_only_the_proportion_of_weights_counts(pair: Pair, factor: float) -> None:
    scaled = tuple((name, weight * factor) for name, weight in LANE.weights)

    assert score(pair, a_context(replace(LANE, weights=scaled))).value == pytest.approx(
        score(pair, a_context(LANE)).value
    )


def test_every_criterion_of_the_contract_is_scored() -> None:
    assert set(CRITERIA) == set(Criterion) - {Criterion.UNKNOWN}


def test_nothing_to_read_is_no_score() -> None:
    context = a_context(a_programme(weights=(("topics", 1.0),)))

    result = score(a_pair(), context)

    assert result.value == 0
    assert result.contributions[0].value is None


def test_missing_topics_leave_their_weight_to_goals() -> None:
    context = a_context(a_programme(weights=(("goals", 0.5), ("topics", 0.5))))

    result = score(a_pair(), context)

    assert result.value == 1
    assert [c.points for c in result.contributions] == [1, 0]
    assert [c.weight for c in result.contributions] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"lung"}, {"lung"}, 1.0),
        ({"lung"}, {"mesothelioma"}, 0.75 / 1.75),  # both thoracic, both solid tumours
        ({"lung"}, {"breast"}, 0.25 / 1.75),  # both solid tumours
        ({"lung"}, {"leukemia"}, 0.0),
        (set(), {"lung"}, 0.0),
        ({"thoracic"}, {"lung"}, 1.0),  # who looks for the branch is served by its leaf
    ],
)
def test_coverage_counts_by_the_branch_that_is_shared(
    ours: set[str], theirs: set[str], expected: float
) -> None:
    assert coverage(ours, theirs, TAXONOMY.topics) == pytest.approx(expected)


def test_all_of_it_is_no_more_than_all() -> None:
    everything = {"lung", "breast", "immunotherapy", "unheard_of"}

    assert coverage(everything, everything, TAXONOMY.topics) == 1


def test_a_topic_is_worth_most_where_it_is_for_both_sides() -> None:
    focused = mutual({"lung"}, {"lung"}, TAXONOMY.topics)
    spread = mutual({"lung"}, {"lung", "breast", "leukemia"}, TAXONOMY.topics)

    assert coverage({"lung"}, {"lung", "breast", "leukemia"}, TAXONOMY.topics) == 1
    assert focused == 1
    assert 0 < spread < 1


@pytest.mark.parametrize(
    ("mentee", "mentor", "best"),
    [("trainee", "fellow", True), ("trainee", "senior", False), ("senior", "trainee", False)],
)
def test_a_mentor_a_stage_or_two_ahead_fits_best(mentee: str, mentor: str, best: bool) -> None:
    context = a_context(a_programme(weights=(("career_stage", 1.0),)))

    pair = a_pair(mentee_with(career_stage=mentee), mentor_with(career_stage=mentor))

    assert (score(pair, context).value == 1) is best


def test_a_pair_is_worth_the_geometric_mean_of_what_each_side_gains() -> None:
    context = a_context(a_programme(weights=(("topics", 1.0),)))
    mentee, mentor = {"lung"}, {"lung", "leukemia"}

    result = score(
        a_pair(mentee_with(topics=frozenset(mentee)), mentor_with(topics=frozenset(mentor))),
        context,
    )

    gains = [coverage(*sides, TAXONOMY.topics) for sides in ((mentee, mentor), (mentor, mentee))]
    assert gains[0] == 1
    assert 0 < gains[1] < 1
    assert result.value == pytest.approx((gains[0] * gains[1]) ** 0.5)


def test_a_mentor_may_weigh_otherwise() -> None:
    alike = a_programme(weights=(("goals", 0.5), ("modality", 0.5)))
    cares_for_goals = replace(alike, mentor_weights=(("modality", 0.0),))
    pair = a_pair(
        mentee_with(modalities=frozenset({"virtual"})), mentor_with(modalities=frozenset({"phone"}))
    )

    assert score(pair, a_context(alike)).value == pytest.approx(0.5)
    assert score(pair, a_context(cares_for_goals)).value == pytest.approx(0.5**0.5)


def test_a_side_for_which_nothing_can_be_read_gains_as_the_other_does() -> None:
    programme = a_programme(
        weights=(("goals", 1.0), ("methods", 0.0)),
        mentor_weights=(("goals", 0.0), ("methods", 1.0)),
    )

    goals = frozenset({"grant_writing", "publishing"})
    result = score(a_pair(a_mentee(goals=goals)), a_context(programme))

    gain = coverage(goals, {"grant_writing"}, TAXONOMY.goals)
    assert 0 < gain < 1
    assert result.value == pytest.approx(gain)
    assert fsum(c.points for c in result.contributions) == pytest.approx(gain)


def test_who_is_in_a_hurry_gets_someone_with_room() -> None:
    context = a_context(a_programme(weights=(("urgency", 1.0),)))
    hurried = a_mentee(urgency="now")
    roomy, busy = a_mentor(seats=4), a_mentor(seats=4, seats_taken=3)

    values = [score(a_pair(hurried, mentor), context).value for mentor in (roomy, busy)]

    assert values == [1.0, 0.25]


SECRETS = Survivor(
    "LUAD",
    treatments=frozenset({"surgery", "car_t"}),
    age_band="30-39",
    years_since_treatment=3.5,
    family_situation=frozenset({"young_children"}),
    concerns=frozenset({"fertility"}),
)


def lane_pair(mentor: Survivor) -> Pair:
    return a_pair(
        mentee_with(center=OPEN_LANE, survivor=SECRETS),
        mentor_with(center=OPEN_LANE, survivor=mentor),
    )


def lane_score(mentor: Survivor) -> dict[str, tuple[float | None, str]]:
    contributions = score(lane_pair(mentor), a_context(LANE)).contributions
    return {c.criterion: (c.value, c.reason) for c in contributions}


def test_survivors_are_told_in_bands_and_never_as_they_are() -> None:
    told = repr(lane_score(SECRETS))

    assert lane_score(SECRETS)["cancer_type"] == (1.0, "same tumour family")
    for secret in ("LUAD", "surgery", "car_t", "30-39", "3.5", "young_children", "fertility"):
        assert secret not in told


def test_a_sibling_type_cannot_be_told_from_the_same_type() -> None:
    sibling = replace(SECRETS, cancer_type="LUSC")
    cousin = replace(SECRETS, cancer_type="SCLC")

    assert lane_score(sibling)["cancer_type"] == lane_score(SECRETS)["cancer_type"]
    assert lane_score(cousin)["cancer_type"] == (0.5, "related tumour family")
    assert lane_score(replace(SECRETS, cancer_type="AML"))["cancer_type"][0] == 0


@settings(deadline=None)
@given(mentor=SURVIVORS.filter(bool))
def test_the_lane_gives_no_finer_figure_than_three_bands(mentor: Survivor) -> None:
    names = ("cancer_type", "treatments", "age_band", "concerns", "family_situation")

    values = {lane_score(mentor)[name][0] for name in names}

    assert values <= {None, 0.0, 0.5, 1.0}


def test_what_a_survivor_declared_is_not_printed() -> None:
    assert repr(SECRETS) == "Survivor()"
    assert "LUAD" not in repr(lane_pair(SECRETS))


def test_other_programmes_do_not_score_what_survivors_declared() -> None:
    context = a_context(replace(LANE, kind="research"))

    contributions = score(lane_pair(SECRETS), context).contributions

    lane = [c for c in contributions if c.criterion in {"cancer_type", "treatments", "age_band"}]
    assert {(c.value, c.reason) for c in lane} == {(None, "not compared")}
