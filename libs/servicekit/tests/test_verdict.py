from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from oncomentor_contracts.envelope import Envelope, Header
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.matching import Answer, MatchCleared, ResponseGiven
from oncomentor_contracts.profile import ProfileDeleted
from oncomentor_contracts.topics import INGRESS_RESPONSE, MATCHING_MATCH, PROFILE_PROFILE, Kind
from servicekit.hearing.verdict import Applied, Order, PassedOver, Unreadable, judge, order

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@dataclass(frozen=True)
class ARecord:
    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Header] = field(default_factory=list)
    partition: int = 0
    offset: int = 0


def an_envelope(**changes: object) -> Envelope:
    given = {
        "id": uuid7(NOW),
        "source": "/services/matching",
        "type": MatchCleared.TYPE,
        "subject": "11111111-1111-4111-8111-111111111111",
        "time": NOW,
        "sequence": 1,
    }
    return Envelope(**(given | changes))  # type: ignore[arg-type]


def a_record(envelope: Envelope, value: bytes | None, topic: str = "matching.match") -> ARecord:
    return ARecord(topic, envelope.subject.encode(), value, list(envelope.headers()))


def a_clearance(match_id: str) -> bytes:
    event = MatchCleared.model_validate(
        {"match_id": match_id, "institution_id": "harbor-test", "by": "policy"}
    )
    return event.model_dump_json().encode()


def test_a_well_formed_event_is_readable_and_keeps_its_envelope() -> None:
    envelope = an_envelope()

    verdict = judge(a_record(envelope, a_clearance(envelope.subject)), MATCHING_MATCH)

    assert isinstance(verdict, MatchCleared)
    assert verdict.envelope == envelope


def test_a_writer_that_the_topic_does_not_name_is_foreign() -> None:
    envelope = an_envelope(source="/services/scheduling")

    verdict = judge(a_record(envelope, a_clearance(envelope.subject)), MATCHING_MATCH)

    assert isinstance(verdict, Unreadable)
    assert verdict.reason_class == "foreign_source"


def test_a_center_may_not_speak_for_another_in_the_data_either() -> None:
    event = ResponseGiven(institution_id="ridge-test", match_id=uuid4(), answer=Answer.CLEAR)
    envelope = an_envelope(
        source="/institutions/harbor-test", type=event.TYPE, subject=event.subject, sequence=None
    )
    record = a_record(envelope, event.data(), "ingress.harbor-test.response")

    verdict = judge(record, INGRESS_RESPONSE)

    assert isinstance(verdict, Unreadable)
    assert verdict.problems[0][0] == "institution_id"


def test_a_type_newer_than_this_code_is_passed_over_from_the_network_and_refused_from_a_center() -> (
    None
):
    newer, strange = an_envelope(type="match.cleared.v2"), an_envelope(type="match.sung.v1")
    from_center = an_envelope(source="/institutions/harbor-test", type="response.given.v²")

    assert isinstance(judge(a_record(newer, b"{}"), MATCHING_MATCH), PassedOver)
    assert isinstance(judge(a_record(strange, b"{}"), MATCHING_MATCH), PassedOver)
    record = a_record(from_center, b"{}", "ingress.harbor-test.response")
    verdict = judge(record, INGRESS_RESPONSE)
    assert isinstance(verdict, Unreadable)
    assert verdict.reason_class == "unknown_type"


def test_a_known_type_on_another_topic_is_refused() -> None:
    envelope = an_envelope(type="profile.changed.v1")

    verdict = judge(a_record(envelope, b"{}"), MATCHING_MATCH)

    assert isinstance(verdict, Unreadable)


def test_what_is_told_of_a_record_fits_a_column_and_a_receipt_whatever_the_record_is() -> None:
    record = ARecord("matching.match", b"k", b"{}", [("ce_\x00" + "x" * 900, None)])

    verdict = judge(record, MATCHING_MATCH)

    assert isinstance(verdict, Unreadable)
    for field_name, rule in verdict.problems:
        assert "\x00" not in field_name + rule
        assert 1 <= len(field_name) <= 200
        assert 1 <= len(rule) <= 200


def test_a_null_value_is_a_deletion_only_for_a_deletions_type() -> None:
    person = "22222222-2222-4222-8222-222222222222"
    deletion = an_envelope(
        source="/services/profile", type=ProfileDeleted.TYPE, subject=person, sequence=4
    )
    cleared = an_envelope()

    verdict = judge(a_record(deletion, None, "profile.profile"), PROFILE_PROFILE)

    assert isinstance(verdict, ProfileDeleted)
    assert verdict == ProfileDeleted.received(deletion, None)
    assert isinstance(judge(a_record(cleared, None), MATCHING_MATCH), Unreadable)


def test_the_key_must_be_the_subject() -> None:
    envelope = an_envelope()
    record = ARecord(
        "matching.match", b"other", a_clearance(envelope.subject), list(envelope.headers())
    )

    verdict = judge(record, MATCHING_MATCH)

    assert isinstance(verdict, Unreadable)
    assert verdict.reason_class == "bad_key"


headers = st.lists(
    st.tuples(
        st.sampled_from(["ce_id", "ce_type", "ce_source", "ce_time", "content-type", "other"]),
        st.none() | st.binary(max_size=40),
    ),
    max_size=8,
)


@given(
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=60),
    headers=headers,
)
def test_no_record_whatever_it_is_makes_the_verdict_raise(
    key: bytes | None, value: bytes | None, headers: list[Header]
) -> None:
    verdict = judge(ARecord("matching.match", key, value, headers), MATCHING_MATCH)

    assert isinstance(verdict, Unreadable)


@given(
    value=st.binary(max_size=200) | st.recursive(st.just(b"1"), lambda x: x.map(b"[%b]".__mod__))
)
def test_no_value_makes_the_verdict_raise(value: bytes) -> None:
    verdict = judge(a_record(an_envelope(), value), MATCHING_MATCH)

    assert isinstance(verdict, Unreadable)


def test_deeply_nested_json_is_refused_and_does_not_raise() -> None:
    verdict = judge(a_record(an_envelope(), b"[" * 100_000), MATCHING_MATCH)

    assert isinstance(verdict, Unreadable)


@given(st.lists(st.integers(1, 6), max_size=30))
def test_on_fact_topics_only_one_two_three_is_ever_applied(sequences: list[int]) -> None:
    applied: list[int] = []
    last: Applied | None = None
    for sequence in sequences:
        envelope = an_envelope(sequence=sequence, id=UUID(int=sequence))
        if order(Kind.FACT, last, envelope) is Order.NEXT:
            applied.append(sequence)
            last = Applied(sequence, envelope.id)

    assert applied == list(range(1, len(applied) + 1))


@given(st.lists(st.integers(1, 6), max_size=30))
def test_on_state_topics_the_sequence_only_rises_and_the_greatest_wins(
    sequences: list[int],
) -> None:
    last: Applied | None = None
    for sequence in sequences:
        envelope = an_envelope(sequence=sequence, id=UUID(int=sequence))
        standing = order(Kind.STATE, last, envelope)
        assert standing in {Order.NEXT, Order.DUPLICATE}
        if standing is Order.NEXT:
            last = Applied(sequence, envelope.id)

    assert (last.sequence if last else 0) == max(sequences, default=0)


def test_the_same_sequence_with_another_id_is_a_fork() -> None:
    last = Applied(3, uuid4())

    assert order(Kind.FACT, last, an_envelope(sequence=3)) is Order.FORK
    assert order(Kind.STATE, last, an_envelope(sequence=3)) is Order.FORK
