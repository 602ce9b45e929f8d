"""The committed schemas, samples and AsyncAPI document, held against the models and each other."""

import json
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from generate import main
from oncomentor_contracts.envelope import from_structured
from oncomentor_contracts.event import Event
from oncomentor_contracts.events import BY_TYPE, EVENTS
from oncomentor_contracts.institution import InstitutionSubmitted
from oncomentor_contracts.profile import PersonSubmitted
from oncomentor_contracts.programme import ProgrammeSubmitted
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.topics import TOPICS
from oncomentor_contracts.validation import (
    institution_problems,
    person_problems,
    programme_problems,
)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Instances = Callable[[Mapping[str, Any]], st.SearchStrategy[Any]]

CONTRACTS = Path(__file__).resolve().parents[1]
SAMPLES = sorted((CONTRACTS / "samples").glob("*/*.json"))
FULL_SAMPLES = [path for path in SAMPLES if path.name.endswith(".full.json")]
SUBMITTED = [path for path in SAMPLES if "submitted" in path.parent.name]
SCHEMAS = CONTRACTS / "schemas"
WRITERS = [
    path
    for path in sorted(SCHEMAS.glob("*/*.writer.json"))
    if not BY_TYPE[path.parent.name].TOMBSTONE  # they have no data
]


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


samples = pytest.mark.parametrize("path", SAMPLES, ids=named)
events = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.TYPE)


def schema(event_type: str, revision: str, side: str) -> Draft202012Validator:
    path = SCHEMAS / event_type / f"{revision}.{side}.json"
    return Draft202012Validator(json.loads(path.read_text()), format_checker=FormatChecker())


def received(path: Path) -> Event:
    envelope, data = from_structured(path.read_bytes())
    return BY_TYPE[path.parent.name].received(envelope, data)


def test_everything_generated_follows_from_the_models() -> None:
    assert main(["--check"]) == 0


@events
def test_every_event_has_both_schemas_and_a_bare_and_a_full_sample(event: type[Event]) -> None:
    there = {
        path.name
        for kind in ("schemas", "samples")
        for path in (CONTRACTS / kind / event.TYPE).glob(f"{event.REVISION}.*")
    }

    names = ("writer.json", "reader.json", "minimal.json", "full.json")
    assert there == {f"{event.REVISION}.{name}" for name in names}


@samples
def test_todays_models_read_every_sample_of_every_revision(path: Path) -> None:
    event = received(path)

    assert event.subject == event.envelope.subject
    assert event.topic_name


@samples
@pytest.mark.parametrize("side", ["writer", "reader"])
def test_every_sample_keeps_to_the_schemas_of_its_revision(path: Path, side: str) -> None:
    data = json.loads(path.read_text()).get("data")

    schema(path.parent.name, path.name.partition(".")[0], side).validate(data)


@samples
def test_what_our_models_write_keeps_to_the_writers_schema(path: Path) -> None:
    event = received(path)

    written = event.data()

    data = None if written is None else json.loads(written)
    schema(event.TYPE, str(event.REVISION), "writer").validate(data)


@pytest.mark.parametrize("path", FULL_SAMPLES, ids=named)
def test_a_full_sample_has_every_field_that_its_schema_has(path: Path) -> None:
    document = json.loads(path.read_text())
    writer = json.loads(
        (SCHEMAS / path.parent.name / path.name.replace("full", "writer")).read_text()
    )

    assert document.get("data", {}).keys() == writer.get("properties", {}).keys()


@pytest.mark.parametrize("path", SUBMITTED, ids=named)
def test_validation_finds_nothing_wrong_with_a_submitted_sample(path: Path) -> None:
    judges: Mapping[type[Event], Callable[..., list[Problem]]] = {
        PersonSubmitted: partial(person_problems, today=date(2026, 3, 2)),
        ProgrammeSubmitted: programme_problems,
        InstitutionSubmitted: institution_problems,
    }
    event = received(path)

    assert judges[type(event)](event) == []


def test_a_writers_schema_sees_a_misspelt_field_at_any_depth() -> None:
    path = CONTRACTS / "samples" / "person.submitted.v1" / "1.full.json"
    data = json.loads(path.read_text())["data"]
    data["profile"]["weekly_hours"][0]["week_day"] = 1

    assert not schema("person.submitted.v1", "1", "writer").is_valid(data)
    assert schema("person.submitted.v1", "1", "reader").is_valid(data)


def test_a_readers_schema_takes_a_word_that_is_not_known_yet() -> None:
    path = CONTRACTS / "samples" / "match.cleared.v1" / "1.full.json"
    data = {**json.loads(path.read_text())["data"], "by": "algorithm"}

    assert not schema("match.cleared.v1", "1", "writer").is_valid(data)
    assert schema("match.cleared.v1", "1", "reader").is_valid(data)


@pytest.mark.parametrize("path", WRITERS, ids=named)
@given(data=st.data())
@settings(UNHURRIED, max_examples=10)
def test_todays_models_read_what_the_writers_of_every_revision_may_write(
    path: Path, instances: Instances, data: st.DataObject
) -> None:
    writer = json.loads(path.read_text())

    written = data.draw(instances(writer))

    BY_TYPE[path.parent.name].model_validate_json(json.dumps(written))


@pytest.fixture(scope="module")
def asyncapi() -> Any:
    """The AsyncAPI document, read as YAML."""
    return yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())


def references(part: object) -> list[str]:
    if isinstance(part, list):
        return [reference for each in part for reference in references(each)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if "$ref" in part else []
    return [*own, *(reference for each in part.values() for reference in references(each))]


def test_every_reference_of_the_asyncapi_document_leads_somewhere(asyncapi: Any) -> None:
    for reference in references(asyncapi):
        place, _, pointer = reference.partition("#/")
        target = asyncapi
        for step in pointer.split("/") if pointer else ():
            target = target[step]

        assert (CONTRACTS / place).exists(), reference


def test_every_topic_is_a_channel_with_its_address_and_its_events(asyncapi: Any) -> None:
    channels = {channel["address"]: channel for channel in asyncapi["channels"].values()}

    assert channels.keys() == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        channel = channels[topic.name]
        assert set(channel["messages"]) == {e.TYPE for e in EVENTS if topic == e.TOPIC}
        assert ("parameters" in channel) is topic.is_template


def test_the_operations_are_what_each_principal_may_do(asyncapi: Any) -> None:
    names = {f"#/channels/{name}": part["address"] for name, part in asyncapi["channels"].items()}

    operations = {
        (operation["tags"][0]["name"], operation["action"], names[operation["channel"]["$ref"]])
        for operation in asyncapi["operations"].values()
    }

    sends = {(who, "send", topic.name) for topic in TOPICS for who in topic.writers}
    hears = {(who, "receive", topic.name) for topic in TOPICS for who in topic.readers}
    assert operations == sends | hears


@events
def test_every_message_says_its_headers_key_and_payload(event: type[Event], asyncapi: Any) -> None:
    message = asyncapi["components"]["messages"][event.TYPE]

    sample = CONTRACTS / "samples" / event.TYPE / f"{event.REVISION}.full.json"
    envelope, _ = from_structured(sample.read_bytes())
    headers = {name: value.decode() for name, value in envelope.headers()}
    Draft202012Validator(message["headers"]).validate(headers)
    assert headers.keys() - {"content-type"} == message["headers"]["properties"].keys()
    assert event.SUBJECT in message["bindings"]["kafka"]["key"]["description"]
    payload = message["payload"]["schema"]["$ref"]
    assert payload == f"./schemas/{event.TYPE}/{event.REVISION}.reader.json"
    assert (CONTRACTS / message["x-writer-schema"]).is_file()
