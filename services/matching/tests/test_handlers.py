from dataclasses import replace
from datetime import timedelta

import pytest
from services.matching.tests.builders import NORTH, SOUTH, a_person, person_id
from services.matching.tests.network import (
    MAX,
    MIA,
    READER,
    Matching,
    a_programme_state,
    a_response,
    a_survivor,
    an_institution,
    availability,
    heard,
    kinds,
    mentee_state,
    mentor_state,
    rejection,
    survivor_events,
)

from matching_service.domain.match import State
from matching_service.domain.pool import Center, Survivor, Training
from matching_service.handlers import subscriptions
from matching_service.handlers.responses import refuse_unreadable, repeat_receipt
from matching_service.store import pool, registry, survivors
from oncomentor_contracts.block import KeyDeleted, SurvivorDeleted
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.institution import InstitutionDeleted
from oncomentor_contracts.matching import MatchCleared
from oncomentor_contracts.profile import ProfileDeleted
from oncomentor_contracts.programme import ProgrammeDeleted
from oncomentor_contracts.receipt import Outcome, ReceiptAccepted, ReceiptRejected
from oncomentor_contracts.scheduling import AvailabilityDeleted
from oncomentor_contracts.topics import TOPICS
from servicekit.subscription import Refusal
from servicekit.tx import Tx
from testkit.plugin import NOW

MANUAL = {"clearance": "manual"}


@pytest.fixture
def matching(tx: Tx) -> Matching:
    return Matching(tx)


async def timers(tx: Tx) -> dict[tuple[str, str], str | None]:
    rows = await tx.conn.fetch("SELECT kind, key, correlationid FROM kit.timers ORDER BY 1, 2")
    return {(row["kind"], row["key"]): row["correlationid"] for row in rows}


def test_everything_that_matching_may_read_is_heard() -> None:
    heard_topics = {subscription.topic.name for subscription in subscriptions()}

    assert heard_topics == {topic.name for topic in TOPICS if "matching" in topic.readers}


async def test_a_centers_policy_is_kept_until_a_later_one_comes(matching: Matching) -> None:
    now = heard(an_institution(NORTH, max_profile_age_days=30), sequence=2)
    old = heard(an_institution(NORTH, cross_institution="required"), sequence=1)

    await matching.hears(now, old)

    assert await registry.list_centers(matching.tx) == {
        NORTH: Center(NORTH, "PT", clearance="auto", max_profile_age=timedelta(days=30))
    }


async def test_a_center_that_left_is_forgotten(matching: Matching) -> None:
    await matching.hears(an_institution(NORTH), InstitutionDeleted(institution_id=NORTH))

    assert await registry.list_centers(matching.tx) == {}


async def test_a_programme_is_kept_with_its_weights_and_forgotten(matching: Matching) -> None:
    await matching.hears(a_programme_state(required_training=["mentor_basics"]))
    kept = await registry.get_programme(matching.tx, "grants")
    await matching.hears(ProgrammeDeleted(programme_id="grants"))

    assert kept is not None
    assert kept.weights == (("goals", 0.8), ("availability", 0.2))
    assert kept.required_training == ("mentor_basics",)
    assert await registry.get_programme(matching.tx, "grants") is None


async def test_a_mentee_is_kept_and_a_mentor_looked_for(matching: Matching) -> None:
    training = {"code": "mentee_basics", "completed_on": "2025-06-01"}
    withdrawn = {
        "purpose": "statistics",
        "text_version": "1",
        "given_at": NOW,
        "withdrawn_at": NOW,
    }
    given = {"purpose": "matching", "text_version": "1", "given_at": NOW}

    await matching.hears(
        mentee_state(
            training=[training],
            consents=[given, withdrawn],
            weekly_hours=[{"weekday": 7, "starts": "20:30", "ends": "00:00"}],
        )
    )

    kept = await pool.get_mentee(matching.tx, "grants", MIA, {})
    assert kept is not None
    assert kept.person == replace(
        a_person("mia", Center(NORTH, "", active=False)),
        changed_at=NOW - timedelta(days=1),
        hours=((7, 20 * 60 + 30, 24 * 60),),
        modalities=frozenset({"virtual"}),
        training=(Training("mentee_basics", NOW.date().replace(2025, 6, 1)),),
        consents=frozenset({"matching"}),
    )
    assert await timers(matching.tx) == {("propose", f"grants:{MIA}"): f"because of {MIA}"}


async def test_changes_of_mentors_are_looked_at_together(matching: Matching) -> None:
    await matching.hears(mentor_state("max"), mentor_state("ann"), mentor_state("bob"))

    (timer,) = await timers(matching.tx)
    assert timer[0] == "propose_waiting"


async def test_a_steady_stream_of_changes_does_not_put_the_look_off(matching: Matching) -> None:
    first = matching.tx.now
    for step in range(20):
        matching.tx.now = first + timedelta(milliseconds=150 * step)
        await matching.hears(mentor_state("max", version=step + 1))

    due = await matching.tx.conn.fetchval(
        "SELECT min(due_at) FROM kit.timers WHERE kind = 'propose_waiting'"
    )
    assert due - first <= timedelta(milliseconds=200)


async def test_an_older_profile_changes_nothing(matching: Matching) -> None:
    await matching.hears(mentee_state(version=3, languages=["pt"]))
    await matching.tx.conn.execute("DELETE FROM kit.timers")

    await matching.hears(mentee_state(version=2, languages=["en"]))

    kept = await pool.get_mentee(matching.tx, "grants", MIA, {})
    assert kept is not None
    assert kept.person.languages == ("pt",)
    assert await timers(matching.tx) == {}


async def test_a_role_that_is_given_up_is_gone_and_the_others_stay(matching: Matching) -> None:
    leads = {"programme_id": "leaders"}
    await matching.hears(a_programme_state(), a_programme_state(programme_id="leaders"))
    await matching.hears(mentee_state(mentor_roles=[leads]))

    await matching.hears(mentee_state(version=2, mentee_roles=[], mentor_roles=[leads]))

    assert await pool.get_mentee(matching.tx, "grants", MIA, {}) is None
    assert len(await pool.list_mentors(matching.tx, "leaders", {}, only=(MIA,))) == 1


async def test_of_several_profiles_in_a_slice_the_last_counts(matching: Matching) -> None:
    (handler,) = [s.handlers for s in subscriptions() if s.topic.name == "profile.profile"]
    bulk = next(iter(handler.values()))
    events = [heard(mentee_state(version=v, languages=[tag])) for v, tag in ((1, "en"), (2, "pt"))]

    await bulk.handle(events, matching.tx)  # type: ignore[union-attr]

    kept = await pool.get_mentee(matching.tx, "grants", MIA, {})
    assert kept is not None
    assert kept.person.version == 2


async def test_a_person_who_left_is_forgotten(matching: Matching) -> None:
    await matching.hears(mentee_state(), ProfileDeleted(person_id=MIA))
    await matching.works()

    assert await pool.get_mentee(matching.tx, "grants", MIA, {}) is None
    assert await matching.tx.conn.fetchval("SELECT count(*) FROM places") == 0


async def test_hours_that_scheduling_says_count_before_those_of_the_profile(
    matching: Matching,
) -> None:
    await matching.hears(a_programme_state(), mentor_state(role={"protected_minutes_month": 90}))
    await matching.hears(availability("max", SOUTH, minutes_left_month=30))
    (real,) = await pool.list_mentors(matching.tx, "grants", {}, only=(MAX,))
    await matching.hears(AvailabilityDeleted(person_id=MAX))
    (own,) = await pool.list_mentors(matching.tx, "grants", {}, only=(MAX,))

    assert (real.person.hours, real.minutes_left) == (((1, 540, 600),), 30)
    assert (len(own.person.hours), own.minutes_left) == (5, 90)


async def test_a_survivors_block_is_kept_closed_and_opens_in_memory(matching: Matching) -> None:
    block, key = survivor_events("mia", NORTH, a_survivor(cancer_type="LUAD"))
    await matching.hears(block)
    without_key = await survivors.read_survivors(matching.tx, READER, [MIA])
    await matching.hears(key)
    with_key = await survivors.read_survivors(matching.tx, READER, [MIA, MAX])

    assert without_key == {MIA: None}
    assert with_key == {MIA: Survivor("LUAD", years_since_treatment=3)}
    for table in ("survivor_blocks", "survivor_keys"):
        rows = await matching.tx.conn.fetch(f"SELECT t::text FROM {table} AS t")  # noqa: S608
        assert "LUAD" not in str(rows)


async def test_a_key_of_another_block_opens_nothing(matching: Matching) -> None:
    block, _ = survivor_events("mia", NORTH, a_survivor())
    _, other_key = survivor_events("mia", NORTH, a_survivor())

    await matching.hears(block, other_key)

    assert await survivors.read_survivors(matching.tx, READER, [MIA]) == {MIA: None}


async def test_a_block_that_was_tampered_with_reads_as_unreadable(matching: Matching) -> None:
    block, key = survivor_events("mia", NORTH, a_survivor())
    other, _ = survivor_events("max", SOUTH, a_survivor())
    swapped = block.block.model_copy(update={"ciphertext": other.block.ciphertext})

    await matching.hears(block.model_copy(update={"block": swapped}), key)

    assert await survivors.read_survivors(matching.tx, READER, [MIA]) == {MIA: None}


async def test_a_key_that_is_not_for_us_any_more_is_forgotten(matching: Matching) -> None:
    block, key = survivor_events("mia", NORTH, a_survivor())
    contact_only = key.model_copy(update={"keys": key.keys[:1]})

    await matching.hears(block, key, contact_only)

    assert await survivors.read_survivors(matching.tx, READER, [MIA]) == {MIA: None}


async def test_survivors_and_keys_are_forgotten(matching: Matching) -> None:
    block, key = survivor_events("mia", NORTH, a_survivor())
    await matching.hears(block, key, KeyDeleted(person_id=MIA))
    without_key = await survivors.read_survivors(matching.tx, READER, [MIA])
    await matching.hears(SurvivorDeleted(person_id=MIA))

    assert without_key == {MIA: None}
    assert await survivors.read_survivors(matching.tx, READER, [MIA]) == {}


async def test_a_survivors_block_matters_to_the_lane_alone(matching: Matching) -> None:
    await matching.hears(a_programme_state(), mentee_state())
    await matching.tx.conn.execute("DELETE FROM kit.timers")

    await matching.hears(*survivor_events("mia", NORTH, a_survivor()))
    in_research = await timers(matching.tx)
    await matching.hears(a_programme_state(kind="survivorship"))
    await matching.tx.conn.execute("DELETE FROM kit.timers")
    await matching.hears(*survivor_events("mia", NORTH, a_survivor()))

    assert in_research == {}
    assert set(await timers(matching.tx)) == {
        ("propose", f"grants:{MIA}"),
        ("recheck", f"person:{MIA}"),
    }


async def test_an_answer_gets_a_receipt_and_moves_the_match(matching: Matching) -> None:
    match = await matching.proposes(north=MANUAL)

    said = await matching.hears(a_response(match.match_id, "clear", NORTH))

    assert kinds(said) == ["ReceiptAccepted", "MatchCleared"]
    receipt = said[0]
    assert isinstance(receipt, ReceiptAccepted)
    assert (receipt.outcome, receipt.about) == (Outcome.APPLIED, str(match.match_id))
    assert said[1] == MatchCleared(match_id=match.match_id, institution_id=NORTH, by="person")  # type: ignore[arg-type]


async def test_the_same_answer_in_another_event_changes_nothing(matching: Matching) -> None:
    match = await matching.proposes(north=MANUAL)
    await matching.hears(a_response(match.match_id, "clear", NORTH))

    (receipt,) = await matching.hears(a_response(match.match_id, "clear", NORTH))

    assert isinstance(receipt, ReceiptAccepted)
    assert receipt.outcome is Outcome.DUPLICATE


async def test_a_match_that_is_not_the_centers_is_unknown_to_it(matching: Matching) -> None:
    match = await matching.proposes()
    nowhere = derived_id("match", "nowhere")

    others = await matching.hears(a_response(match.match_id, "veto", "west-center"))
    missing = await matching.hears(a_response(nowhere, "veto", SOUTH))

    assert rejection(others) == rejection(missing) == "unknown_match"
    (one,), (other,) = others, missing
    assert isinstance(one, ReceiptRejected)
    assert isinstance(other, ReceiptRejected)
    assert one.problems == other.problems


async def test_an_answer_for_nobody_or_somebody_else_is_rejected(matching: Matching) -> None:
    match = await matching.proposes()

    nobody = await matching.answers(match.match_id, "accept", SOUTH)
    other = await matching.answers(match.match_id, "accept", SOUTH, MIA)

    assert rejection(nobody) == rejection(other) == "wrong_person"


async def test_an_answer_nobody_asked_for_is_rejected_and_changes_nothing(
    matching: Matching,
) -> None:
    match = await matching.proposes()

    said = await matching.answers(match.match_id, "accept", NORTH, MIA)

    assert kinds(said) == ["ReceiptRejected"]
    assert rejection(said) == "not_expected_now"
    state = await matching.tx.conn.fetchval("SELECT state FROM matches")
    assert state == State.OFFERED_TO_MENTOR


async def test_a_word_of_a_newer_center_is_rejected_with_those_we_know(
    matching: Matching,
) -> None:
    match = await matching.proposes()
    event = a_response(match.match_id, "perhaps")

    (said,) = await matching.hears(event)

    assert isinstance(said, ReceiptRejected)
    assert said.problems[0].rule == "unknown_answer"
    assert said.problems[0].suggestions == ("clear", "veto", "accept", "decline")


async def test_a_repeated_event_hears_what_it_heard_before(matching: Matching) -> None:
    match = await matching.proposes()
    good = a_response(match.match_id, "accept", SOUTH, MAX)
    bad = a_response(match.match_id, "accept", SOUTH, person_id("eve"))
    await matching.hears(good)
    (before,) = await matching.hears(bad)

    (again,) = await repeat_receipt(good, matching.tx)
    (unheard_of,) = await repeat_receipt(a_response(match.match_id, "clear"), matching.tx)
    (rejected,) = await repeat_receipt(bad, matching.tx)

    assert isinstance(again, ReceiptAccepted)
    assert again.outcome is Outcome.DUPLICATE
    assert isinstance(unheard_of, ReceiptAccepted)
    assert rejected == before


async def test_a_record_that_cannot_be_read_is_told_to_its_center(tx: Tx) -> None:
    refusal = Refusal(
        topic=f"ingress.{NORTH}.response",
        partition=1,
        offset=7,
        institution_id=NORTH,
        event_id=None,
        event_type=None,
        subject=None,
        reason_class="bad_envelope",
        problems=(("id", "is missing"),),
    )

    (told,) = await refuse_unreadable(refusal, tx)

    assert isinstance(told, ReceiptRejected)
    assert told.receipt_for == f"ingress.{NORTH}.response/1/7"
    assert [(p.field, p.rule) for p in told.problems] == [("id", "bad_envelope")]
    assert await refuse_unreadable(replace(refusal, institution_id=None), tx) == []
