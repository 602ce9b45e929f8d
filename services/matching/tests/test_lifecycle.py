from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from services.matching.tests.builders import (
    NORTH,
    SOUTH,
    a_center,
    a_match,
    a_pair,
    a_programme,
    mentee_with,
    mentor_with,
    person_id,
)

from matching_service.domain import lifecycle
from matching_service.domain.answer import Refused, Repeated, Response, Result, answer
from matching_service.domain.match import (
    Accepted,
    Activated,
    Barred,
    Cleared,
    Declined,
    Expired,
    Match,
    NotAvailable,
    Offered,
    Proposed,
    Side,
    State,
    Step,
    Superseded,
    Unheeded,
    Withdrawn,
)
from matching_service.domain.pool import Center
from matching_service.domain.rules.rule import Cause
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.matching import Stage, WithdrawalReason
from testkit.plugin import NOW

MIA, MAX = person_id("mia"), person_id("max")
HOUR = timedelta(hours=1)
CLEARED = a_match(
    mentor=replace(a_match().mentor, cleared=True), mentee=replace(a_match().mentee, cleared=True)
)
ASKING_MENTOR = replace(CLEARED, state=State.OFFERED_TO_MENTOR, respond_by=NOW + 48 * HOUR)
ASKING_MENTEE = replace(CLEARED, state=State.OFFERED_TO_MENTEE, respond_by=NOW + 48 * HOUR)


def proposed(north: Center, south: Center) -> Match:
    pair = a_pair(mentee_with(center=north), mentor_with(center=south))
    step = lifecycle.propose(derived_id("match", "x"), pair, a_programme(), NOW)
    assert step.facts == (Proposed(),)
    return step.match


def advanced(match: Match, now: datetime = NOW, seats_free: int = 1) -> Step:
    return lifecycle.advance(match, now, seats_free=seats_free)


def said(match: Match, answer_word: str, center: str = SOUTH, person: Any = None) -> Result:
    return answer(match, Response(center, answer_word, person), NOW)


def step_of(result: Result) -> Step:
    assert isinstance(result, Step), result
    return result


def refused(result: Result) -> str:
    assert isinstance(result, Refused), result
    return result.rule


def test_both_centers_have_until_the_longer_of_their_windows() -> None:
    short, long = timedelta(hours=5), timedelta(hours=50)

    match = proposed(
        a_center(NORTH, clearance_window=short), a_center(SOUTH, clearance_window=long)
    )

    assert match.clear_by == NOW + long


def test_two_centers_that_clear_at_once_lead_to_an_offer_at_once() -> None:
    match = proposed(a_center(NORTH, clearance="auto"), a_center(SOUTH, clearance="auto"))

    step = advanced(match)

    assert step.facts == (
        Cleared(SOUTH, by_policy=True),
        Cleared(NORTH, by_policy=True),
        Offered(Side.MENTOR, MAX, NOW + a_programme().response_window),
    )
    assert step.match.holds_seat


def test_a_center_that_lets_a_window_pass_clears_at_its_end() -> None:
    window = timedelta(hours=5)
    north = a_center(NORTH, clearance="window", clearance_window=window)
    match = proposed(north, a_center(SOUTH, clearance="auto"))

    at_once, at_the_end = advanced(match), advanced(match, NOW + window)

    assert at_once.facts == (Cleared(SOUTH, by_policy=True),)
    assert lifecycle.next_look(at_once.match, NOW) == NOW + window
    assert Cleared(NORTH, by_policy=True) in at_the_end.facts


@pytest.mark.parametrize("policy", ["manual", "unknown"])
def test_a_center_where_a_person_clears_is_waited_for_until_the_window_ends(policy: str) -> None:
    match = proposed(a_center(NORTH, clearance="auto"), a_center(SOUTH, clearance=policy))
    waiting = advanced(match).match

    late = advanced(waiting, waiting.clear_by)

    assert lifecycle.next_look(waiting, NOW) == waiting.clear_by
    assert late.facts == (Expired("clearance"),)
    assert advanced(late.match, waiting.clear_by).facts == ()


def test_one_yes_is_enough_where_both_people_are_of_one_center() -> None:
    match = proposed(a_center(NORTH), a_center(NORTH))

    step = step_of(said(match, "clear", NORTH))

    assert step.facts == (Cleared(NORTH, by_policy=False),)
    assert step.match.cleared


def test_a_cleared_match_is_looked_at_at_once() -> None:
    one = step_of(said(a_match(), "clear", NORTH)).match
    both = step_of(said(one, "clear", SOUTH)).match

    assert lifecycle.next_look(one, NOW) == one.clear_by
    assert lifecycle.next_look(both, NOW) == NOW


def test_a_match_without_a_seat_is_superseded() -> None:
    step = advanced(CLEARED, seats_free=0)

    assert step.facts == (Superseded(),)
    assert step.match.state is State.SUPERSEDED


@pytest.mark.parametrize(("match", "stage"), [(ASKING_MENTOR, "mentor"), (ASKING_MENTEE, "mentee")])
def test_silence_of_the_person_asked_expires(match: Match, stage: str) -> None:
    assert match.respond_by is not None

    assert advanced(match, match.respond_by - HOUR).facts == ()
    assert advanced(match, match.respond_by).facts == (Expired(stage),)
    assert Stage(stage) is not Stage.UNKNOWN


def test_the_mentor_says_yes_then_the_mentee_then_they_may_meet() -> None:
    first = step_of(said(ASKING_MENTOR, "accept", SOUTH, MAX))
    second = step_of(said(first.match, "accept", NORTH, MIA))

    assert first.facts == (
        Accepted(Side.MENTOR, MAX),
        Offered(Side.MENTEE, MIA, NOW + timedelta(hours=48)),
    )
    assert second.facts == (Accepted(Side.MENTEE, MIA), Activated())
    assert second.match.state is State.ACTIVE
    assert lifecycle.next_look(second.match, NOW) is None


def test_a_no_of_the_person_asked_ends_the_match() -> None:
    by_mentor = step_of(said(ASKING_MENTOR, "decline", SOUTH, MAX))
    by_mentee = step_of(said(ASKING_MENTEE, "decline", NORTH, MIA))

    assert by_mentor.facts == (Declined(Side.MENTOR, MAX),)
    assert by_mentee.facts == (Declined(Side.MENTEE, MIA),)
    assert not by_mentee.match.holds_seat


@pytest.mark.parametrize(
    ("match", "word", "center", "person"),
    [
        (step_of(said(a_match(), "clear", NORTH)).match, "clear", NORTH, None),
        (ASKING_MENTOR, "clear", SOUTH, None),
        (ASKING_MENTEE, "accept", SOUTH, MAX),
        (replace(ASKING_MENTEE, state=State.ACTIVE), "accept", NORTH, MIA),
        (step_of(said(ASKING_MENTOR, "decline", SOUTH, MAX)).match, "decline", SOUTH, MAX),
        (step_of(said(a_match(), "veto", SOUTH)).match, "veto", SOUTH, None),
    ],
)
def test_the_same_answer_again_is_no_news(
    match: Match, word: str, center: str, person: Any
) -> None:
    assert said(match, word, center, person) == Repeated()


@pytest.mark.parametrize(
    ("match", "word", "center", "person"),
    [
        (a_match(), "accept", SOUTH, MAX),
        (ASKING_MENTOR, "accept", NORTH, MIA),
        (ASKING_MENTEE, "decline", SOUTH, MAX),
        (replace(a_match(), state=State.EXPIRED), "clear", SOUTH, None),
        (replace(CLEARED, state=State.ACTIVE), "veto", SOUTH, None),
        (replace(CLEARED, state=State.DECLINED, declined_by=Side.MENTEE), "decline", SOUTH, MAX),
        (step_of(said(a_match(), "veto", SOUTH)).match, "clear", SOUTH, None),
    ],
)
def test_an_answer_that_is_not_asked_for_is_refused_with_what_is(
    match: Match, word: str, center: str, person: Any
) -> None:
    result = said(match, word, center, person)

    assert refused(result) == "not_expected_now"
    assert isinstance(result, Refused)
    assert match.state.value in result.message
    assert "expected" in result.fix.lower()


@pytest.mark.parametrize("person", [None, MIA, person_id("eve")])
def test_a_center_answers_for_its_own_person_alone(person: Any) -> None:
    assert refused(said(ASKING_MENTOR, "accept", SOUTH, person)) == "wrong_person"


def test_a_word_that_is_not_known_is_refused_with_those_that_are() -> None:
    result = said(ASKING_MENTOR, "unknown")

    assert isinstance(result, Refused)
    assert (result.rule, result.suggestions) == (
        "unknown_answer",
        ("clear", "veto", "accept", "decline"),
    )


@pytest.mark.parametrize("match", [a_match(), CLEARED, ASKING_MENTOR, ASKING_MENTEE])
def test_a_veto_is_told_when_the_window_ends_and_frees_the_seat_at_once(match: Match) -> None:
    step = step_of(said(match, "veto", NORTH))

    vetoed = step.match
    assert step.facts == (Barred(NORTH),)
    assert (vetoed.state, vetoed.deadline) == (match.state, match.deadline)
    assert not vetoed.holds_seat
    assert lifecycle.next_look(vetoed, NOW) == match.deadline
    assert advanced(vetoed, match.deadline - HOUR).facts == ()
    assert advanced(vetoed, match.deadline).facts == (NotAvailable(),)


def test_the_other_center_cannot_tell_a_veto_by_answering() -> None:
    vetoed = step_of(said(a_match(), "veto", NORTH)).match
    asked = step_of(said(ASKING_MENTOR, "veto", NORTH)).match

    assert said(vetoed, "clear", SOUTH) == step_with(vetoed, Cleared(SOUTH, by_policy=False))
    assert said(vetoed, "accept", SOUTH, MAX) == said(a_match(), "accept", SOUTH, MAX)
    assert said(asked, "accept", SOUTH, MAX) == Step(asked, (Unheeded(SOUTH, "accept"),))
    assert said(asked, "veto", SOUTH) == Step(asked, (Unheeded(SOUTH, "veto"),))
    declined = step_of(said(asked, "decline", SOUTH, MAX))
    assert declined.facts == (Declined(Side.MENTOR, MAX),)


def step_with(match: Match, cleared: Cleared) -> Step:
    return Step(lifecycle.clear(match, cleared.institution_id), (cleared,))


def test_the_policy_of_a_center_does_not_clear_what_the_center_vetoed() -> None:
    window = timedelta(hours=5)
    waiting = a_center(SOUTH, clearance="window", clearance_window=window)
    match = proposed(a_center(NORTH, clearance="window", clearance_window=window), waiting)
    vetoed = step_of(said(match, "veto", SOUTH)).match

    step = advanced(vetoed, NOW + window - HOUR)
    late = advanced(vetoed, NOW + window)

    assert step.facts == ()
    assert late.facts == (Cleared(NORTH, by_policy=True), NotAvailable())


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (Cause.RULE, "rule_broken"),
        (Cause.PAUSED, "person_paused"),
        (Cause.CENTER, "institution_left"),
    ],
)
def test_a_broken_rule_takes_an_open_proposal_back(cause: Cause, reason: str) -> None:
    step = lifecycle.after_broken(ASKING_MENTOR, cause)

    assert step.facts == (Withdrawn(reason),)
    assert WithdrawalReason(reason) is not WithdrawalReason.UNKNOWN
    assert lifecycle.after_broken(step.match, cause).facts == ()


def test_a_conflict_that_comes_to_light_reads_like_a_veto() -> None:
    step = lifecycle.after_broken(a_match(), Cause.BLIND)

    assert step.facts == (Barred(None),)
    assert advanced(step.match, step.match.deadline).facts == (NotAvailable(),)
    assert lifecycle.after_broken(step.match, Cause.BLIND).facts == ()


def test_room_takes_nothing_back() -> None:
    assert lifecycle.after_broken(a_match(), Cause.ROOM).facts == ()


class LifeOfAMatch(RuleBasedStateMachine):
    """Any answers, in any order, at any time: what is said always makes sense."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.match = proposed(a_center(NORTH), a_center(SOUTH, clearance="window"))
        self.facts: list[Any] = []

    def take(self, step: Step) -> None:
        self.match = step.match
        self.facts += step.facts

    @precondition(lambda self: self.match.open)
    @rule(hours=st.integers(1, 50), seats_free=st.integers(0, 1))
    def time_passes(self, hours: int, seats_free: int) -> None:
        self.now += timedelta(hours=hours)
        self.take(lifecycle.advance(self.match, self.now, seats_free=seats_free))

    @rule(
        word=st.sampled_from(["clear", "veto", "accept", "decline"]),
        who=st.sampled_from([(NORTH, MIA), (SOUTH, MAX)]),
    )
    def someone_answers(self, word: str, who: Any) -> None:
        center, person = who
        named = person if word in {"accept", "decline"} else None
        result = answer(self.match, Response(center, word, named), self.now)
        if isinstance(result, Step):
            self.take(result)
            self.take(lifecycle.advance(self.match, self.now, seats_free=1))

    @rule(cause=st.sampled_from(Cause))
    def a_rule_breaks(self, cause: Cause) -> None:
        self.take(lifecycle.after_broken(self.match, cause))

    @invariant()
    def nobody_is_asked_before_both_centers_have_said_yes(self) -> None:
        words = [type(fact) for fact in self.facts]
        if Offered in words:
            cleared = {
                fact.institution_id
                for fact in self.facts[: words.index(Offered)]
                if isinstance(fact, Cleared)
            }
            assert cleared == {NORTH, SOUTH}

    @invariant()
    def it_is_active_only_after_both_people_have_said_yes(self) -> None:
        if self.match.state is State.ACTIVE:
            asked = [fact.by for fact in self.facts if isinstance(fact, Accepted)]
            assert asked == [Side.MENTOR, Side.MENTEE]
            assert not self.match.barred

    @invariant()
    def it_ends_once(self) -> None:
        ends = (Activated, Declined, Expired, NotAvailable, Superseded, Withdrawn)
        ended = [fact for fact in self.facts if isinstance(fact, ends)]
        assert len(ended) == (0 if self.match.open else 1)

    @invariant()
    def what_is_barred_holds_no_seat_and_waits_for_its_deadline(self) -> None:
        if self.match.barred and self.match.open:
            assert not self.match.holds_seat
            assert lifecycle.next_look(self.match, self.now) is not None


TestLifeOfAMatch = LifeOfAMatch.TestCase
TestLifeOfAMatch.settings = settings(deadline=None, max_examples=60)
