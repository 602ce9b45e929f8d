import pytest
from services.notification.tests.builders import (
    CLEAR_BY,
    MATCH,
    MENTEE,
    MENTOR,
    NORTH,
    PROGRAMME,
    RESPOND_BY,
    SOUTH,
    a_clearance,
    a_contact_and_key,
    a_profile,
    a_programme,
    a_proposal,
    a_yes,
    an_activation,
    an_institution,
    an_intent,
    an_offer,
)
from services.notification.tests.steps import due_at, hear, rows

from notification_service.handlers import subscriptions
from oncomentor_contracts import topics
from oncomentor_contracts.block import ContactDeleted, KeyChanged, KeyDeleted
from oncomentor_contracts.event import Event
from oncomentor_contracts.institution import Clearance, InstitutionDeleted
from oncomentor_contracts.matching import (
    MatchDeclined,
    MatchExpired,
    MatchNotAvailable,
    MatchOffered,
    MatchSuperseded,
    MatchWithdrawn,
    Side,
    Stage,
    WithdrawalReason,
)
from oncomentor_contracts.notification import (
    ActionNeeded,
    DeliveryFailed,
    DeliverySent,
    FailureReason,
    MatchState,
    MatchUpdated,
    Template,
)
from oncomentor_contracts.profile import ProfileDeleted
from oncomentor_contracts.programme import ProgrammeDeleted
from servicekit.errors import UnprocessableError
from servicekit.tx import Tx
from testkit.plugin import NOW


def updates(said: list[Event]) -> list[MatchUpdated]:
    return [event for event in said if isinstance(event, MatchUpdated)]


def asked(said: list[Event]) -> dict[str, ActionNeeded]:
    return {update.institution_id: update.action_needed for update in updates(said)}


def test_every_topic_the_service_may_read_is_heard_and_no_other() -> None:
    may_read = {topic for topic in topics.TOPICS if "notification" in topic.readers}

    assert {subscription.topic for subscription in subscriptions()} == may_read


async def test_a_proposal_is_told_to_both_centers_each_as_it_sees_it(tx: Tx) -> None:
    await hear(tx, an_institution(NORTH), an_institution(SOUTH, clearance=Clearance.AUTO))

    north, south = updates(await hear(tx, a_proposal()))

    assert (north.institution_id, north.side, north.person_id) == (NORTH, Side.MENTOR, MENTOR)
    assert (north.counterpart_id, north.counterpart_institution_id) == (MENTEE, SOUTH)
    assert (north.action_needed, north.respond_by) == (ActionNeeded.CLEAR, CLEAR_BY)
    assert (south.institution_id, south.side, south.person_id) == (SOUTH, Side.MENTEE, MENTEE)
    assert (south.action_needed, south.respond_by) == (ActionNeeded.NONE, None)
    assert {north.topic_name, south.topic_name} == {
        f"egress.{NORTH}.match",
        f"egress.{SOUTH}.match",
    }
    assert (north.state, north.score, north.at) == (MatchState.PROPOSED, 0.8, NOW)


async def test_centers_hear_the_best_three_reasons(tx: Tx) -> None:
    points = ((0.05, "style"), (0.3, "goals"), (0.2, "topics"), (0.25, "methods"))

    said = updates(await hear(tx, a_proposal(points=points)))

    assert said[0].reasons == ("goals", "methods", "topics")


async def test_a_center_with_both_people_hears_of_each_of_them(tx: Tx) -> None:
    said = updates(await hear(tx, a_proposal(mentor_at=NORTH, mentee_at=NORTH)))

    assert {(u.institution_id, u.person_id) for u in said} == {(NORTH, MENTOR), (NORTH, MENTEE)}


async def test_each_step_is_told_to_both_centers_with_what_it_asks(tx: Tx) -> None:
    await hear(tx, a_proposal())

    after_one = await hear(tx, a_clearance(NORTH))
    after_both = await hear(tx, a_clearance(SOUTH))
    after_offer = await hear(tx, an_offer(Side.MENTOR))
    after_yes = await hear(tx, a_yes(Side.MENTOR))
    after_second_offer = await hear(tx, an_offer(Side.MENTEE))
    after_all = await hear(tx, a_yes(Side.MENTEE), an_activation())

    none, clear, accept = ActionNeeded.NONE, ActionNeeded.CLEAR, ActionNeeded.ACCEPT
    assert asked(after_one) == {NORTH: none, SOUTH: clear}
    assert asked(after_both) == {NORTH: none, SOUTH: none}
    assert asked(after_offer) == {NORTH: accept, SOUTH: none}
    assert asked(after_yes) == {NORTH: none, SOUTH: none}
    assert asked(after_second_offer) == {NORTH: none, SOUTH: accept}
    assert {u.state for u in updates(after_all)[-2:]} == {MatchState.ACTIVE}


async def test_the_person_asked_has_a_deadline_that_their_center_sees(tx: Tx) -> None:
    await hear(tx, a_proposal())

    said = updates(await hear(tx, an_offer(Side.MENTOR)))

    assert {u.institution_id: u.respond_by for u in said} == {NORTH: RESPOND_BY, SOUTH: None}


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        (MatchDeclined(match_id=MATCH, by=Side.MENTOR, person_id=MENTOR), MatchState.DECLINED),
        (MatchExpired(match_id=MATCH, waiting_for=Stage.MENTOR), MatchState.EXPIRED),
        (MatchNotAvailable(match_id=MATCH), MatchState.NOT_AVAILABLE),
        (MatchSuperseded(match_id=MATCH), MatchState.SUPERSEDED),
        (
            MatchWithdrawn(match_id=MATCH, reason=WithdrawalReason.PERSON_LEFT),
            MatchState.WITHDRAWN,
        ),
    ],
)
async def test_every_ending_is_told_and_asks_for_nothing(
    tx: Tx, ending: Event, state: MatchState
) -> None:
    await hear(tx, a_proposal(), an_offer())

    said = updates(await hear(tx, ending))

    assert [(u.state, u.action_needed) for u in said] == [(state, ActionNeeded.NONE)] * 2


async def test_a_step_of_a_match_nobody_proposed_is_kept_for_later(tx: Tx) -> None:
    with pytest.raises(UnprocessableError):
        await hear(tx, an_offer())


async def test_a_side_of_a_newer_matching_is_kept_for_later(tx: Tx) -> None:
    await hear(tx, a_proposal())
    offer = MatchOffered(match_id=MATCH, to=Side.UNKNOWN, person_id=MENTOR, respond_by=RESPOND_BY)

    with pytest.raises(UnprocessableError):
        await hear(tx, offer)


async def test_contacts_and_keys_are_kept_as_they_came_and_forgotten_when_told(tx: Tx) -> None:
    contact, key = a_contact_and_key(MENTOR)
    await hear(tx, contact, key, a_profile(MENTOR))
    kept = [*await rows(tx, "contacts"), *await rows(tx, "person_keys")]

    await hear(
        tx,
        ContactDeleted(person_id=MENTOR),
        KeyDeleted(person_id=MENTOR),
        ProfileDeleted(person_id=MENTOR),
    )

    assert len(kept) == 2
    assert "ana.reis" not in str(kept)
    assert [await rows(tx, t) for t in ("contacts", "person_keys", "people")] == [[], [], []]


async def test_a_person_whose_new_keys_have_none_for_us_loses_the_old_one(tx: Tx) -> None:
    contact, key = a_contact_and_key(MENTOR)
    await hear(tx, contact, key)

    await hear(tx, KeyChanged(person_id=MENTOR, key_id=key.key_id, keys=()))

    assert await rows(tx, "person_keys") == []


async def test_the_last_state_of_a_person_in_one_slice_stays(tx: Tx) -> None:
    handler = next(s for s in subscriptions() if s.topic == topics.PROFILE_PROFILE)
    bulk = next(h for kind, h in handler.handlers.items() if kind is type(a_profile()))
    lisbon, tokyo = a_profile(), a_profile(time_zone="Asia/Tokyo", may_be_named=False)

    await bulk.handle([lisbon, tokyo], tx)  # type: ignore[union-attr]  # it is a Bulk

    (person,) = await rows(tx, "people")
    assert (person["time_zone"], person["may_be_named"]) == ("Asia/Tokyo", False)


async def test_centers_and_programmes_come_and_go(tx: Tx) -> None:
    await hear(tx, an_institution(), a_programme())
    assert len([*await rows(tx, "institutions"), *await rows(tx, "programmes")]) == 2

    await hear(
        tx, InstitutionDeleted(institution_id=NORTH), ProgrammeDeleted(programme_id=PROGRAMME)
    )

    assert [*await rows(tx, "institutions"), *await rows(tx, "programmes")] == []


async def test_an_intent_is_taken_once(tx: Tx) -> None:
    intent = an_intent()

    await hear(tx, intent)
    await tx.cancel("prepare_mail", str(intent.delivery_id))
    await hear(tx, intent)

    assert len(await rows(tx, "mails")) == len(await rows(tx, "deliveries")) == 1
    assert await due_at(tx, "prepare_mail") == []


@pytest.mark.parametrize(
    "outcome",
    [
        lambda i: DeliverySent(delivery_id=i, message_id="<x@y>", sent_at=NOW),
        lambda i: DeliveryFailed(delivery_id=i, reason=FailureReason.REFUSED),
    ],
)
async def test_a_rebuilt_service_does_not_send_again_what_was_settled(tx: Tx, outcome) -> None:  # type: ignore[no-untyped-def]
    intent = an_intent()

    await hear(tx, intent, outcome(intent.delivery_id))

    (mail,) = await rows(tx, "mails")
    (delivery,) = await rows(tx, "deliveries")
    assert mail["state"] == delivery["state"]
    assert delivery["settled_at"] == NOW
    assert await due_at(tx, "prepare_mail") == []


@pytest.mark.parametrize(
    "intent",
    [
        an_intent(Template.MATCH_ACTIVATED),
        an_intent(Template.UNKNOWN),
        an_intent(Template.MATCH_OFFERED, channel="pigeon"),
        an_intent(Template.SESSION_INVITATION, invitation=None),
    ],
)
async def test_an_intent_this_version_cannot_fulfil_is_kept_for_redrive(
    tx: Tx, intent: Event
) -> None:
    with pytest.raises(UnprocessableError):
        await hear(tx, intent)
