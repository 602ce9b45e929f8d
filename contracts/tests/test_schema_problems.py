import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from oncomentor_contracts.profile import ContactBlock, PersonSubmitted, WeeklyHours
from oncomentor_contracts.programme import ProgrammeSubmitted
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation import LIMIT, problems_of

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PERSON = {
    "institution_id": "north",
    "person_id": "eb77208d-0c48-8965-9ba1-c152e3f4062d",
    "profile": {"profession": "pharmacist", "languages": ["pt"], "time_zone": "Europe/Lisbon"},
    "sealed_contact": "e30..YQ.YQ.YQ",
}
PROGRAMME = {
    "institution_id": "north",
    "programme_id": "early-career",
    "owner": "north",
    "name": "Early career",
    "kind": "research",
    "weights": [{"criterion": "goals", "weight": 1}],
}


def told(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.field, problem.rule) for problem in problems]


def refused(model: type[BaseModel], data: object) -> list[Problem]:
    with pytest.raises(ValidationError) as error:
        model.model_validate_json(data if isinstance(data, bytes) else json.dumps(data))
    return problems_of(error.value)


@pytest.mark.parametrize(
    ("changed", "field", "rule", "fix"),
    [
        ({"kind": None}, "kind", "wrong_type", "give one of the known words"),
        ({"name": ""}, "name", "too_short", "give 1 or more"),
        ({"name": "x" * 201}, "name", "too_long", "shorten it to 200"),
        ({"name": "a\x00"}, "name", "nul_character", "take it out"),
        ({"name": 7}, "name", "wrong_type", "give text"),
        (
            {"programme_id": "Early Career"},
            "programme_id",
            "wrong_format",
            "write it like early-career",
        ),
        (
            {"required_training": ["?"]},
            "required_training[0]",
            "wrong_format",
            "make it match ^[A-Za-z",
        ),
        ({"institution_id": "kit"}, "institution_id", "reserved_word", "choose another id"),
        ({"cadence_days": 0}, "cadence_days", "too_small", "give 1 or more"),
        ({"cadence_days": 400}, "cadence_days", "too_large", "give 366 or less"),
        ({"cadence_days": "often"}, "cadence_days", "wrong_type", "give a whole number"),
        ({"cadence_days": 1.5}, "cadence_days", "wrong_type", "give a whole number"),
        ({"active": "perhaps"}, "active", "wrong_type", "give true or false"),
        ({"weights": 3}, "weights", "wrong_type", "give a list"),
        ({"weights": [3]}, "weights[0]", "wrong_type", "give an object"),
        ({"weights": [{"criterion": "goals"}]}, "weights[0].weight", "missing", "add the field"),
        (
            {"weights": [{"criterion": "goals", "weight": "heavy"}]},
            "weights[0].weight",
            "wrong_type",
            "give a number",
        ),
    ],
)
def test_a_schema_error_is_told_as_a_problem_with_a_fix(
    changed: dict[str, Any], field: str, rule: str, fix: str
) -> None:
    problems = refused(ProgrammeSubmitted, {**PROGRAMME, **changed})

    assert told(problems) == [(field, rule)]
    assert problems[0].fix.startswith(fix)


@pytest.mark.parametrize(
    ("changed", "field", "rule"),
    [
        ({"person_id": "me"}, "person_id", "wrong_type"),
        ({"sealed_contact": "plain"}, "sealed_contact", "wrong_format"),
        ({"sealed_contact": "." * 4 + "a" * 65536}, "sealed_contact", "too_long"),
        ({"profile": None}, "profile", "wrong_type"),
    ],
)
def test_a_path_leads_to_the_field(changed: dict[str, Any], field: str, rule: str) -> None:
    problems = refused(PersonSubmitted, {**PERSON, **changed})

    assert told(problems) == [(field, rule)]


def test_an_hour_with_an_offset_is_told_so() -> None:
    problems = refused(WeeklyHours, {"weekday": 1, "starts": "09:00Z", "ends": "25:00"})

    assert told(problems) == [("starts", "wrong_type"), ("ends", "wrong_type")]
    assert "zone" in problems[0].fix


def test_text_that_is_no_json_is_one_problem_of_the_data() -> None:
    assert told(refused(PersonSubmitted, b"{")) == [("data", "not_json")]


def test_the_path_of_an_unsealed_block_starts_where_it_was_sealed() -> None:
    with pytest.raises(ValidationError) as error:
        ContactBlock.model_validate({"email": "x"})

    problems = problems_of(error.value, under="sealed_contact")

    assert told(problems) == [
        ("sealed_contact.display_name", "missing"),
        ("sealed_contact.email", "wrong_format"),
    ]


secrets = st.text(st.characters(codec="utf-8"), min_size=4)


@UNHURRIED
@given(secrets, secrets)
def test_a_schema_error_never_repeats_what_was_sent(name: str, email: str) -> None:
    contact = {"display_name": [f"§{name}§"], "email": f"§{email}§", "phone": {f"§{name}§": 1}}

    said = json.dumps([each.model_dump() for each in refused(ContactBlock, contact)])

    assert "\\u00a7" not in said


def test_a_thousand_schema_errors_are_told_as_the_first_few() -> None:
    problems = refused(ProgrammeSubmitted, {"weights": [{}] * 1000})

    assert len(problems) == LIMIT


@UNHURRIED
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(sorted(ProgrammeSubmitted.model_fields)), inner)
        ),
        max_leaves=20,
    )
)
def test_whatever_is_sent_is_taken_or_told_as_problems(data: object) -> None:
    problems: list[Problem] = []
    try:
        ProgrammeSubmitted.model_validate(data)
    except ValidationError as error:
        problems = problems_of(error)

    assert all(problem.fix for problem in problems)
