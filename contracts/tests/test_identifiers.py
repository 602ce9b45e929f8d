from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oncomentor_contracts.identifiers import derived_id, pseudonym, uuid7

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = bytes(range(32))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

instants = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001 - the zone comes from the strategy
    datetime(9999, 12, 31),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
)


@UNHURRIED
@given(instants)
def test_an_event_id_is_a_uuid_of_version_7_that_holds_its_millisecond(instant: datetime) -> None:
    event_id = uuid7(instant)

    assert event_id.version == 7
    assert event_id.variant == RFC_4122
    assert event_id.int >> 80 == (instant - EPOCH) // timedelta(milliseconds=1)


def test_event_ids_sort_by_time() -> None:
    milliseconds = [NOW + timedelta(milliseconds=n) for n in range(500)]

    event_ids = [uuid7(instant) for instant in milliseconds]

    assert event_ids == sorted(event_ids)
    assert [str(each) for each in event_ids] == sorted(str(each) for each in event_ids)


def test_event_ids_of_one_millisecond_differ() -> None:
    event_ids = {uuid7(NOW) for _ in range(10_000)}

    assert len(event_ids) == 10_000


def test_a_derived_id_is_the_same_each_time_and_of_version_8() -> None:
    first, again = derived_id("session", "m1", "1"), derived_id("session", "m1", "1")

    assert first == again == UUID("98caa2b3-1cc5-893a-a33c-9b2ac48d4ae1")
    assert (first.version, first.variant) == (8, RFC_4122)


def test_the_parts_of_a_derived_id_keep_their_borders() -> None:
    ids = {derived_id("a", "bc"), derived_id("ab", "c"), derived_id("a", "b", "c")}

    assert len(ids) == 3


@UNHURRIED
@given(st.text(min_size=1).filter(lambda text: text.strip()))
def test_a_pseudonym_is_the_same_each_time_and_of_version_8(local_id: str) -> None:
    first, again = pseudonym(KEY, "north", local_id), pseudonym(KEY, "north", local_id)

    assert first == again
    assert (first.version, first.variant) == (8, RFC_4122)


def test_a_pseudonym_never_changes_between_releases() -> None:
    # Every center's people are filed under what this function gave first.
    assert pseudonym(KEY, "north", "A-123") == UUID("6fbceb9f-2af7-839c-85c7-39d6c5955f47")


@pytest.mark.parametrize(
    "other",
    [
        pseudonym(bytes(32), "north", "a1"),
        pseudonym(KEY, "south", "a1"),
        pseudonym(KEY, "north", "A1"),
        pseudonym(KEY, "north", "a2"),
    ],
    ids=["key", "center", "case", "number"],
)
def test_another_key_center_case_or_number_gives_another_pseudonym(other: UUID) -> None:
    assert other != pseudonym(KEY, "north", "a1")


def test_how_a_number_was_typed_does_not_change_the_pseudonym() -> None:
    full_width_and_spaced = " a\uff11\n"

    assert pseudonym(KEY, "north", full_width_and_spaced) == pseudonym(KEY, "north", "a1")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        pseudonym(bytes(31), "north", "a1")


def test_an_empty_number_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        pseudonym(KEY, "north", " \t")
