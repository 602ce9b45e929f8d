from itertools import permutations

import pytest
from services.notification.tests.builders import (
    MATCH,
    MENTEE,
    MENTOR,
    NORTH,
    RESPOND_BY,
    SESSION,
    SOUTH,
    STARTS_AT,
    a_proposal,
    a_session,
    a_yes,
    an_activation,
    an_offer,
    an_unbookable_session,
)
from services.notification.tests.steps import do_jobs, hear, rows

from oncomentor_contracts.event import Event
from oncomentor_contracts.matching import MatchWithdrawn, Side, WithdrawalReason
from oncomentor_contracts.notification import (
    DeliveryIntended,
    MatchState,
    MatchUpdated,
    Template,
)
from servicekit.tx import Tx

LIFE: tuple[Event, ...] = (
    a_proposal(),
    an_offer(Side.MENTOR),
    a_yes(Side.MENTOR),
    an_offer(Side.MENTEE),
    a_yes(Side.MENTEE),
    an_activation(),
)


def intents(said: list[Event]) -> list[DeliveryIntended]:
    return [event for event in said if isinstance(event, DeliveryIntended)]


def session_updates(said: list[Event]) -> list[MatchUpdated]:
    return [e for e in said if isinstance(e, MatchUpdated) and e.session_starts_at]


async def test_the_person_asked_is_told_and_learns_no_name(tx: Tx) -> None:
    await hear(tx, a_proposal(), an_offer(Side.MENTOR))

    (intent,) = intents(await do_jobs(tx))

    assert (intent.person_id, intent.institution_id) == (MENTOR, NORTH)
    assert (intent.template, intent.respond_by) == (Template.MATCH_OFFERED, RESPOND_BY)
    assert (intent.counterpart_id, intent.counterpart_institution_id) == (None, SOUTH)


async def test_an_offer_that_is_over_when_the_job_comes_is_not_told(tx: Tx) -> None:
    withdrawn = MatchWithdrawn(match_id=MATCH, reason=WithdrawalReason.PERSON_LEFT)
    await hear(tx, a_proposal(), an_offer(Side.MENTOR), withdrawn)

    assert await do_jobs(tx) == []


async def test_both_people_are_invited_to_a_booked_session_and_both_centers_hear(tx: Tx) -> None:
    await hear(tx, *LIFE, a_session())

    said = await do_jobs(tx)

    invited = intents(said)
    assert {i.person_id: i.counterpart_id for i in invited} == {MENTOR: MENTEE, MENTEE: MENTOR}
    assert {i.template for i in invited} == {Template.SESSION_INVITATION}
    assert {i.invitation.starts_at for i in invited if i.invitation} == {STARTS_AT}
    told = session_updates(said)
    assert {u.institution_id: u.session_starts_at for u in told} == {
        NORTH: STARTS_AT,
        SOUTH: STARTS_AT,
    }
    assert {u.state for u in told} == {MatchState.ACTIVE}


@pytest.mark.parametrize("position", range(len(LIFE) + 1))
@pytest.mark.parametrize("jobs_in_between", [True, False])
async def test_a_session_may_be_heard_before_any_step_of_its_match(
    tx: Tx, position: int, jobs_in_between: bool
) -> None:
    said: list[Event] = []
    for event in (*LIFE[:position], a_session(), *LIFE[position:]):
        said += await hear(tx, event)
        if jobs_in_between:
            said += await do_jobs(tx)
    said += await do_jobs(tx)

    invited = [i for i in intents(said) if i.template is Template.SESSION_INVITATION]
    assert sorted(i.person_id for i in invited) == [MENTOR, MENTEE]
    assert len(session_updates(said)) == 2
    assert [u.state for u in session_updates(said)] == [MatchState.ACTIVE] * 2


async def test_both_people_hear_that_no_hour_was_found_and_centers_get_no_start(tx: Tx) -> None:
    await hear(tx, an_unbookable_session(), *LIFE)

    said = await do_jobs(tx)

    assert {i.template for i in intents(said)} == {Template.SESSION_UNBOOKABLE}
    assert sorted(i.person_id for i in intents(said)) == [MENTOR, MENTEE]
    assert session_updates(said) == []


@pytest.mark.parametrize("order", list(permutations(["match", "session"])))
async def test_two_jobs_for_one_session_tell_it_once(tx: Tx, order: tuple[str, str]) -> None:
    facts = {"match": LIFE, "session": (a_session(),)}
    for which in order:
        await hear(tx, *facts[which])

    first, second = await do_jobs(tx), await do_jobs(tx)

    assert len(intents(first)) == 2
    assert second == []


async def test_a_moved_session_is_told_again_under_ids_of_its_own(tx: Tx) -> None:
    await hear(tx, *LIFE, a_session())
    first = intents(await do_jobs(tx))

    await hear(tx, a_session(sequence=1))
    second = intents(await do_jobs(tx))

    assert len({i.delivery_id for i in (*first, *second)}) == 4
    assert {i.invitation.ical_sequence for i in second if i.invitation} == {1}
    assert {i.invitation.session_id for i in second if i.invitation} == {SESSION}


async def test_a_session_found_after_all_is_told(tx: Tx) -> None:
    await hear(tx, *LIFE, an_unbookable_session())
    await do_jobs(tx)

    await hear(tx, a_session())

    assert {i.template for i in intents(await do_jobs(tx))} == {Template.SESSION_INVITATION}


async def test_a_rebuilt_service_decides_nothing_twice(tx: Tx) -> None:
    await hear(tx, *LIFE, a_session())
    decided = intents(await do_jobs(tx))
    await tx.conn.execute("DELETE FROM deliveries; DELETE FROM matches; DELETE FROM sessions")

    await hear(tx, *LIFE, *decided, a_session())

    assert intents(await do_jobs(tx)) == []
    assert len(await rows(tx, "deliveries")) == 2


async def test_later_steps_carry_the_session_that_was_told(tx: Tx) -> None:
    await hear(tx, *LIFE, a_session())
    await do_jobs(tx)

    said = await hear(tx, an_activation())

    assert len(session_updates(said)) == 2
