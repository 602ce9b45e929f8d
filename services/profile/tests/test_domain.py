from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from profile_service import domain
from profile_service.domain import (
    Content,
    Offer,
    Pseudonym,
    Refused,
    RoleRule,
    SurvivorStep,
)

NORTH, SOUTH = "north-center", "south-center"
ADA = Pseudonym(NORTH, version=3, sequence=7)
SAID = Content(profile=b"p", contact=b"c", survivor=b"s")
digests = st.sampled_from([b"1", b"2", b"3"])
contents = st.builds(Content, profile=digests, contact=digests, survivor=st.none() | digests)


def test_a_person_of_another_center_is_refused_whatever_the_sequence() -> None:
    assert domain.refusal(ADA, SOUTH, 99) is Refused.FOREIGN
    assert domain.refusal(ADA, SOUTH, 1) is Refused.FOREIGN


@given(sequence=st.none() | st.integers(1, 20))
def test_only_a_sequence_below_the_last_is_stale(sequence: int | None) -> None:
    refused = domain.refusal(ADA, NORTH, sequence)

    assert (refused is Refused.STALE) == (sequence is not None and sequence < 7)


def test_nothing_is_stale_where_a_center_does_not_count() -> None:
    assert domain.refusal(replace(ADA, sequence=None), NORTH, 1) is None


@given(
    sequences=st.lists(st.none() | st.integers(1, 50), max_size=20),
)
def test_the_last_sequence_never_falls(sequences: list[int | None]) -> None:
    last: int | None = None

    for sequence in sequences:
        before, last = last, domain.latest(sequence, last)
        assert before is None or (last is not None and last >= before)

    assert last == max((s for s in sequences if s is not None), default=None)


def test_the_first_submission_changes_everything_it_says() -> None:
    change = domain.change(Pseudonym(NORTH, 0, None), None, SAID)

    assert change == domain.Change(version=1, contact=True, survivor=SurvivorStep.SET)


def test_a_person_without_survivor_block_has_none_to_remove() -> None:
    change = domain.change(Pseudonym(NORTH, 0, None), None, replace(SAID, survivor=None))

    assert change is not None
    assert change.survivor is SurvivorStep.KEPT


def test_a_block_that_is_left_out_is_removed() -> None:
    change = domain.change(ADA, SAID, replace(SAID, survivor=None))

    assert change == domain.Change(version=4, contact=False, survivor=SurvivorStep.REMOVED)


def test_a_person_who_comes_back_goes_on_from_the_last_version() -> None:
    change = domain.change(ADA, None, SAID)

    assert change is not None
    assert (change.version, change.contact) == (4, True)


@given(held=contents, said=contents)
def test_a_version_is_raised_exactly_when_something_is_new(held: Content, said: Content) -> None:
    change = domain.change(ADA, held, said)

    assert (change is None) == (held == said)
    if change is not None:
        assert change.version == ADA.version + 1
        assert change.contact == (held.contact != said.contact)
        assert (change.survivor is SurvivorStep.KEPT) == (held.survivor == said.survivor)


@given(first=contents, second=contents)
def test_there_and_back_is_two_changes_or_none(first: Content, second: Content) -> None:
    there, back = domain.change(ADA, first, second), domain.change(ADA, second, first)

    assert (there is None) == (back is None)


def test_each_role_is_held_against_the_programme_it_names() -> None:
    offers = {
        "open": Offer(active=True, participants=None),
        "ours": Offer(active=True, participants=frozenset({NORTH})),
        "theirs": Offer(active=True, participants=frozenset({SOUTH})),
        "closed": Offer(active=False, participants=None),
        "closed-theirs": Offer(active=False, participants=frozenset({SOUTH})),
    }
    roles = ["open", "theirs", "ours", "closed", "gone", "closed-theirs"]

    broken = domain.broken_role_rules(roles, offers, NORTH)

    assert broken == [
        (1, RoleRule.NOT_OPEN),
        (3, RoleRule.CLOSED),
        (4, RoleRule.UNKNOWN),
        (5, RoleRule.NOT_OPEN),
    ]
    assert domain.joinable(offers, NORTH) == ("open", "ours")
