from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.notification.tests.builders import (
    CLEAR_BY,
    MATCH,
    MENTEE,
    MENTOR,
    NORTH,
    PROGRAMME,
    RESPOND_BY,
    SESSION,
    SOUTH,
    STARTS_AT,
)

from notification_service.domain.dispatch import (
    LIFETIME,
    WAIT_FOR_FACTS,
    Failure,
    Go,
    Needs,
    Stop,
    WaitUntil,
    after_failure,
    next_step,
)
from notification_service.domain.match import Match, MatchState, Party, Side, best_reasons
from notification_service.domain.notice import (
    Booking,
    Decision,
    Session,
    Template,
    ask,
    decide,
    tell,
)
from notification_service.domain.view import Action, Clearance, views
from testkit.plugin import NOW

BY_HAND = {NORTH: Clearance.MANUAL, SOUTH: Clearance.MANUAL}


def a_match(*, mentee_at: str = SOUTH) -> Match:
    return Match(
        match_id=MATCH,
        programme_id=PROGRAMME,
        mentor=Party(MENTOR, NORTH),
        mentee=Party(MENTEE, mentee_at),
        score=0.8,
        reasons=("shares two goals",),
        clear_by=CLEAR_BY,
    )


def a_booked_session(*, revision: int = 0) -> Session:
    booking = Booking(STARTS_AT, 60, "Europe/Lisbon", f"{SESSION}@oncomentor", revision)
    return Session(SESSION, MATCH, booking)


def actions(match: Match, clearances: dict[str, Clearance] | None = None) -> list[Action]:
    return [view.action for view in views(match, clearances or BY_HAND, None)]


class TestReasons:
    def test_the_three_that_gave_most_points_are_told_best_first(self) -> None:
        given_points = [(0.1, "style"), (0.4, "goals"), (0.2, "topics"), (0.3, "methods")]

        told = best_reasons(given_points)

        assert told == ("goals", "methods", "topics")

    def test_what_gave_no_points_is_no_reason(self) -> None:
        assert best_reasons([(0.0, "nothing known"), (0.2, "goals")]) == ("goals",)

    @given(st.lists(st.tuples(st.floats(0, 1), st.text(min_size=1))))
    def test_told_reasons_never_gave_less_than_those_left_out(
        self, contributions: list[tuple[float, str]]
    ) -> None:
        told = best_reasons(contributions)

        points = sorted((p for p, _ in contributions if p > 0), reverse=True)
        assert len(told) == min(3, len(points))
        assert all((p, r) in contributions for p, r in zip(points, told, strict=False))


class TestViews:
    def test_centers_that_clear_by_hand_are_asked_to_clear(self) -> None:
        mentor_view, mentee_view = views(a_match(), BY_HAND, None)

        assert (mentor_view.action, mentor_view.respond_by) == (Action.CLEAR, CLEAR_BY)
        assert (mentee_view.action, mentee_view.respond_by) == (Action.CLEAR, CLEAR_BY)

    @pytest.mark.parametrize("clearance", [Clearance.AUTO, Clearance.WINDOW])
    def test_a_center_whose_policy_clears_is_not_asked(self, clearance: Clearance) -> None:
        asked = actions(a_match(), {NORTH: clearance, SOUTH: Clearance.MANUAL})

        assert asked == [Action.NONE, Action.CLEAR]

    def test_a_center_whose_policy_is_not_known_is_asked(self) -> None:
        assert [view.action for view in views(a_match(), {}, None)] == [Action.CLEAR, Action.CLEAR]

    def test_a_center_that_cleared_is_not_asked_again(self) -> None:
        assert actions(a_match().cleared_by(SOUTH)) == [Action.CLEAR, Action.NONE]

    def test_one_yes_of_a_center_with_both_people_counts_for_both(self) -> None:
        match = a_match(mentee_at=NORTH).cleared_by(NORTH)

        assert actions(match) == [Action.NONE, Action.NONE]

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            (Side.MENTOR, [Action.ACCEPT, Action.NONE]),
            (Side.MENTEE, [Action.NONE, Action.ACCEPT]),
        ],
    )
    def test_the_center_of_the_person_asked_is_to_bring_the_answer(
        self, asked: Side, expected: list[Action]
    ) -> None:
        offered = a_match().offered(asked, RESPOND_BY)

        seen = views(offered, BY_HAND, None)

        assert [view.action for view in seen] == expected
        assert {v.respond_by for v in seen if v.action is Action.ACCEPT} == {RESPOND_BY}
        assert {v.respond_by for v in seen if v.action is Action.NONE} == {None}

    def test_nobody_is_asked_after_the_answer(self) -> None:
        answered = a_match().offered(Side.MENTOR, RESPOND_BY).answered()

        assert answered.state is MatchState.OFFERED_TO_MENTOR
        assert actions(answered) == [Action.NONE, Action.NONE]

    @pytest.mark.parametrize("state", [s for s in MatchState if s is not MatchState.PROPOSED])
    def test_a_match_that_ended_asks_nobody(self, state: MatchState) -> None:
        ended = a_match().offered(Side.MENTOR, RESPOND_BY).closed(state)

        assert actions(ended) == [Action.NONE, Action.NONE]

    def test_each_side_sees_itself_and_the_other(self) -> None:
        mentor_view, mentee_view = views(a_match(), BY_HAND, STARTS_AT)

        assert (mentor_view.own, mentor_view.counterpart) == (
            mentee_view.counterpart,
            mentee_view.own,
        )
        assert mentor_view.session_starts_at == mentee_view.session_starts_at == STARTS_AT


class TestNotices:
    def test_only_the_half_that_is_asked_now_is_asked(self) -> None:
        offered = a_match().offered(Side.MENTOR, RESPOND_BY)

        assert ask(offered, Side.MENTOR) is not None
        assert ask(offered, Side.MENTEE) is None
        assert ask(offered.closed(MatchState.WITHDRAWN), Side.MENTOR) is None

    def test_a_question_does_not_name_the_other_half(self) -> None:
        notice = ask(a_match().offered(Side.MENTEE, RESPOND_BY), Side.MENTEE)

        assert notice is not None
        assert not notice.names_counterpart

    @pytest.mark.parametrize("state", [s for s in MatchState if s is not MatchState.ACTIVE])
    def test_nothing_is_told_of_a_session_before_all_said_yes(self, state: MatchState) -> None:
        assert tell(replace(a_match(), state=state), a_booked_session()) == ()

    def test_both_halves_are_invited_to_a_booked_session(self) -> None:
        notices = tell(a_match().activated(), a_booked_session())

        assert [notice.person.person_id for notice in notices] == [MENTOR, MENTEE]
        assert {notice.template for notice in notices} == {Template.SESSION_INVITATION}
        assert all(notice.names_counterpart for notice in notices)

    def test_both_halves_hear_that_no_hour_was_found(self) -> None:
        notices = tell(a_match().activated(), Session(SESSION, MATCH, None))

        assert {notice.template for notice in notices} == {Template.SESSION_UNBOOKABLE}

    def test_a_notice_decided_before_is_a_duplicate(self) -> None:
        first, second = tell(a_match().activated(), a_booked_session())

        assert decide(first, frozenset()) is Decision.SEND
        assert decide(first, frozenset({second.identity})) is Decision.SEND
        assert decide(first, frozenset({first.identity})) is Decision.DUPLICATE

    def test_a_moved_session_is_news(self) -> None:
        first, _ = tell(a_match().activated(), a_booked_session())
        moved, _ = tell(a_match().activated(), a_booked_session(revision=1))

        assert decide(moved, frozenset({first.identity})) is Decision.SEND

    @given(st.sampled_from(Side), st.integers(0, 5), st.uuids())
    def test_identities_differ_wherever_notices_do(
        self, side: Side, revision: int, session_id: UUID
    ) -> None:
        match = a_match().activated()
        this = tell(match, a_booked_session())[list(Side).index(side)]
        other_session = replace(a_booked_session(revision=revision), session_id=session_id)

        others = tell(match, other_session)

        same = [notice for notice in others if notice.identity == this.identity]
        assert bool(same) == (revision == 0 and session_id == SESSION)


class TestNextStep:
    def step(
        self, needs: Needs, *, after: timedelta = timedelta(0), moot_at: datetime | None = None
    ) -> Go | WaitUntil | Stop:
        return next_step(needs, intended_at=NOW, moot_at=moot_at, now=NOW + after)

    def test_a_message_that_lacks_nothing_goes(self) -> None:
        assert self.step(Needs()) == Go()

    def test_a_message_that_lacks_something_waits_longer_each_time(self) -> None:
        lacking = Needs(link=True)

        assert self.step(lacking) == WaitUntil(NOW + timedelta(seconds=1))
        assert self.step(lacking, after=timedelta(seconds=8)) == WaitUntil(
            NOW + timedelta(seconds=16)
        )
        assert self.step(lacking, after=timedelta(minutes=30)) == WaitUntil(
            NOW + timedelta(minutes=31)
        )

    @pytest.mark.parametrize(
        ("needs", "expected"),
        [
            (Needs(contact=True, link=True), Stop(Failure.NO_CONTACT)),
            (Needs(link=True), Stop(Failure.GAVE_UP)),
            (Needs(name=True), Go()),
        ],
    )
    def test_after_the_wait_it_stops_or_does_without_the_name(
        self, needs: Needs, expected: Go | Stop
    ) -> None:
        assert self.step(needs, after=WAIT_FOR_FACTS) == expected

    def test_a_message_that_helps_nobody_any_more_is_not_sent(self) -> None:
        assert self.step(Needs(), after=timedelta(hours=1), moot_at=NOW + timedelta(hours=1)) == (
            Stop(Failure.GAVE_UP)
        )

    @given(st.timedeltas(timedelta(0), WAIT_FOR_FACTS - timedelta(microseconds=1)))
    def test_waiting_always_looks_again_later_and_within_a_minute(self, after: timedelta) -> None:
        step = self.step(Needs(contact=True), after=after)

        assert isinstance(step, WaitUntil)
        assert timedelta(seconds=1) <= step.at - (NOW + after) <= timedelta(minutes=1)

    def test_a_mail_server_that_is_away_is_asked_less_and_less_often(self) -> None:
        waits = [after_failure(n, intended_at=NOW, now=NOW) for n in range(1, 7)]

        minutes = [(w.at - NOW) // timedelta(minutes=1) for w in waits if isinstance(w, WaitUntil)]
        assert minutes == [1, 5, 15, 60, 60, 60]

    def test_after_two_days_nothing_more_is_tried(self) -> None:
        assert after_failure(50, intended_at=NOW, now=NOW + LIFETIME) == Stop(Failure.GAVE_UP)
