from datetime import timedelta
from typing import Any

import pytest
from services.matching.tests.builders import NORTH, SOUTH, person_id
from services.matching.tests.network import (
    MAX,
    MIA,
    Matching,
    a_network,
    a_programme_state,
    a_survivor,
    an_institution,
    availability,
    do_job,
    due_timer,
    heard,
    kinds,
    mentee_state,
    mentor_state,
    of_kind,
    survivor_events,
)

from matching_service.jobs import propose as proposing
from oncomentor_contracts.block import SurvivorDeleted
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.institution import InstitutionDeleted
from oncomentor_contracts.matching import (
    ClearedBy,
    MatchCleared,
    MatchExpired,
    MatchOffered,
    MatchProposed,
    MatchWithdrawn,
    Side,
    Stage,
    WithdrawalReason,
)
from oncomentor_contracts.profile import ProfileDeleted
from oncomentor_contracts.programme import ProgrammeDeleted
from servicekit.tx import Tx

MANUAL: dict[str, Any] = {"clearance": "manual"}


@pytest.fixture
def matching(tx: Tx) -> Matching:
    return Matching(tx)


async def state_of(matching: Matching, match: MatchProposed) -> str:
    state: str = await matching.tx.conn.fetchval(
        "SELECT state FROM matches WHERE match_id = $1", match.match_id
    )
    return state


def withdrawn(events: list[Event]) -> WithdrawalReason:
    (event,) = of_kind(events, MatchWithdrawn)
    return event.reason


async def test_a_mentor_and_a_mentee_are_proposed_cleared_and_offered(
    matching: Matching,
) -> None:
    await matching.hears(*a_network())

    said = await matching.works()

    assert kinds(said) == ["MatchProposed", "MatchCleared", "MatchCleared", "MatchOffered"]
    proposed = said[0]
    assert isinstance(proposed, MatchProposed)
    assert proposed.match_id == derived_id("match", "grants", str(MAX), str(MIA))
    assert (proposed.mentor.person_id, proposed.mentee.person_id) == (MAX, MIA)
    assert proposed.clear_by == matching.tx.now + timedelta(hours=72)
    assert {event.by for event in of_kind(said, MatchCleared)} == {ClearedBy.POLICY}
    assert sum(c.points for c in proposed.explanation.contributions) == pytest.approx(
        proposed.score, abs=1e-9
    )
    assert len(proposed.explanation.rules) > 15


async def test_what_follows_from_a_profile_is_told_as_caused_by_it(matching: Matching) -> None:
    await matching.hears(*a_network())

    await matching.works()

    cause = "SELECT correlationid FROM kit.timers WHERE kind = 'advance'"
    assert await matching.tx.conn.fetchval(cause) == f"because of {MIA}"


async def test_both_people_and_both_centers_lead_to_an_active_match(
    matching: Matching,
) -> None:
    match = await matching.proposes(north=MANUAL, south=MANUAL)

    said = [
        *await matching.answers(match.match_id, "clear", NORTH),
        *await matching.answers(match.match_id, "clear", SOUTH),
        *await matching.answers(match.match_id, "accept", SOUTH, MAX),
        *await matching.answers(match.match_id, "accept", NORTH, MIA),
    ]

    assert [kind for kind in kinds(said) if kind != "ReceiptAccepted"] == [
        "MatchCleared",
        "MatchCleared",
        "MatchOffered",
        "MatchAccepted",
        "MatchOffered",
        "MatchAccepted",
        "MatchActivated",
    ]
    assert [offer.to for offer in of_kind(said, MatchOffered)] == [Side.MENTOR, Side.MENTEE]
    assert await matching.waits(days=30) == []


async def test_a_window_that_passes_clears(matching: Matching) -> None:
    window = {"clearance": "window", "clearance_window_hours": 5}
    await matching.proposes(north=window, south={"clearance": "auto"})

    before = await matching.waits(hours=4)
    after = await matching.waits(hours=2)

    assert before == []
    assert kinds(after) == ["MatchCleared", "MatchOffered"]


async def test_a_center_that_says_nothing_lets_the_proposal_expire(matching: Matching) -> None:
    await matching.proposes(north=MANUAL)

    said = await matching.waits(hours=73)

    (expired,) = of_kind(said, MatchExpired)
    assert expired.waiting_for is Stage.CLEARANCE


async def test_silence_of_a_mentor_brings_the_next_candidate(matching: Matching) -> None:
    first = await matching.proposes()
    await matching.hears(mentor_state("ann"))

    said = await matching.waits(hours=73)

    (expired,) = of_kind(said, MatchExpired)
    (second,) = of_kind(said, MatchProposed)
    assert (expired.match_id, expired.waiting_for) == (first.match_id, Stage.MENTOR)
    assert second.mentor.person_id == person_id("ann")


async def test_a_no_brings_the_next_candidate_and_never_the_same(matching: Matching) -> None:
    match = await matching.proposes()

    said = await matching.answers(match.match_id, "decline", SOUTH, MAX)
    again = await matching.waits(days=1)
    await matching.hears(mentor_state("max", version=2, languages=["en", "pt"]))
    after_change = await matching.waits(days=1)

    assert "MatchDeclined" in kinds(said)
    assert again == after_change == []


@pytest.mark.parametrize(("word", "again"), [("decline", False), (None, True)])
async def test_a_no_counts_in_every_programme_and_silence_in_its_own(
    matching: Matching, word: str | None, again: bool
) -> None:
    match = await matching.proposes()
    if word is not None:
        await matching.answers(match.match_id, word, SOUTH, MAX)
    await matching.waits(hours=73)

    leaders = {"programme_id": "leaders"}
    await matching.hears(a_programme_state(**leaders))
    await matching.hears(
        mentor_state(version=2, role=leaders), mentee_state(version=2, role=leaders)
    )
    said = await matching.waits(seconds=1)

    assert ("MatchProposed" in kinds(said)) is again


async def test_a_mentee_waits_until_somebody_comes(matching: Matching) -> None:
    await matching.hears(an_institution(NORTH), an_institution(SOUTH), a_programme_state())
    await matching.hears(mentee_state())
    alone = await matching.waits(seconds=1)

    await matching.hears(mentor_state())

    assert alone == []
    assert "MatchProposed" in kinds(await matching.waits(seconds=1))


@pytest.mark.parametrize("mode", ["round", "choose"])
async def test_a_programme_that_matches_in_rounds_proposes_to_nobody_meanwhile(
    matching: Matching, mode: str
) -> None:
    await matching.hears(*a_network(programme={"mode": mode}))

    assert await matching.waits(seconds=5) == []


@pytest.mark.parametrize("last", ["institution", "programme", "mentor", "mentee"])
async def test_topics_may_be_heard_in_any_order(matching: Matching, last: str) -> None:
    events: dict[str, Event] = {
        "institution": an_institution(SOUTH),
        "programme": a_programme_state(),
        "mentor": mentor_state(),
        "mentee": mentee_state(),
    }
    first = [event for name, event in events.items() if name != last]
    await matching.hears(an_institution(NORTH), *first)
    await matching.waits(seconds=1)

    await matching.hears(events[last])

    assert "MatchProposed" in kinds(await matching.waits(seconds=1))


async def test_a_mentee_gets_as_many_mentors_as_wanted(matching: Matching) -> None:
    await matching.hears(*a_network()[:3], *(mentor_state(name) for name in ("a", "b", "c")))
    await matching.hears(mentee_state(role={"wanted_mentors": 2}))

    said = await matching.waits(seconds=1)

    proposals = of_kind(said, MatchProposed)
    assert len({p.mentor.person_id for p in proposals}) == len(proposals) == 2


async def test_a_job_repeated_after_a_crash_makes_no_second_match(matching: Matching) -> None:
    await matching.proposes()
    key = f"grants:{MIA}"

    await matching.tx.schedule("propose", key, matching.tx.now)

    assert await matching.works() == []


async def test_waiting_mentees_are_looked_at_in_batches(
    matching: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposing, "WAITING_BATCH", 2)
    names = [f"mentee {number}" for number in range(5)]
    await matching.hears(*a_network()[:3], *(mentee_state(name) for name in names))
    await matching.waits(seconds=1)

    await matching.hears(mentor_state(role={"capacity": 5}))
    said = await matching.waits(seconds=1)

    assert {p.mentee.person_id for p in of_kind(said, MatchProposed)} == {
        person_id(name) for name in names
    }


async def test_a_second_cleared_match_finds_no_seat_and_looks_further(
    matching: Matching,
) -> None:
    await matching.hears(*a_network(north=MANUAL), mentee_state("mei"))
    proposals = of_kind(await matching.waits(seconds=1), MatchProposed)
    await matching.hears(mentor_state("ann"))
    await matching.waits(seconds=1)

    first = await matching.answers(proposals[0].match_id, "clear", NORTH)
    second = await matching.answers(proposals[1].match_id, "clear", NORTH)

    assert len(proposals) == 2
    assert kinds(first)[-1] == "MatchOffered"
    assert kinds(second)[:3] == ["ReceiptAccepted", "MatchCleared", "MatchSuperseded"]
    (next_one,) = of_kind(second, MatchProposed)
    assert next_one.mentor.person_id == person_id("ann")


async def test_a_seat_that_is_free_again_goes_to_who_waits(matching: Matching) -> None:
    match = await matching.proposes()
    await matching.hears(mentee_state("mei"))
    waiting = await matching.waits(seconds=1)

    await matching.answers(match.match_id, "decline", SOUTH, MAX)
    said = await matching.waits(seconds=1)

    assert waiting == []
    (proposed,) = of_kind(said, MatchProposed)
    assert proposed.mentee.person_id == person_id("mei")


async def test_a_veto_is_told_at_the_end_of_the_window_and_then_the_next_is_proposed(
    matching: Matching,
) -> None:
    match = await matching.proposes(north=MANUAL)
    await matching.hears(mentor_state("ann"))

    at_once = await matching.answers(match.match_id, "veto", SOUTH)
    meanwhile = await matching.waits(hours=71)
    at_the_end = await matching.waits(hours=2)

    assert (kinds(at_once), meanwhile) == (["ReceiptAccepted"], [])
    assert kinds(at_the_end)[:2] == ["MatchNotAvailable", "MatchProposed"]


async def test_a_veto_of_an_offer_frees_the_seat_for_others_at_once(
    matching: Matching,
) -> None:
    match = await matching.proposes()
    await matching.hears(mentee_state("mei"))
    await matching.waits(seconds=1)

    await matching.answers(match.match_id, "veto", NORTH)
    said = await matching.waits(seconds=1)

    assert [p.mentee.person_id for p in of_kind(said, MatchProposed)] == [person_id("mei")]
    assert await state_of(matching, match) == "offered_to_mentor"
    assert kinds(await matching.waits(hours=73))[0] in {"MatchNotAvailable", "MatchExpired"}
    assert await state_of(matching, match) == "not_available"


async def test_a_block_that_comes_late_reads_like_a_veto(matching: Matching) -> None:
    match = await matching.proposes(north=MANUAL)

    await matching.hears(mentee_state(version=2, blocked_person_ids=[str(MAX)]))
    at_once = await matching.works()
    at_the_end = await matching.waits(hours=73)

    assert at_once == []
    assert kinds(at_the_end) == ["MatchNotAvailable"]
    story = await matching.tx.conn.fetch("SELECT fact, private_to FROM match_steps ORDER BY step")
    assert ("conflict_found", "consortium") in [tuple(line) for line in story]
    assert await state_of(matching, match) == "not_available"


async def test_an_answer_to_a_vetoed_offer_is_taken_and_leads_nowhere(
    matching: Matching,
) -> None:
    match = await matching.proposes()
    await matching.answers(match.match_id, "veto", NORTH)

    said = await matching.answers(match.match_id, "accept", SOUTH, MAX)
    at_the_end = await matching.waits(hours=73)

    assert kinds(said) == ["ReceiptAccepted"]
    assert kinds(at_the_end) == ["MatchNotAvailable"]
    story = await matching.tx.conn.fetch("SELECT fact, private_to FROM match_steps ORDER BY step")
    assert ("noted", SOUTH) in [tuple(line) for line in story]


async def test_a_job_for_what_is_not_there_any_more_does_nothing(matching: Matching) -> None:
    nobody = person_id("nobody")
    await matching.hears(*a_network()[:3])

    await matching.tx.schedule("advance", str(nobody), matching.tx.now)
    await matching.tx.schedule("propose", f"grants:{nobody}", matching.tx.now)
    await matching.tx.schedule("propose", f"nothing:{nobody}", matching.tx.now)
    await matching.tx.schedule("recheck", f"person:{nobody}", matching.tx.now)

    assert await matching.works() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (mentee_state(version=2, state="paused"), WithdrawalReason.PERSON_PAUSED),
        (mentor_state(version=2, state="paused"), WithdrawalReason.PERSON_PAUSED),
        (ProfileDeleted(person_id=MIA), WithdrawalReason.PERSON_LEFT),
        (ProfileDeleted(person_id=MAX), WithdrawalReason.PERSON_LEFT),
        (mentee_state(version=2, mentee_roles=[]), WithdrawalReason.PERSON_LEFT),
        (mentor_state(version=2, mentor_roles=[]), WithdrawalReason.PERSON_LEFT),
        (mentee_state(version=2, languages=["pt"]), WithdrawalReason.RULE_BROKEN),
        (mentor_state(version=2, consents=[]), WithdrawalReason.RULE_BROKEN),
        (availability("max", SOUTH, weekly_hours=[]), WithdrawalReason.RULE_BROKEN),
        (a_programme_state(active=False), WithdrawalReason.RULE_BROKEN),
        (ProgrammeDeleted(programme_id="grants"), WithdrawalReason.RULE_BROKEN),
        (an_institution(NORTH, partners_refused=[SOUTH]), WithdrawalReason.RULE_BROKEN),
        (an_institution(SOUTH, state="suspended"), WithdrawalReason.INSTITUTION_LEFT),
        (InstitutionDeleted(institution_id=NORTH), WithdrawalReason.INSTITUTION_LEFT),
    ],
)
async def test_an_open_match_is_withdrawn_when_what_it_rests_on_changes(
    matching: Matching, change: Event, reason: WithdrawalReason
) -> None:
    match = await matching.proposes()

    await matching.hears(heard(change))
    said = await matching.waits(seconds=1)

    assert withdrawn(said) is reason
    assert await state_of(matching, match) == "withdrawn"


async def test_an_active_match_is_not_withdrawn_by_a_change(matching: Matching) -> None:
    match = await matching.proposes()
    await matching.answers(match.match_id, "accept", SOUTH, MAX)
    await matching.answers(match.match_id, "accept", NORTH, MIA)

    await matching.hears(mentee_state(version=2, languages=["pt"]))
    said = await matching.waits(seconds=1)

    assert said == []


async def test_a_mentor_with_fewer_seats_keeps_the_oldest_holds(matching: Matching) -> None:
    await matching.hears(*a_network()[:3], mentor_state(role={"capacity": 3}))
    held = []
    for name in ("ann", "bob", "cai"):
        await matching.hears(mentee_state(name))
        held += of_kind(await matching.waits(minutes=1), MatchProposed)

    await matching.hears(mentor_state(version=2, role={"capacity": 1}))
    said = await matching.waits(seconds=1)

    assert kinds(said) == ["MatchSuperseded", "MatchSuperseded"]
    states = [await state_of(matching, match) for match in held]
    assert states == ["offered_to_mentor", "superseded", "superseded"]


async def test_a_programme_with_fewer_seats_releases_the_newest_holds(
    matching: Matching,
) -> None:
    await matching.hears(*a_network()[:3], mentor_state(role={"capacity": None}))
    for name in ("ann", "bob"):
        await matching.hears(mentee_state(name))
        await matching.waits(minutes=1)

    await matching.hears(a_programme_state(mentor_capacity=1))
    said = await matching.waits(seconds=1)

    assert kinds(said) == ["MatchSuperseded"]


async def test_who_is_on_the_queue_already_is_not_moved_back(matching: Matching) -> None:
    await matching.hears(*a_network()[:3], mentee_state())
    due = await matching.tx.conn.fetchval("SELECT due_at FROM kit.timers WHERE kind = 'propose'")
    matching.tx.now += timedelta(minutes=1)

    await matching.tx.schedule("propose_waiting", "grants@1", due - timedelta(minutes=1))
    timer = await due_timer(matching.tx)
    assert timer is not None
    await do_job(matching.tx, timer)

    again = "SELECT due_at FROM kit.timers WHERE kind = 'propose'"
    assert await matching.tx.conn.fetchval(again) == due


async def lane(matching: Matching, **south: Any) -> list[Event]:
    """A survivorship programme whose mentor and mentee differ from the default in what is given."""
    centers = {"survivor_lane": True}
    await matching.hears(*a_network(north=centers, south=centers, programme=LANE))
    await matching.hears(*survivor_events("mia", NORTH, a_survivor(cancer_type="LUAD")))
    await matching.hears(
        *survivor_events("max", SOUTH, a_survivor(**{"cancer_type": "LUSC"} | south))
    )
    return await matching.waits(seconds=1)


LANE: dict[str, Any] = {
    "kind": "survivorship",
    "weights": [{"criterion": "cancer_type", "weight": 1.0}],
}


async def test_survivors_are_matched_and_told_in_bands(matching: Matching) -> None:
    said = await lane(matching)

    (proposed,) = of_kind(said, MatchProposed)
    assert proposed.explanation.contributions[0].reason == "same tumour family"
    assert not any(secret in proposed.model_dump_json() for secret in ("LUAD", "LUSC"))
    for table in ("matches", "match_steps", "kit.timers", "people"):
        rows = await matching.tx.conn.fetch(f"SELECT t::text FROM {table} AS t")  # noqa: S608
        assert not any(secret in str(rows) for secret in ("LUAD", "LUSC"))


@pytest.mark.parametrize(
    "mentor", [{"years_since_treatment": 0.5}, {"readiness": "recurrence"}, {"readiness": "later"}]
)
async def test_a_survivor_who_is_not_there_yet_is_not_proposed(
    matching: Matching, mentor: dict[str, Any]
) -> None:
    assert await lane(matching, **mentor) == []


async def test_a_recurrence_takes_an_open_proposal_back_as_a_pause(matching: Matching) -> None:
    await lane(matching)

    await matching.hears(*survivor_events("max", SOUTH, a_survivor(readiness="recurrence")))
    said = await matching.waits(seconds=1)

    assert withdrawn(said) is WithdrawalReason.PERSON_PAUSED


async def test_a_new_key_that_comes_before_its_block_takes_nothing_back(
    matching: Matching,
) -> None:
    await lane(matching)
    block, key = survivor_events("max", SOUTH, a_survivor())

    await matching.hears(key)
    between = await matching.waits(seconds=1)
    await matching.hears(block)

    assert between == await matching.waits(seconds=1) == []


async def test_a_survivor_who_takes_the_block_back_is_withdrawn(matching: Matching) -> None:
    await lane(matching)

    await matching.hears(SurvivorDeleted(person_id=MAX))

    assert withdrawn(await matching.waits(seconds=1)) is WithdrawalReason.PERSON_PAUSED


async def test_the_story_of_a_match_is_kept_in_order(matching: Matching) -> None:
    match = await matching.proposes(north=MANUAL)
    await matching.answers(match.match_id, "veto", SOUTH)
    await matching.waits(hours=73)

    rows = await matching.tx.conn.fetch("SELECT * FROM match_steps ORDER BY step")

    assert [(row["step"], row["fact"], row["private_to"]) for row in rows] == [
        (1, "proposed", None),
        (2, "cleared", None),
        (3, "vetoed", SOUTH),
        (4, "not_available", None),
    ]
