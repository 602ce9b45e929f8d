import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings import http, kafka
from cloudevents.core.formats.json import JSONFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oncomentor_contracts import envelope as envelope_module
from oncomentor_contracts.envelope import (
    Envelope,
    EnvelopeError,
    Header,
    from_headers,
    from_structured,
)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EVENT_ID = UUID("019cadc6-9a80-75e1-8d2a-dbd3f45a4cd8")

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=512)
envelopes = st.builds(
    Envelope,
    id=st.uuids(),
    source=st.from_regex(r"\A/(institutions|services)/[a-z0-9][a-z0-9-]{2,39}\Z"),
    type=texts,
    subject=texts,
    time=st.datetimes(timezones=st.just(UTC)),
    sequence=st.none() | st.integers(1, 2**63 - 1),
    dataschema=st.none() | texts,
    traceparent=st.none() | texts,
    correlationid=st.none() | texts,
    causationid=st.none() | texts,
)
short = st.text(st.characters(codec="utf-8"), max_size=20)
relayed = st.builds(
    Envelope,
    id=st.uuids(),
    source=st.sampled_from(
        ["/services/profile", "/institutions/north-cancer-center", "/services/x"]
    ),
    type=short,
    subject=short,
    time=st.datetimes(timezones=st.just(UTC)),
    sequence=st.integers(0, 2**63),
    dataschema=short,
    traceparent=short,
    correlationid=short,
    causationid=short,
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=5,
)


def an_envelope(**changed: Any) -> Envelope:
    return Envelope(
        **{
            "id": EVENT_ID,
            "source": "/institutions/north-cancer-center",
            "type": "person.submitted.v1",
            "subject": "eb77208d-0c48-8965-9ba1-c152e3f4062d",
            "time": NOW,
            "sequence": 3,
            **changed,
        }
    )


def headers(*more: Header, without: str = "") -> list[Header]:
    return [*((n, v) for n, v in an_envelope().headers() if n != without), *more]


def a_document(**changed: object) -> bytes:
    return json.dumps({**an_envelope().attributes(), "data": {}, **changed}).encode()


@UNHURRIED
@given(envelopes)
def test_kafka_headers_carry_the_whole_envelope(envelope: Envelope) -> None:
    assert from_headers(envelope.headers()) == envelope


@UNHURRIED
@given(envelopes, documents.filter(lambda data: data is not None))
def test_a_structured_document_carries_the_envelope_and_the_data(
    envelope: Envelope, data: object
) -> None:
    received, received_data = from_structured(envelope.structured(json.dumps(data).encode()))

    assert received == envelope
    assert received_data is not None
    assert json.loads(received_data) == data


@UNHURRIED
@given(envelopes)
def test_a_deletion_has_no_data_in_a_structured_document(envelope: Envelope) -> None:
    document = envelope.structured(None)

    assert "data" not in json.loads(document)
    assert from_structured(document) == (envelope, None)


@UNHURRIED
@given(st.lists(st.tuples(st.text(), st.none() | st.binary())))
def test_headers_from_anyone_give_an_envelope_or_an_envelope_error(noise: list[Header]) -> None:
    named = "nothing was refused"
    try:
        from_headers(headers(*noise))
    except EnvelopeError as error:
        named = error.attribute

    assert named


@UNHURRIED
@given(st.binary() | documents.map(lambda data: json.dumps(data).encode()))
def test_documents_from_anyone_give_an_envelope_or_an_envelope_error(document: bytes) -> None:
    with pytest.raises(EnvelopeError):
        from_structured(document)


spoilt = st.sampled_from(
    [b"", b"\x00", b"\xff", b"1.0", b"0", b"-1", b"01", b"2026-02-30T00:00:00Z", b"2026-02-03Z",
     b"2026-02-03T04:05:06+01:00", b"/services/x", b"application/json; charset=utf-8", b"x" * 600,
     "\u0661".encode(), b"urn:uuid:eb77208d-0c48-8965-9ba1-c152e3f4062d", None]
)  # fmt: skip


@UNHURRIED
@given(relayed, st.data())
def test_the_quick_way_of_reading_headers_never_differs_from_the_careful_one(
    envelope: Envelope, data: st.DataObject
) -> None:
    given_headers: list[Header] = list(envelope.headers())
    for _ in range(data.draw(st.integers(0, 3))):
        nth = data.draw(st.integers(0, len(given_headers) - 1))
        match data.draw(st.sampled_from(["spoil", "drop", "double", "add"])):
            case "spoil":
                given_headers[nth] = given_headers[nth][0], data.draw(spoilt | st.binary())
            case "drop" if len(given_headers) > 1:
                del given_headers[nth]
            case "double":
                given_headers.append(given_headers[nth])
            case _:
                given_headers.append(("ce_newer", data.draw(spoilt)))

    quick = envelope_module._as_relayed(tuple(given_headers), UUID)

    if quick is not None:
        assert quick == envelope_module._spelt_otherwise(tuple(given_headers))


def test_what_our_own_relay_writes_is_read_the_quick_way() -> None:
    envelope = an_envelope(
        dataschema="urn:oncomentor:schema:person.submitted.v1:1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        correlationid=str(EVENT_ID),
        causationid=str(EVENT_ID),
    )

    assert envelope_module._as_relayed(tuple(envelope.headers()), UUID) == envelope


def test_headers_of_others_are_passed_over() -> None:
    others: list[Header] = [
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("b3", b"\xff\x00"),
        ("relay", None),
        ("relay", None),
    ]

    assert from_headers(headers(*others)) == an_envelope()


def test_attributes_that_a_newer_writer_adds_are_passed_over() -> None:
    assert from_headers(headers(("ce_region", b"eu"))) == an_envelope()


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        (("ce_correlationid", None), "null"),
        (("ce_correlationid", b"\xff\xfe"), "UTF-8"),
        (("ce_correlationid", b"a\x00b"), "PostgreSQL"),
        (("ce_correlationid", b"x" * 513), "longer than 512"),
        (("ce_subject", b"twice"), "twice"),
    ],
)
def test_a_header_that_cannot_be_kept_is_refused(header: Header, rule: str) -> None:
    with pytest.raises(EnvelopeError, match=rule) as refused:
        from_headers(headers(header))

    assert refused.value.attribute.removeprefix("ce_") == header[0].removeprefix("ce_")


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "subject", "time"])
def test_a_missing_attribute_is_named(missing: str) -> None:
    with pytest.raises(EnvelopeError, match="is missing") as refused:
        from_headers(headers(without=f"ce_{missing}"))

    assert refused.value.attribute == missing


@pytest.mark.parametrize(
    ("attribute", "text", "rule"),
    [
        ("specversion", "0.3", "must be 1.0"),
        ("id", "42", "UUID"),
        ("source", "/institutions/North", "/institutions/<id>"),
        ("source", "/institutions/north\n", "/institutions/<id>"),
        ("source", "/strangers/north", "/institutions/<id>"),
        ("time", "yesterday", "RFC 3339"),
        ("time", "2026-03-02T09:00:00", "offset"),
        ("time", "0001-01-01T00:00:00+14:00", "RFC 3339"),
        ("sequence", "0", "2\\^63"),
        ("sequence", "-1", "2\\^63"),
        ("sequence", "1.5", "2\\^63"),
        ("sequence", "9223372036854775808", "2\\^63"),
        ("sequence", "9" * 400, "2\\^63"),
        ("sequence", "\u0663", "2\\^63"),
        ("subject", "a\u0000b", "PostgreSQL"),
        ("subject", "\ud800", "PostgreSQL"),
        ("subject", "x" * 513, "longer"),
        ("subject", "", "missing"),
        ("subject", None, "must be text"),
        ("subject", ["a"], "must be text"),
    ],
)
def test_a_malformed_attribute_is_named_with_its_rule(
    attribute: str, text: object, rule: str
) -> None:
    with pytest.raises(EnvelopeError, match=rule) as refused:
        from_structured(a_document(**{attribute: text}))

    assert refused.value.attribute == attribute


@pytest.mark.parametrize("content_type", [b"text/plain", b"application/cloudevents+json", b""])
def test_another_content_type_is_refused(content_type: bytes) -> None:
    with pytest.raises(EnvelopeError, match="must be application/json"):
        from_headers(headers(("content-type", content_type), without="content-type"))


@pytest.mark.parametrize("content_type", [b"application/json; charset=utf-8", b"Application/JSON"])
def test_the_content_type_may_be_spelt_in_any_way(content_type: bytes) -> None:
    spelt = headers(("content-type", content_type), without="content-type")

    assert from_headers(spelt) == an_envelope()


@pytest.mark.parametrize(
    "changed", [{"datacontenttype": "application/xml"}, {"data_base64": "e30="}]
)
def test_data_that_is_not_json_is_refused(changed: Mapping[str, str]) -> None:
    # Were `data_base64` passed over, an event with data would read as a deletion.
    with pytest.raises(EnvelopeError, match="must be JSON"):
        from_structured(a_document(**changed))


def test_the_time_is_read_in_utc() -> None:
    envelope, _ = from_structured(a_document(time="2026-03-02T18:00:00+09:00"))

    assert envelope.time == NOW
    assert envelope.time.tzinfo is UTC


def test_a_center_and_a_service_are_told_apart_by_their_source() -> None:
    assert an_envelope().institution_id == "north-cancer-center"
    assert an_envelope(source="/services/matching").institution_id is None


def test_the_cloudevents_library_reads_our_kafka_records() -> None:
    record = kafka.KafkaMessage(
        headers=dict(an_envelope().headers()), key=None, value=b'{"answer": "clear"}'
    )

    event = kafka.from_binary(record, JSONFormat())

    assert event.get_id() == str(EVENT_ID)
    assert event.get_time() == NOW
    assert event.get_datacontenttype() == "application/json"
    assert event.get_extension("sequence") == "3"
    assert event.get_data() == {"answer": "clear"}


def test_we_read_the_kafka_records_of_the_cloudevents_library() -> None:
    ours = kafka.KafkaMessage(headers=dict(an_envelope().headers()), key=None, value=b"{}")

    theirs = kafka.to_binary(kafka.from_binary(ours, JSONFormat()), JSONFormat())

    assert from_headers(theirs.headers.items()) == an_envelope()


def test_the_cloudevents_library_reads_our_http_documents_and_we_read_its() -> None:
    body = an_envelope().structured(b'{"answer":"clear"}')
    message = http.HTTPMessage({"content-type": "application/cloudevents+json"}, body)

    event = http.from_structured(message, JSONFormat())
    theirs = http.to_structured(event, JSONFormat())

    assert event.get_subject() == an_envelope().subject
    assert from_structured(theirs.body) == (an_envelope(), b'{"answer":"clear"}')
