"""A service is killed or stopped in the middle; the end is the same as without it."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import pytest

from oncomentor_client.subscriber import Subscriber
from oncomentor_contracts.event import Event
from oncomentor_contracts.matching import MatchActivated, MatchProposed
from oncomentor_contracts.scheduling import SessionBooked
from testkit.eventually import eventually
from testkit.network import Center, Network
from testkit.world import Row, a_mentee, a_mentor

LANGUAGES = ("de", "es", "fr", "it", "nl", "pl")
"""Each pair shares a language of its own, so that who meets whom does not hang on timing."""


def rows(programme: str, run: str) -> tuple[list[Row], list[Row]]:
    mentors = [a_mentor(f"m-{run}-{word}", programme, languages=[word]) for word in LANGUAGES]
    mentees = [a_mentee(f"e-{run}-{word}", programme, languages=[word]) for word in LANGUAGES]
    return mentors, mentees


def expected(harbor: Center, ridge: Center, run: str) -> set[tuple[UUID, UUID]]:
    return {
        (harbor.person_id(f"m-{run}-{word}"), ridge.person_id(f"e-{run}-{word}"))
        for word in LANGUAGES
    }


def activated(events: Sequence[Event], programme: str) -> list[MatchActivated]:
    return [
        event
        for event in events
        if isinstance(event, MatchActivated) and event.programme_id == programme
    ]


async def has_answered(center: Center) -> bool:
    topic = f"egress.{center.id}.receipt"
    async with Subscriber(center.credentials, topic, start="beginning") as receipts:
        return bool(await receipts.backlog())


async def has_proposed(network: Network, programme: str) -> bool:
    events = await network.events("matching.match")
    return any(isinstance(e, MatchProposed) and e.programme_id == programme for e in events)


async def sessions_of(network: Network, programme: str) -> list[SessionBooked]:
    events = await network.events("scheduling.session")
    return [e for e in events if isinstance(e, SessionBooked) and e.programme_id == programme]


async def invitations(network: Network, run: str) -> Counter[str]:
    """Return how many different invitations each person got: a repeat after a crash is one."""
    mails = {
        (mail["envelope_to"][0], mail["message_id"])
        for mail in await network.mails()
        if "text/calendar" in mail["attachments"]
    }
    return Counter(to for to, _ in mails if f"-{run}-" in to)


@pytest.mark.parametrize("part", ["profile", "matching", "scheduling", "notification"])
@pytest.mark.parametrize("ending", ["killed", "stopped"])
async def test_a_service_that_goes_away_in_the_middle_changes_nothing_in_the_end(
    whole: Network, part: str, ending: str
) -> None:
    run = f"{part}-{ending}"
    stack = whole.stack
    harbor, ridge = await whole.center(clearance="auto"), await whole.center()
    programme = await whole.programme()
    mentors, mentees = rows(programme, run)

    async with harbor.saying_yes(), ridge.saying_yes():
        publishing = asyncio.gather(harbor.publish(*mentors), ridge.publish(*mentees))
        await eventually(
            lambda: has_answered(harbor) if part == "profile" else has_proposed(whole, programme),
            within=30,
            every=0.01,
        )
        end = stack.kill_part if ending == "killed" else stack.stop_part
        await asyncio.to_thread(end, part)
        await asyncio.to_thread(stack.start_part, part)
        results = await publishing

        async def everyone_invited() -> bool:
            return len(await invitations(whole, run)) == 2 * len(LANGUAGES)

        await eventually(everyone_invited, within=60, every=0.5)

    assert [len(group) for group in results] == [len(LANGUAGES)] * 2
    matches = activated(await whole.events("matching.match"), programme)
    pairs = [(match.mentor.person_id, match.mentee.person_id) for match in matches]
    assert sorted(pairs) == sorted(expected(harbor, ridge, run))
    sessions = await sessions_of(whole, programme)
    assert sorted(s.match_id for s in sessions) == sorted(m.match_id for m in matches)
    assert set((await invitations(whole, run)).values()) == {1}
