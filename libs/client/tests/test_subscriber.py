from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from aiokafka import ConsumerRecord

from oncomentor_client.journal import Verdict
from oncomentor_client.message import answer_of
from oncomentor_client.responder import response
from oncomentor_client.subscriber import understood
from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.matching import Answer, ClearedBy, MatchCleared
from oncomentor_contracts.receipt import Outcome, Problem, ReceiptAccepted, ReceiptRejected

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MATCH = UUID(int=5)


def record(value: bytes | None, headers: list[tuple[str, bytes]]) -> ConsumerRecord[Any, Any]:
    return ConsumerRecord(
        topic="matching.match", partition=0, offset=7, timestamp=1_000, timestamp_type=0,
        key=b"k", value=value, checksum=None, serialized_key_size=1, serialized_value_size=0,
        headers=headers,
    )  # fmt: skip


def headers(kind: str = MatchCleared.TYPE, subject: str = str(MATCH)) -> list[tuple[str, bytes]]:
    return Envelope(
        id=UUID(int=1), source="/services/matching", type=kind, subject=subject, time=NOW,
        sequence=1,
    ).headers()  # fmt: skip


def test_an_event_is_parsed() -> None:
    event = MatchCleared(match_id=MATCH, institution_id="harbor-demo", by=ClearedBy.POLICY)

    received = understood(record(event.data(), headers()))

    assert received.event is not None
    assert received.event.data() == event.data()
    assert received.fault is None
    assert received.offset == 7


@pytest.mark.parametrize(
    ("value", "given", "fault"),
    [
        (b"{}", headers(kind="match.invented.v1"), "not known to this release"),
        (b"{}", headers(), "breaks the contract of match.cleared.v1 at"),
        (b"\xff{", headers(), "breaks the contract"),
        (None, headers(), "deletion"),
        (b"{}", [], "is missing"),
        (b"{}", [("ce_id", b"\xff")], "UTF-8"),
    ],
)
def test_what_is_not_understood_comes_out_with_the_reason(
    value: bytes | None, given: list[tuple[str, bytes]], fault: str
) -> None:
    received = understood(record(value, given))

    assert received.event is None
    assert fault in (received.fault or "")
    assert received.value == value


def test_receipts_are_answers_and_other_events_are_not() -> None:
    told = Problem(field="f", rule="r", message="m", fix="x")
    accepted = ReceiptAccepted(
        institution_id="harbor-demo", receipt_for=str(UUID(int=1)), event_type="t", about="a",
        outcome=Outcome.DUPLICATE, at=NOW,
    )  # fmt: skip
    rejected = ReceiptRejected(
        institution_id="harbor-demo", receipt_for=str(UUID(int=2)), problems=(told,), at=NOW
    )
    unreadable = rejected.model_copy(update={"receipt_for": "ingress.x.profile/0/3"})

    answers = [answer_of(one) for one in (accepted, rejected, unreadable)]

    assert [one and one.verdict for one in answers] == [Verdict.ACCEPTED, Verdict.REJECTED, None]
    assert answers[1] is not None
    assert answers[1].problems == (told,)


def test_an_answer_given_twice_is_one_event() -> None:
    person = UUID(int=9)

    first = response("harbor-demo", MATCH, Answer.ACCEPT, person)
    second = response("harbor-demo", MATCH, Answer.ACCEPT, person)
    other = response("harbor-demo", MATCH, Answer.DECLINE, person)

    assert first.envelope.id == second.envelope.id != other.envelope.id
    assert first.topic == "ingress.harbor-demo.response"
    assert first.key == str(MATCH).encode()
