from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oncomentor_contracts.institution import InstitutionSubmitted
from oncomentor_contracts.profile import (
    ContactBlock,
    PersonSubmitted,
    Purpose,
    SurvivorBlock,
)
from oncomentor_contracts.programme import ProgrammeChanged, ProgrammeSubmitted
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation import (
    LIMIT,
    consents_to,
    contact_problems,
    institution_problems,
    person_problems,
    programme_problems,
    survivor_problems,
)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TODAY = date(2026, 3, 2)
PERSON_ID = "eb77208d-0c48-8965-9ba1-c152e3f4062d"
MATCHING = {"purpose": "matching", "text_version": "1", "given_at": "2026-02-01T10:00:00Z"}
SURVIVOR = {**MATCHING, "purpose": "survivor_data"}
WITHDRAWN = {**MATCHING, "withdrawn_at": "2026-02-20T10:00:00Z"}
SEALED = "e30..YQ.YQ.YQ"

Found = list[tuple[str, str]]


def a_person(*, sealed_survivor: str | None = None, **profile: Any) -> PersonSubmitted:
    fields = {
        "profession": "medical_oncologist",
        "languages": ["pt"],
        "time_zone": "Europe/Lisbon",
        "consents": [MATCHING],
        **profile,
    }
    return PersonSubmitted.model_validate(
        {
            "institution_id": "north",
            "person_id": PERSON_ID,
            "profile": fields,
            "sealed_contact": SEALED,
            "sealed_survivor": sealed_survivor,
        }
    )


def a_programme(**changed: Any) -> ProgrammeSubmitted:
    fields = {
        "institution_id": "north",
        "programme_id": "early-career",
        "owner": "north",
        "name": "Early career",
        "kind": "research",
        "weights": [{"criterion": "goals", "weight": 1}],
        **changed,
    }
    return ProgrammeSubmitted.model_validate(fields)


def an_institution(policy: object = None, **changed: Any) -> InstitutionSubmitted:
    fields = {
        "institution_id": "north",
        "name": "North",
        "time_zone": "Europe/Lisbon",
        "jurisdiction": "PT",
        "policy": policy or {},
        **changed,
    }
    return InstitutionSubmitted.model_validate(fields)


def a_contact(**changed: Any) -> ContactBlock:
    fields = {"display_name": "Ana Example", "email": "ana@mail.invalid", **changed}
    return ContactBlock.model_validate(fields)


def hours(weekday: int, starts: str, ends: str) -> dict[str, object]:
    return {"weekday": weekday, "starts": starts, "ends": ends}


def told(problems: list[Problem]) -> Found:
    return [(problem.field, problem.rule) for problem in problems]


def found(person: PersonSubmitted, **known: Any) -> Found:
    return told(person_problems(person, today=TODAY, **known))


def test_nothing_is_said_of_a_person_who_is_well() -> None:
    person = a_person(
        career_stage="mid_career",
        degrees=["md", "phd"],
        languages=["pt", "en-GB"],
        communication_styles=["direct"],
        topics=["melanoma"],
        methods=["clinical_trial"],
        training=[{"code": "mentor_basics", "completed_on": "2026-03-01"}],
        weekly_hours=[
            hours(1, "09:00", "12:00"),
            hours(1, "12:00", "00:00"),
            hours(2, "00:00", "00:00"),
        ],
        consents=[WITHDRAWN, MATCHING, SURVIVOR],
        mentor_roles=[{"programme_id": "early-career", "offers": ["grant_writing"]}],
        mentee_roles=[{"programme_id": "leaders", "goals": ["promotion"]}],
        blocked_person_ids=["d53d873e-11b2-87dd-b426-ae76b47391a6"],
        sealed_survivor=SEALED,
    )

    assert found(person, programme_ids={"early-career", "leaders"}) == []


@pytest.mark.parametrize(
    ("profile", "field", "rule", "nearest"),
    [
        ({"profession": "oncologist"}, "profession", "unknown_code", "medical_oncologist"),
        ({"career_stage": "postdoc"}, "career_stage", "unknown_code", "fellow"),
        ({"degrees": ["md", "msc"]}, "degrees[1]", "unknown_code", "master"),
        ({"languages": ["pt", "por"]}, "languages[1]", "unknown_language", "pt"),
        ({"time_zone": "Europe/Lisboa"}, "time_zone", "unknown_zone", "Europe/Lisbon"),
        ({"communication_styles": ["frank"]}, "communication_styles[0]", "unknown_code", "direct"),
        ({"topics": ["melanomas"]}, "topics[0]", "unknown_code", "melanoma"),
        ({"methods": ["crispr"]}, "methods[0]", "unknown_code", "gene_editing"),
        (
            {"training": [{"code": "gcp", "completed_on": "2026-01-01"}]},
            "training[0].code",
            "unknown_code",
            "good_clinical_practice",
        ),
        (
            {"mentor_roles": [{"programme_id": "p1", "offers": ["grants"]}]},
            "mentor_roles[0].offers[0]",
            "unknown_code",
            "grant_writing",
        ),
        (
            {"mentee_roles": [{"programme_id": "p1", "goals": ["promotions"]}]},
            "mentee_roles[0].goals[0]",
            "unknown_code",
            "promotion",
        ),
    ],
)
def test_a_word_that_does_not_exist_is_told_with_the_nearest_that_does(
    profile: dict[str, Any], field: str, rule: str, nearest: str
) -> None:
    problems = person_problems(a_person(**profile), today=TODAY)

    assert told(problems) == [(f"profile.{field}", rule)]
    assert problems[0].suggestions[0] == nearest
    assert "'" in problems[0].message
    assert problems[0].fix.startswith("use ")


@pytest.mark.parametrize(
    ("profile", "field", "words"),
    [
        ({"state": "resting"}, "profile.state", "active, paused"),
        (
            {"modalities": ["virtual", "pigeon"]},
            "profile.modalities[1]",
            "virtual, in_person, phone",
        ),
        (
            {"mentee_roles": [{"programme_id": "p1", "urgency": "unknown"}]},
            "profile.mentee_roles[0].urgency",
            "whenever, soon, now",
        ),
        (
            {"consents": [MATCHING, {**MATCHING, "purpose": "marketing"}]},
            "profile.consents[1].purpose",
            "matching, survivor_data, contact_on_match, statistics",
        ),
    ],
)
def test_an_unknown_value_from_a_submitter_is_told_with_the_known_ones(
    profile: dict[str, Any], field: str, words: str
) -> None:
    problems = person_problems(a_person(**profile), today=TODAY)

    assert told(problems) == [(field, "unknown_value")]
    assert problems[0].fix == f"use one of: {words}"


@pytest.mark.parametrize(
    ("weekly", "expected"),
    [
        ([hours(1, "10:00", "09:00")], [("[0].ends", "ends_before_start")]),
        ([hours(1, "09:00", "09:00")], [("[0].ends", "ends_before_start")]),
        ([hours(1, "09:00", "11:00"), hours(1, "10:59:59", "12:00")], [("[1]", "overlap")]),
        ([hours(1, "22:00", "00:00"), hours(1, "23:00", "23:30")], [("[1]", "overlap")]),
        ([hours(1, "10:00", "11:00"), hours(1, "09:00", "12:00")], [("[0]", "overlap")]),
        (
            [hours(1, "09:00", "18:00"), hours(1, "10:00", "11:00"), hours(1, "12:00", "13:00")],
            [("[1]", "overlap"), ("[2]", "overlap")],
        ),
        ([hours(1, "09:00", "11:00"), hours(2, "10:00", "12:00")], []),
    ],
)
def test_weekly_hours_end_after_they_start_and_do_not_overlap(
    weekly: list[dict[str, object]], expected: Found
) -> None:
    assert found(a_person(weekly_hours=weekly)) == [
        (f"profile.weekly_hours{place}", rule) for place, rule in expected
    ]


minutes = st.integers(0, 1439)


@UNHURRIED
@given(st.lists(st.tuples(st.integers(1, 2), minutes, minutes), max_size=6))
def test_an_overlap_is_told_exactly_where_two_hours_share_a_minute(
    weekly: list[tuple[int, int, int]],
) -> None:
    spans = [(day, min(a, b), max(a, b) + 1) for day, a, b in weekly]
    written = [hours(day, clock(start), clock(end)) for day, start, end in spans]

    rules = [rule for _, rule in found(a_person(weekly_hours=written))]

    shared = any(
        a[0] == b[0] and a[1] < b[2] and b[1] < a[2]
        for index, a in enumerate(spans)
        for b in spans[index + 1 :]
    )
    assert ("overlap" in rules) is shared
    assert set(rules) <= {"overlap"}


def clock(minute: int) -> str:
    return f"{minute // 60 % 24:02}:{minute % 60:02}"


def test_a_person_has_one_role_for_each_programme() -> None:
    role = {"programme_id": "p1"}

    person = a_person(mentor_roles=[role, {"programme_id": "p2"}, role])

    assert found(person) == [("profile.mentor_roles[2].programme_id", "duplicate_role")]


def test_a_person_is_on_one_side_of_a_programme() -> None:
    person = a_person(
        mentor_roles=[{"programme_id": "p1"}],
        mentee_roles=[{"programme_id": "p2"}, {"programme_id": "p1"}],
    )

    assert found(person) == [("profile.mentee_roles[1].programme_id", "both_sides")]


def test_a_programme_must_exist_where_the_existing_ones_are_known() -> None:
    person = a_person(mentor_roles=[{"programme_id": "early-carer"}])

    problems = person_problems(person, today=TODAY, programme_ids={"early-career", "leaders"})

    assert told(problems) == [("profile.mentor_roles[0].programme_id", "unknown_programme")]
    assert problems[0].suggestions == ("early-career",)
    assert found(person) == []


@pytest.mark.parametrize("consents", [[], [WITHDRAWN], [SURVIVOR]])
def test_nobody_is_taken_in_without_consent_to_matching(consents: list[object]) -> None:
    person = a_person(consents=consents)

    assert found(person) == [("profile.consents", "consent_missing")]
    assert not consents_to(person.profile, Purpose.MATCHING)


@pytest.mark.parametrize("consents", [[MATCHING], [MATCHING, {**SURVIVOR, **WITHDRAWN}]])
def test_a_survivor_block_needs_a_consent_of_its_own(consents: list[object]) -> None:
    person = a_person(consents=consents, sealed_survivor=SEALED)

    assert found(person) == [("sealed_survivor", "consent_missing")]


@pytest.mark.parametrize(
    ("profile", "field", "rule"),
    [
        (
            {"training": [{"code": "boundaries", "completed_on": "2026-03-04"}]},
            "training[0].completed_on",
            "in_the_future",
        ),
        (
            {"consents": [{**MATCHING, "given_at": "2026-03-04T00:00:00Z"}]},
            "consents[0].given_at",
            "in_the_future",
        ),
        (
            {"consents": [MATCHING, {**WITHDRAWN, "given_at": "2026-02-21T00:00:00Z"}]},
            "consents[1].withdrawn_at",
            "ends_before_start",
        ),
        (
            {
                "training": [
                    {
                        "code": "boundaries",
                        "completed_on": "2026-02-02",
                        "valid_until_on": "2026-02-01",
                    }
                ]
            },
            "training[0].valid_until_on",
            "ends_before_start",
        ),
    ],
)
def test_days_stand_in_an_order_that_can_be(profile: dict[str, Any], field: str, rule: str) -> None:
    assert found(a_person(**profile)) == [(f"profile.{field}", rule)]


def test_it_may_be_tomorrow_already_where_the_person_is() -> None:
    person = a_person(training=[{"code": "boundaries", "completed_on": "2026-03-03"}])

    assert found(person) == []


def test_nobody_blocks_themselves() -> None:
    person = a_person(blocked_person_ids=["d53d873e-11b2-87dd-b426-ae76b47391a6", PERSON_ID])

    assert found(person) == [("profile.blocked_person_ids[1]", "blocks_self")]


def test_a_hostile_record_costs_no_more_than_its_first_problems() -> None:
    person = a_person(degrees=[f"degree{n}" for n in range(100_000)])

    assert len(person_problems(person, today=TODAY)) == LIMIT


def test_a_contact_that_is_well_has_no_problems() -> None:
    # The zero-width non-joiner is how Persian spells this name.
    contact = a_contact(display_name="علی\u200cرضا", pronouns="they/them", locale="fa-IR")

    assert contact_problems(contact) == []


@pytest.mark.parametrize(
    ("changed", "field", "rule"),
    [
        ({"locale": "xx"}, "locale", "unknown_language"),
        ({"display_name": "Ana\r\nBcc: all@mail.invalid"}, "display_name", "control_character"),
        ({"phone": "1\u20282"}, "phone", "control_character"),
        ({"pronouns": "a\tb"}, "pronouns", "control_character"),
    ],
)
def test_a_contact_problem_repeats_nothing_of_the_contact(
    changed: dict[str, str], field: str, rule: str
) -> None:
    problems = contact_problems(a_contact(**changed))

    assert told(problems) == [(field, rule)]
    said = problems[0].model_dump_json()
    assert not any(value in said for value in changed.values())
    assert problems[0].suggestions == ()


def test_a_survivor_block_is_held_to_its_vocabularies() -> None:
    block = SurvivorBlock.model_validate(
        {
            "cancer_type": "luad",
            "treatments": ["chemo"],
            "age_band_at_diagnosis": "35",
            "family_situation": ["married"],
            "concerns": ["recurrence"],
            "readiness": "eager",
        }
    )

    problems = survivor_problems(block)

    assert told(problems) == [
        ("cancer_type", "unknown_code"),
        ("treatments[0]", "unknown_code"),
        ("age_band_at_diagnosis", "unknown_code"),
        ("family_situation[0]", "unknown_code"),
        ("concerns[0]", "unknown_code"),
        ("readiness", "unknown_value"),
    ]
    assert problems[0].suggestions[0] == "LUAD"
    assert problems[1].suggestions[0] == "chemotherapy"


def test_nothing_is_said_of_a_survivor_block_that_is_well() -> None:
    block = SurvivorBlock.model_validate({"cancer_type": "LUAD", "treatments": ["surgery"]})

    assert survivor_problems(block) == []


@pytest.mark.parametrize(
    ("changed", "field", "rule"),
    [
        ({"kind": "gardening"}, "kind", "unknown_value"),
        ({"mode": "lottery"}, "mode", "unknown_value"),
        ({"owner": "south"}, "owner", "not_owner"),
        ({"owner": "consortium"}, "owner", "not_owner"),
        ({"participants": ["south"]}, "participants", "owner_left_out"),
        ({"required_training": ["gcp"]}, "required_training[0]", "unknown_code"),
        ({"weights": []}, "weights", "no_weight"),
        ({"weights": [{"criterion": "goals", "weight": 0}]}, "weights", "no_weight"),
        (
            {"weights": [{"criterion": "goals", "weight": 1}, {"criterion": "hair", "weight": 1}]},
            "weights[1].criterion",
            "unknown_value",
        ),
        (
            {"weights": [{"criterion": "goals", "weight": 1}, {"criterion": "goals", "weight": 0}]},
            "weights[1].criterion",
            "duplicate_criterion",
        ),
        (
            {
                "weights": [
                    {"criterion": "goals", "weight": 1},
                    {"criterion": "topics", "weight": 9e-7},
                ]
            },
            "weights[1].weight",
            "weight_too_small",
        ),
        (
            {"weights": [{"criterion": "cancer_type", "weight": 1}]},
            "weights[0].criterion",
            "survivor_criterion",
        ),
    ],
)
def test_a_programme_that_cannot_run_is_told_why(
    changed: dict[str, Any], field: str, rule: str
) -> None:
    assert told(programme_problems(a_programme(**changed))) == [(field, rule)]


def test_survivors_facts_count_in_survivorship_programmes() -> None:
    programme = a_programme(
        kind="survivorship", weights=[{"criterion": "cancer_type", "weight": 1}]
    )

    assert programme_problems(programme) == []


def test_the_consortium_defines_programmes_of_its_own() -> None:
    fields = a_programme(owner="consortium", participants=["south"]).model_dump()

    assert programme_problems(ProgrammeChanged.model_validate(fields)) == []


@pytest.mark.parametrize(
    ("institution", "field", "rule"),
    [
        (an_institution(time_zone="Europe/Lisboa"), "time_zone", "unknown_zone"),
        (an_institution(jurisdiction="EU"), "jurisdiction", "unknown_country"),
        (an_institution(state="asleep"), "state", "unknown_value"),
        (an_institution({"clearance": "maybe"}), "policy.clearance", "unknown_value"),
        (
            an_institution({"jurisdictions_allowed": ["PT", "XX"]}),
            "policy.jurisdictions_allowed[1]",
            "unknown_country",
        ),
        (
            an_institution({"partners_allowed": ["north"]}),
            "policy.partners_allowed[0]",
            "own_partner",
        ),
        (
            an_institution({"partners_allowed": ["south"], "partners_refused": ["south"]}),
            "policy.partners_refused[0]",
            "allowed_and_refused",
        ),
    ],
)
def test_a_center_that_contradicts_itself_is_told_where(
    institution: InstitutionSubmitted, field: str, rule: str
) -> None:
    assert told(institution_problems(institution)) == [(field, rule)]


def test_nothing_is_said_of_a_center_that_is_well() -> None:
    assert institution_problems(an_institution()) == []
