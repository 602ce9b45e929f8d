import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsoncompat import check_compat
from pydantic import Field, create_model

from compatibility import Break, breaks, successor
from containment import Containment
from oncomentor_contracts import topics
from oncomentor_contracts.event import Body, Code, Event, In, Instant, OpenEnum, PersonId
from oncomentor_contracts.matching import MatchCleared
from schemas import Schema, schemas_of

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Instances = Callable[[Schema], st.SearchStrategy[Any]]


class By(OpenEnum):
    PERSON = "person"
    POLICY = "policy"
    UNKNOWN = "unknown"


class ByMore(OpenEnum):
    PERSON = "person"
    POLICY = "policy"
    ALGORITHM = "algorithm"
    UNKNOWN = "unknown"


class ByPerson(OpenEnum):
    PERSON = "person"
    UNKNOWN = "unknown"


class Mail(Body):
    kind: Literal["mail"]
    address: Annotated[str, Field(max_length=100)]


class ShortMail(Body):
    kind: Literal["mail"]
    address: Annotated[str, Field(max_length=50)]


class Phone(Body):
    kind: Literal["phone"]
    number: str


class Letter(Body):
    kind: Literal["letter"]
    street: str


class Part(Body):
    weight: Annotated[float, Field(ge=0, le=1)]
    name: str


class PartWithNote(Part):
    note: str | None = None


class PartWithDuty(Part):
    duty: str


class PartOfWhole(Body):
    weight: Annotated[int, Field(ge=0, le=1)]
    name: str


class Chain(Body):
    name: Annotated[str, Field(max_length=20)]
    next: "Chain | None" = None


class ShortChain(Body):
    name: Annotated[str, Field(max_length=10)]
    next: "ShortChain | None" = None


def an_event(**fields: Any) -> type[Event]:
    """An event type with these fields beside its subject, as one of its revisions."""
    model: type[Event] = create_model(
        "Reviewed", __base__=Event, person_id=(PersonId, ...), **fields
    )
    model.TYPE = "person.reviewed.v1"
    model.TOPIC = topics.MATCHING_MATCH
    model.SUBJECT = "person_id"
    return model


def between(old: type[Event], new: type[Event]) -> list[Break]:
    return breaks("person.reviewed.v1", 1, schemas_of(old), schemas_of(new))


def with_field(kind: object, default: object = ...) -> type[Event]:
    return an_event(x=(kind, default))


NOTHING = an_event()
Limited = Annotated[str, Field(min_length=1, max_length=100, pattern="^[a-z]+$")]
Listed = Annotated[tuple[int, ...], Field(min_length=1, max_length=5)]

PASSES = {
    "nothing": (with_field(Limited), with_field(Limited)),
    "an added optional field": (NOTHING, with_field(str | None, None)),
    "an added field with a default": (NOTHING, with_field(int, 3)),
    "a removed optional field": (with_field(str | None, None), NOTHING),
    "an added word": (with_field(By), with_field(ByMore)),
    "an added optional field in a list": (
        with_field(tuple[Part, ...]),
        with_field(tuple[PartWithNote, ...]),
    ),
    "a reworded description": (
        with_field(Annotated[str, Field(description="This.")]),
        with_field(Annotated[str, Field(description="That.")]),
    ),
    "a model that holds itself": (with_field(Chain), with_field(Chain)),
}

REFUSED = {
    "a removed word": (with_field(By), with_field(ByPerson), "x", "known_values"),
    "a word that was free text": (with_field(str), with_field(By), "x", "known_values"),
    "free text that was a word": (with_field(By), with_field(str), "x", "known_values"),
    "a word closed": (with_field(By), with_field(Literal["person", "policy"]), "x", "enum"),
    "a closed word added": (
        with_field(Literal["a"]),
        with_field(Literal["a", "b"]),
        "x",
        "enum",
    ),
    "a closed word removed": (
        with_field(Literal["a", "b"]),
        with_field(Literal["a"]),
        "x",
        "enum",
    ),
    "a narrowed type": (with_field(float), with_field(int), "x", "type"),
    "a widened type": (with_field(int), with_field(float), "x", "type"),
    "another type": (with_field(int), with_field(str), "x", "type"),
    "null taken away": (with_field(str | None), with_field(str), "x", "type"),
    "null added": (with_field(str), with_field(str | None), "x", "type"),
    "a single value made a list": (with_field(str), with_field(tuple[str, ...]), "x", "type"),
    "a new required field": (NOTHING, with_field(str), "x", "required"),
    "a removed required field": (with_field(str), NOTHING, "x", "required"),
    "an optional field required": (with_field(str, "a"), with_field(str), "x", "required"),
    "a required field optional": (with_field(str), with_field(str, "a"), "x", "required"),
    "another default": (with_field(int, 3), with_field(int, 4), "x", "default"),
    "a tightened length": (
        with_field(Annotated[str, Field(max_length=100)]),
        with_field(Annotated[str, Field(max_length=50)]),
        "x",
        "maxLength",
    ),
    "a loosened length": (
        with_field(Annotated[str, Field(max_length=100)]),
        with_field(Annotated[str, Field(max_length=200)]),
        "x",
        "maxLength",
    ),
    "an added length": (
        with_field(str),
        with_field(Annotated[str, Field(min_length=1)]),
        "x",
        "minLength",
    ),
    "an added pattern": (
        with_field(str),
        with_field(Annotated[str, Field(pattern="^[a-z]+$")]),
        "x",
        "pattern",
    ),
    "another pattern": (
        with_field(Annotated[str, Field(pattern="^[a-z0-9]+$")]),
        with_field(Annotated[str, Field(pattern="^[a-z]+$")]),
        "x",
        "pattern",
    ),
    "another format": (with_field(PersonId), with_field(Instant), "x", "format"),
    "a raised minimum": (
        with_field(Annotated[int, Field(ge=0)]),
        with_field(Annotated[int, Field(ge=1)]),
        "x",
        "minimum",
    ),
    "a lowered maximum": (
        with_field(Annotated[int, Field(le=10)]),
        with_field(Annotated[int, Field(le=5)]),
        "x",
        "maximum",
    ),
    "a step": (
        with_field(int),
        with_field(Annotated[int, Field(multiple_of=5)]),
        "x",
        "multipleOf",
    ),
    "fewer items": (
        with_field(Listed),
        with_field(Annotated[tuple[int, ...], Field(min_length=1, max_length=3)]),
        "x",
        "maxItems",
    ),
    "other items": (with_field(tuple[int, ...]), with_field(tuple[str, ...]), "x[]", "type"),
    "a required field in a list": (
        with_field(tuple[Part, ...]),
        with_field(tuple[PartWithDuty, ...]),
        "x[].duty",
        "required",
    ),
    "a narrowed field in a part": (with_field(Part), with_field(PartOfWhole), "x.weight", "type"),
    "a narrowed field in an optional part": (
        with_field(Part | None, None),
        with_field(PartOfWhole | None, None),
        "x.weight",
        "type",
    ),
    "narrower values in a map": (
        with_field(dict[str, Annotated[int, Field(le=9)]]),
        with_field(dict[str, Annotated[int, Field(le=5)]]),
        "x.*",
        "maximum",
    ),
    "an alternative taken away": (with_field(Mail | Phone), with_field(Mail), "x.kind", "enum"),
    "an alternative added": (
        with_field(Mail | Phone),
        with_field(Mail | Phone | Letter),
        "x.kind",
        "enum",
    ),
    "an alternative narrowed": (
        with_field(Annotated[Mail | Phone, Field(discriminator="kind")]),
        with_field(Annotated[ShortMail | Phone, Field(discriminator="kind")]),
        "x.address",
        "maxLength",
    ),
    "a narrowed link of a chain": (
        with_field(Chain),
        with_field(ShortChain),
        "x.name",
        "maxLength",
    ),
    "another vocabulary": (
        with_field(Annotated[Code, In("goal")]),
        with_field(Annotated[Code, In("topic")]),
        "x",
        "vocabulary",
    ),
}
FOUND_BY_US_ALONE = {
    # jsoncompat passes over patterns and formats
    "an added pattern",
    "another pattern",
    "another format",
    # both readers take any text; which words they know is our own keyword
    "a removed word",
    "a word that was free text",
    "free text that was a word",
    # both take the event, which means something else now
    "another default",
    "another vocabulary",
}


@pytest.mark.parametrize("change", PASSES)
def test_a_compatible_change_passes(change: str) -> None:
    assert between(*PASSES[change]) == []


@pytest.mark.parametrize("change", REFUSED)
def test_a_breaking_change_is_refused_naming_event_field_and_rule(change: str) -> None:
    old, new, field, rule = REFUSED[change]

    found = between(old, new)

    assert (field, rule) in {(each.field, each.rule) for each in found}
    sentence = next(each.sentence for each in found if (each.field, each.rule) == (field, rule))
    assert sentence.startswith(f"person.reviewed.v1, field {field}: ")
    assert sentence.endswith("or say person.reviewed.v2 beside it")
    assert f"({rule})" in sentence or "was removed from the known values" in sentence


def test_a_removed_word_is_told_in_one_plain_sentence() -> None:
    class Cleared(MatchCleared):
        by: ByPerson  # type: ignore[assignment] # the change is the point

    found = breaks("match.cleared.v1", 1, schemas_of(MatchCleared), schemas_of(Cleared))

    assert [each.sentence for each in found] == [
        "match.cleared.v1, field by: value 'policy' was removed from the known values; "
        "keep it, or say match.cleared.v2 beside it"
    ]


def test_a_new_required_field_is_told_by_who_leaves_it_out() -> None:
    (found,) = between(NOTHING, with_field(str))

    assert found.sentence == (
        "person.reviewed.v1, field x: an event of revision 1 may hold nothing, but today's reader "
        "takes only events that have it (required); take the change back, "
        "or say person.reviewed.v2 beside it"
    )


def test_a_removed_required_field_is_told_by_who_misses_it() -> None:
    (found,) = between(with_field(str), NOTHING)

    assert "an event written today may hold nothing, but a reader of revision 1" in found.sentence


@pytest.mark.parametrize("attribute", ["TOPIC", "SUBJECT"])
def test_an_event_stays_on_its_topic_and_keeps_its_subject(attribute: str) -> None:
    moved = an_event()
    setattr(moved, attribute, {"TOPIC": topics.PROFILE_KEY, "SUBJECT": "match_id"}[attribute])

    rules = {each.rule for each in between(NOTHING, moved)}

    assert rules == {attribute.lower()}


def test_a_deletion_stays_a_deletion() -> None:
    deletion = an_event()
    deletion.TOMBSTONE = True

    assert {each.rule for each in between(deletion, NOTHING)} == {"type"}
    assert {each.rule for each in between(NOTHING, deletion)} == {"type"}


@pytest.mark.parametrize("change", REFUSED)
def test_each_of_the_two_judges_finds_what_it_is_there_for(change: str) -> None:
    old, new, _, _ = REFUSED[change]

    agreed = [
        check_compat(anonymous(writer), anonymous(reader), "deserializer")
        for writer, reader in (
            (schemas_of(old).writer, schemas_of(new).reader),
            (schemas_of(new).writer, schemas_of(old).reader),
        )
    ]

    assert all(agreed) is (change in FOUND_BY_US_ALONE)


@pytest.mark.parametrize("change", sorted(REFUSED.keys() - {"an alternative narrowed"}))
def test_jsoncompat_finds_nothing_that_we_cannot_name(change: str) -> None:
    old, new, _, _ = REFUSED[change]

    assert [each for each in between(old, new) if each.rule == "jsoncompat"] == []


def test_what_only_jsoncompat_finds_is_refused_too() -> None:
    # A tagged union is `oneOf` in JSON Schema: that a shorter address still matches exactly one
    # alternative follows from the tags, which jsoncompat does not weigh. The stricter one counts.
    old, new, _, _ = REFUSED["an alternative narrowed"]

    (unnamed,) = [each for each in between(old, new) if each.rule == "jsoncompat"]

    assert unnamed.sentence == (
        "person.reviewed.v1, some field: jsoncompat finds that a reader of revision 1 refuses an "
        "event written today (jsoncompat); compare the two schemas, "
        "or say person.reviewed.v2 beside it"
    )


def anonymous(schema: Schema) -> str:
    return json.dumps({name: part for name, part in schema.items() if name != "$id"})


@pytest.mark.parametrize("change", [name for name in PASSES if "itself" not in name])
@given(data=st.data())
@settings(UNHURRIED, max_examples=20)
def test_what_either_writes_the_other_reads(
    change: str, instances: Instances, data: st.DataObject
) -> None:
    old, new = PASSES[change]

    written_then = data.draw(instances(schemas_of(old).writer))
    written_now = data.draw(instances(schemas_of(new).writer))

    new.model_validate_json(json.dumps(written_then))
    old.model_validate_json(json.dumps(written_now))


def test_a_gap_of_a_hostile_keyword_is_never_passed_over() -> None:
    writer, reader = {"type": "string"}, {"type": "string", "contentEncoding": "base64"}

    (gap,) = Containment(writer, reader).gaps()

    assert gap.rule == "contentEncoding"


@pytest.mark.parametrize(
    ("event_type", "next_type"),
    [("match.cleared.v1", "match.cleared.v2"), ("a.b.v9", "a.b.v10")],
)
def test_the_successor_of_a_type_counts_on(event_type: str, next_type: str) -> None:
    assert successor(event_type) == next_type
