import dataclasses
from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest

from oncomentor_cli.demo.checks import run_checks
from oncomentor_cli.demo.report import show_report, summary
from oncomentor_cli.demo.timeline import timeline, told_match
from oncomentor_cli.demo.world import World
from oncomentor_client.journal import Verdict
from oncomentor_client.message import Answer
from oncomentor_client.publisher import RowOutcome
from oncomentor_client.row import problem
from oncomentor_client.subscriber import Received
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.matching import MatchAccepted, MatchActivated, MatchCleared, MatchProposed
from oncomentor_contracts.notification import DeliveryIntended, DeliverySent, Template
from oncomentor_contracts.programme import ProgrammeKind
from oncomentor_contracts.scheduling import SessionBooked

Change = Callable[[Event], Event | None]


def spoil(told: World, change: Change) -> World:
    """Tell the story again with events changed, or (None) left out."""
    observation = told.observation
    for match in list(observation.matches.values()):
        changed = change(match.proposed.event)
        if changed is None:
            del observation.matches[match.proposal.match_id]
            continue
        match.proposed = dataclasses.replace(match.proposed, event=changed)
        steps = [(step, change(step.event)) for step in match.steps]
        match.steps = [dataclasses.replace(s, event=e) for s, e in steps if e is not None]
    for table in (observation.sessions, observation.settled):
        for key, seen in list(table.items()):
            kept = [(one, change(one.event)) for one in seen]
            table[key] = [dataclasses.replace(s, event=e) for s, e in kept if e is not None]
    for delivery_id, one in list(observation.intended.items()):
        changed = change(one.event)
        if changed is None:
            del observation.intended[delivery_id]
        else:
            observation.intended[delivery_id] = dataclasses.replace(one, event=changed)
    return told


def failing(world: World) -> set[str]:
    return {check.name for check in run_checks(world) if not check.ok}


def once(kind: type[Event], change: Change) -> Change:
    """Change the first event of a kind and leave the others."""
    seen = count()
    return lambda event: change(event) if isinstance(event, kind) and next(seen) == 0 else event


def gone(event: Event) -> None:
    return None


def test_a_story_without_faults_passes_every_check(world: World) -> None:
    assert failing(world) == set()
    assert list(world.loose_ends()) == []
    assert len(world.observation.active()) > 15


@pytest.mark.parametrize(
    ("change", "caught_by"),
    [
        (once(MatchActivated, gone), "every match comes to its end"),
        (once(MatchAccepted, gone), "every match comes to its end"),
        (once(MatchCleared, gone), "every match comes to its end"),
        (once(SessionBooked, gone), "every active match has its session"),
        (once(DeliveryIntended, gone), "everybody is told, once"),
        (once(DeliverySent, gone), "everybody is told, once"),
        (
            once(MatchProposed, lambda e: e.model_copy(update={"score": 0.9})),
            "every proposal explains its score",
        ),
        (
            once(
                SessionBooked,
                lambda e: e.model_copy(
                    update={"starts_at": getattr(e, "starts_at") + timedelta(hours=9)}  # noqa: B009 - a session, by the kind above
                ),
            ),
            "every active match has its session",
        ),
    ],
)
def test_a_missing_or_wrong_step_is_named(world: World, change: Change, caught_by: str) -> None:
    assert caught_by in failing(spoil(world, change))


def test_a_pair_that_breaks_a_rule_is_named(world: World) -> None:
    paused = next(
        one for one in world.people.values() if one.survivor and one.survivor.readiness == "paused"
    )

    def change(event: Event) -> Event:
        if isinstance(event, MatchProposed) and event.programme_id == "survivor-demo":
            party = event.mentee.model_copy(
                update={"person_id": paused.person_id, "institution_id": paused.center_id}
            )
            return event.model_copy(update={"mentee": party})
        return event

    told = spoil(world, change)

    (check,) = (one for one in run_checks(told) if one.name == "no pair breaks a hard rule")
    assert any("survivor lane" in one for one in check.failures)


def test_a_seat_given_twice_is_named(world: World) -> None:
    mentor = world.observation.active()[0].proposal.mentor

    told = spoil(
        world,
        lambda e: (
            e.model_copy(update={"mentor": mentor})
            if isinstance(e, MatchProposed) and e.programme_id == "research-demo"
            else e
        ),
    )

    assert "no seat is given twice" in failing(told)


def test_a_mentee_left_beside_a_free_seat_is_named(world: World) -> None:
    match = world.observation.active()[0]
    del world.observation.matches[match.proposal.match_id]

    assert "nobody waits beside a free seat" in failing(world)


def test_a_programme_nobody_was_matched_in_is_named(world: World) -> None:
    for match in world.observation.active():
        if match.proposal.programme_id == "clinical-demo":
            del world.observation.matches[match.proposal.match_id]

    assert "every programme has an active match" in failing(world)


def test_two_sessions_at_once_are_named(world: World) -> None:
    by_mentor: dict[object, list[SessionBooked]] = {}
    for match_id in world.observation.matches:
        for one in world.observation.booked(match_id):
            assert isinstance(one.event, SessionBooked)
            by_mentor.setdefault(one.event.attendees[0].person_id, []).append(one.event)
    first, second = next(found[:2] for found in by_mentor.values() if len(found) > 1)

    told = spoil(
        world,
        lambda e: (
            e.model_copy(update={"starts_at": first.starts_at})
            if isinstance(e, SessionBooked) and e.session_id == second.session_id
            else e
        ),
    )

    (check,) = (c for c in run_checks(told) if c.name == "every active match has its session")
    assert any("in two sessions" in one for one in check.failures)


def test_a_doubled_or_misdirected_mail_is_named(world: World) -> None:
    world.mails.append(world.mails[0])
    assert failing(world) == {"everybody is told, once"}

    world.mails.pop()
    world.mails[0] = dataclasses.replace(world.mails[0], recipients=("eve@harbor-demo.invalid",))
    assert failing(world) == {"everybody is told, once"}


def test_a_calendar_that_says_something_else_is_named(world: World) -> None:
    for index, mail in enumerate(world.mails):
        if mail.calendar is not None:
            wrong = dataclasses.replace(mail.calendar, uid="another")
            world.mails[index] = dataclasses.replace(mail, calendar=wrong)
            break

    assert failing(world) == {"calendars say what was booked"}


def test_a_name_in_an_offer_or_on_a_public_topic_is_named(world: World) -> None:
    name = next(iter(world.people.values())).contact.display_name
    world.observation.values.append(("matching.match", f'{{"note": "{name}"}}'.encode()))
    assert failing(world) == {"names stay sealed until both said yes"}

    world.observation.values.pop()
    offer = next(
        seen.event
        for seen in world.observation.intended.values()
        if isinstance(seen.event, DeliveryIntended)
        and seen.event.template is Template.MATCH_OFFERED
    )
    match = world.observation.matches[offer.match_id]
    other = next(one for one in match.pair[1:] if one != offer.person_id)
    mail = world.mail_of(offer.delivery_id)[0]
    words = f"Meet {world.people[other].contact.display_name}"
    world.mails[world.mails.index(mail)] = dataclasses.replace(mail, words=words)
    assert failing(world) == {"names stay sealed until both said yes"}


def test_rows_that_were_judged_otherwise_than_planned_are_named(world: World) -> None:
    rows = world.results["harbor-demo"]
    right = next(i for i, one in enumerate(rows) if one.outcome is RowOutcome.ACCEPTED)
    wrong = next(i for i, one in enumerate(rows) if one.outcome is RowOutcome.INVALID)
    rows[right] = dataclasses.replace(rows[right], outcome=RowOutcome.PENDING)
    rows[wrong] = dataclasses.replace(rows[wrong], problems=(problem("a", "b", "c", "d"),))

    assert failing(world) == {"every right row is taken in", "wrong rows are found at home"}


def test_a_refused_answer_and_an_unreadable_record_are_named(world: World) -> None:
    told = problem("answer", "not_expected_now", "clearance is over", "nothing")
    world.agents[0].refused.append(Answer(uuid7(world.began_at), Verdict.REJECTED, (told,)))
    record = Received("matching.match", 0, 7, world.began_at, None, b"{", None, None, "no JSON")
    world.observation.faults.append(record)

    assert failing(world) == {"the centers' answers are taken", "every record can be read"}


def test_a_repetition_that_doubles_something_is_named(world: World) -> None:
    for rows in world.results.values():
        rows[:] = [
            dataclasses.replace(one, outcome=RowOutcome.UNCHANGED)
            if one.outcome is RowOutcome.ACCEPTED
            else one
            for one in rows
        ]
    world.before = world.counts()
    assert world.is_repetition()
    assert failing(world) == set()

    world.before["mails"] -= 1
    assert failing(world) == {"a repetition doubles nothing"}


def test_a_failed_check_says_what_was_expected_and_where_to_look(world: World) -> None:
    told = spoil(world, once(SessionBooked, gone))

    (check,) = (one for one in run_checks(told) if not one.ok and "session" in one.name)

    assert "expected: one, within both people's hours" in check.told()
    assert "has 0 sessions" in check.told()
    assert "look at: oncomentor tail scheduling.session" in check.told()


def test_the_timeline_goes_from_two_profiles_to_two_invitations(world: World) -> None:
    match = told_match(world)
    assert match is not None

    moments = timeline(world, match)

    kinds = [moment.event for moment in moments]
    assert kinds[:2] == ["receipt.accepted.v1"] * 2
    assert kinds.count("match.cleared.v1") == len({p.institution_id for p in (
        match.proposal.mentor, match.proposal.mentee)})  # fmt: skip
    assert kinds.count("match.accepted.v1") == 2
    assert kinds.count("mail") == kinds.count("delivery.sent.v1") == 4
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    assert {moment.where for moment in moments} >= {
        "matching.match", "scheduling.session", "notification.delivery",
    }  # fmt: skip


def test_the_report_and_the_summary_tell_the_same_story(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = run_checks(world)

    show_report(world, checks, keeps=False, inbox="127.0.0.1:1")
    told = summary(world, checks, 1.0)

    printed = capsys.readouterr().out
    assert "synthetic" in printed.splitlines()[0]
    assert f"checks: {len(checks)} of {len(checks)} hold" in printed
    assert told["ok"] is True
    assert len(told["matches"]) == len(world.observation.matches)
    assert all(str(match["mentor"])[:8] in printed for match in told["matches"])
    assert {row["problems"][0]["rule"] for row in told["wrong_rows"]} == {
        fault.rule for file in world.files for fault in file.faults.values()
    }
    assert ProgrammeKind.SURVIVORSHIP.value not in printed.lower().replace("survivor-demo", "")
