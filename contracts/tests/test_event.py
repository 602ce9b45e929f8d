import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import ValidationError

from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.events import BY_TYPE, EVENTS
from oncomentor_contracts.institution import InstitutionChanged
from oncomentor_contracts.matching import ClearedBy, MatchCleared
from oncomentor_contracts.profile import ProfileDeleted, WeeklyHours
from oncomentor_contracts.receipt import ReceiptAccepted

MATCH_ID = UUID("cea2adb2-0619-8788-bd5b-303ef059fcfa")
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def an_envelope(event_type: str = "match.cleared.v1", subject: str = str(MATCH_ID)) -> Envelope:
    return Envelope(
        id=UUID("019cadc6-9a80-75e1-8d2a-dbd3f45a4cd8"),
        source="/services/matching",
        type=event_type,
        subject=subject,
        time=NOW,
        sequence=1,
    )


def a_clearance(by: str = "person", **more: object) -> bytes:
    fields = {"match_id": str(MATCH_ID), "institution_id": "north", "by": by, **more}
    return json.dumps(fields).encode()


def test_what_was_said_is_what_is_received() -> None:
    said = MatchCleared(match_id=MATCH_ID, institution_id="north", by=ClearedBy.POLICY)

    received = MatchCleared.received(an_envelope(), said.data())

    assert received.model_dump() == said.model_dump()
    assert received.envelope == an_envelope()


def test_an_event_that_has_not_travelled_has_no_envelope() -> None:
    said = MatchCleared(match_id=MATCH_ID, institution_id="north", by=ClearedBy.POLICY)

    with pytest.raises(ValueError, match="was not received"):
        _ = said.envelope


def test_a_deletion_travels_as_no_data_at_all() -> None:
    said = ProfileDeleted(person_id=MATCH_ID)

    received = ProfileDeleted.received(an_envelope("profile.deleted.v1"), said.data())

    assert said.data() is None
    assert received.person_id == MATCH_ID


@pytest.mark.parametrize(("event", "data"), [(ProfileDeleted, b"{}"), (MatchCleared, None)])
def test_only_a_deletion_comes_without_data(event: type[Event], data: bytes | None) -> None:
    with pytest.raises(ValueError, match="only a deletion"):
        event.received(an_envelope(event.TYPE), data)


def test_the_subject_must_be_the_field_it_names() -> None:
    with pytest.raises(ValueError, match="subject must equal match_id"):
        MatchCleared.received(an_envelope(subject="another"), a_clearance())


def test_a_word_that_a_newer_writer_knows_reads_as_unknown() -> None:
    received = MatchCleared.received(an_envelope(), a_clearance(by="algorithm"))

    assert received.by is ClearedBy.UNKNOWN


def test_a_field_that_a_newer_writer_adds_is_passed_over() -> None:
    received = MatchCleared.received(an_envelope(), a_clearance(because="of the weather"))

    assert received.by is ClearedBy.PERSON


def test_instants_are_read_in_utc() -> None:
    accepted = ReceiptAccepted.model_validate(
        {
            "institution_id": "north",
            "receipt_for": "1",
            "event_type": "person.submitted.v1",
            "about": "2",
            "outcome": "applied",
            "at": "2026-03-02T18:00:00+09:00",
        }
    )

    assert accepted.at.isoformat() == "2026-03-02T09:00:00+00:00"


@pytest.mark.parametrize("starts", ["09:00Z", "09:00+02:00"])
def test_a_local_time_carries_no_offset(starts: str) -> None:
    with pytest.raises(ValidationError, match="no UTC offset"):
        WeeklyHours.model_validate({"weekday": 1, "starts": starts, "ends": "10:00"})


def test_an_institution_cannot_take_a_word_of_the_network() -> None:
    fields = {"name": "North", "time_zone": "Europe/Lisbon", "jurisdiction": "PT"}

    with pytest.raises(ValidationError, match="word of the network"):
        InstitutionChanged.model_validate({**fields, "institution_id": "matching"})


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.TYPE)
def test_every_event_names_its_type_topic_and_subject(event: type[Event]) -> None:
    assert BY_TYPE[event.TYPE] is event
    assert event.SUBJECT in event.model_fields
    assert event.TYPE.rpartition(".v")[2].isdigit()
    assert not event.TOPIC.is_template or "institution_id" in event.model_fields


def test_no_two_events_share_a_type() -> None:
    assert len(BY_TYPE) == len(EVENTS)
