"""The path of the network, end to end, as centers, people and subscribers see it."""

import email
import email.policy
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from uuid import UUID

import httpx
import pytest
from ical.calendar_stream import IcsCalendarStream

from oncomentor_client.publisher import RowOutcome
from oncomentor_client.session import Via
from oncomentor_contracts.envelope import from_headers
from oncomentor_contracts.matching import MatchActivated, MatchProposed
from oncomentor_contracts.notification import MatchState, MatchUpdated
from oncomentor_contracts.scheduling import SessionBooked
from testkit.eventually import eventually
from testkit.network import Center, Network, independent_read
from testkit.world import a_mentee, a_mentor


async def session_between(network: Network, mentor: UUID, mentee: UUID) -> SessionBooked:
    async def booked() -> SessionBooked | None:
        for event in await network.events("scheduling.session"):
            if isinstance(event, SessionBooked):
                people = {attendee.person_id for attendee in event.attendees}
                if people == {mentor, mentee}:
                    return event
        return None

    found = await eventually(booked, within=60, every=0.5)
    assert found is not None
    return found


async def mails_to(network: Network, address: str, *, count: int) -> list[EmailMessage]:
    async def arrived() -> list[EmailMessage]:
        found = []
        async with httpx.AsyncClient(base_url=network.url("mail")) as client:
            for listed in await network.mails():
                if listed["envelope_to"] != [address]:
                    continue
                raw = await client.get(f"/api/messages/{listed['id']}.eml")
                found.append(email.message_from_bytes(raw.content, policy=email.policy.default))
        return found if len(found) >= count else []

    return await eventually(arrived, within=30, every=0.5)


def calendar_part(message: EmailMessage) -> EmailMessage:
    for part in message.walk():
        if part.get_content_type() == "text/calendar":
            assert isinstance(part, EmailMessage)
            return part
    raise AssertionError(f"no calendar in '{message['Subject']}'")


@pytest.mark.parametrize("via", list(Via))
async def test_two_people_of_two_centers_meet(whole: Network, via: Via) -> None:
    harbor, ridge = await whole.center(), await whole.center(clearance="auto")
    programme = await whole.programme()
    mentor, mentee = harbor.person_id(f"m-{via}"), ridge.person_id(f"e-{via}")

    async with harbor.saying_yes(), ridge.saying_yes():
        published = await harbor.publish(a_mentor(f"m-{via}", programme), via=via)
        published += await ridge.publish(a_mentee(f"e-{via}", programme))
        session = await session_between(whole, mentor, mentee)

    assert [result.outcome for result in published] == [RowOutcome.ACCEPTED] * 2
    assert session.starts_at >= datetime.now(UTC) + timedelta(hours=23)
    for address in (f"m-{via}@people.invalid", f"e-{via}@people.invalid"):
        messages = await mails_to(whole, address, count=2)  # the offer, then the invitation
        invitation = next(m for m in messages if "text/calendar" in str(m))
        part = calendar_part(invitation)
        assert part.get_param("method") == "REQUEST"
        calendar = IcsCalendarStream.calendar_from_ics(part.get_content())
        (event,) = calendar.events
        assert event.uid == session.ical_uid
        assert event.start_datetime == session.starts_at
        assert event.computed_duration == timedelta(minutes=session.duration_minutes)
        assert [attendee.uri for attendee in event.attendees] == [f"mailto:{address}"]
        assert "survivor" not in str(invitation["Subject"]).lower()


async def test_publishing_again_changes_nothing_and_a_change_back_is_a_change(
    whole: Network,
) -> None:
    harbor = await whole.center()
    programme = await whole.programme()
    row = a_mentor("again", programme)
    other = a_mentor("again", programme, languages=["pt"])

    outcomes = []
    for said in (row, row, other, row):
        (result,) = await harbor.publish(said)
        outcomes.append(result.outcome)

    assert outcomes == [
        RowOutcome.ACCEPTED,
        RowOutcome.UNCHANGED,
        RowOutcome.ACCEPTED,
        RowOutcome.ACCEPTED,
    ]


async def test_a_programme_that_only_the_hub_knows_to_be_closed_is_said_back(
    whole: Network,
) -> None:
    harbor, ridge = await whole.center(), await whole.center()
    programme = await whole.programme(participants=[ridge.id])

    (result,) = await harbor.publish(a_mentor("outside", programme))

    assert result.outcome is RowOutcome.REJECTED
    (problem,) = result.problems
    assert "programme_id" in problem.field
    assert problem.fix


async def test_each_center_hears_its_own_half_and_an_independent_client_can_read_it(
    whole: Network,
) -> None:
    harbor, ridge = await whole.center(), await whole.center()
    programme = await whole.programme()
    mentor, mentee = harbor.person_id("half-m"), ridge.person_id("half-e")

    async with harbor.saying_yes(), ridge.saying_yes():
        await harbor.publish(a_mentor("half-m", programme))
        await ridge.publish(a_mentee("half-e", programme))
        await session_between(whole, mentor, mentee)

    async def active(center: Center) -> MatchUpdated | None:
        records = independent_read(whole.stack, center.id, f"egress.{center.id}.match")
        updates = [MatchUpdated.received(from_headers(h.items()), value) for h, value in records]
        return next((u for u in updates if u.state is MatchState.ACTIVE), None)

    ours, theirs = await eventually(lambda: active(harbor)), await eventually(lambda: active(ridge))
    assert ours is not None
    assert theirs is not None
    assert (ours.person_id, ours.counterpart_id) == (mentor, mentee)
    assert (theirs.person_id, theirs.counterpart_id) == (mentee, mentor)
    for topic in ("matching.match", "profile.profile", f"egress.{ridge.id}.match", "profile.key"):
        with pytest.raises(PermissionError):
            independent_read(whole.stack, harbor.id, topic)
    facts = independent_read(whole.stack, "downstream", "matching.match")
    types = {from_headers(headers.items()).type for headers, _ in facts}
    assert {MatchProposed.TYPE, MatchActivated.TYPE} <= types
