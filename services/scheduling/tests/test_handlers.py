import json
from datetime import timedelta
from uuid import UUID

import pytest
from services.scheduling.tests.builders import (
    ADA,
    BEN,
    JOBS,
    MATCH,
    a_departure,
    a_match,
    a_person,
    a_profile,
    a_programme,
    an_institution,
)

from oncomentor_contracts.institution import InstitutionDeleted, InstitutionState
from oncomentor_contracts.programme import ProgrammeDeleted
from scheduling_service import handlers
from scheduling_service.domain import work
from scheduling_service.domain.match import Booking
from scheduling_service.store import projection
from servicekit.errors import UnprocessableError
from servicekit.observing import trace
from servicekit.tx import Tx


async def timers(tx: Tx, kind: str) -> list[dict[str, object]]:
    rows = await tx.conn.fetch(
        "SELECT payload FROM kit.timers WHERE kind = $1 AND due_at = $2 ORDER BY key", kind, tx.now
    )
    return [json.loads(row["payload"]) for row in rows]


async def test_a_profile_is_kept_with_its_hours_and_pledges(tx: Tx) -> None:
    hours = [(1, "09:00", "12:00"), (2, "22:00", "00:00")]
    profile = a_profile(ADA, hours=hours, pledges={"research": 120, "clinical": None})

    said = await handlers.project_people([profile], tx)

    assert said == []
    assert await projection.list_people(tx, [ADA]) == {
        ADA: a_person(ADA, hours=hours, pledges={"research": 120})
    }


async def test_of_several_profiles_of_one_person_the_last_counts(tx: Tx) -> None:
    old, new = a_profile(ADA, zone="Europe/Lisbon"), a_profile(ADA, zone="Asia/Kolkata")

    await handlers.project_people([old, a_profile(BEN), new], tx)

    people = await projection.list_people(tx, [ADA, BEN])
    assert people[ADA].time_zone == "Asia/Kolkata"
    assert len(people) == 2


async def test_people_are_refreshed_each_with_the_cause_of_their_change(tx: Tx) -> None:
    profile = a_profile(ADA)

    await handlers.project_people([profile], tx)

    (payload,) = await timers(tx, work.REFRESH_PEOPLE)
    event_id = profile.envelope.id
    cause = [trace.of_event(event_id), f"story of {ADA}", str(event_id)]
    assert payload == {"people": {str(ADA): cause}}


async def test_many_people_are_refreshed_in_parts(tx: Tx) -> None:
    people = [a_profile(UUID(int=number)) for number in range(1, 1202)]

    await handlers.project_people(people, tx)

    sizes = [len(payload["people"]) for payload in await timers(tx, work.REFRESH_PEOPLE)]  # type: ignore[arg-type]
    assert sorted(sizes) == [201, 500, 500]


async def test_whoever_leaves_is_forgotten_and_refreshed(tx: Tx) -> None:
    await handlers.project_people([a_profile(ADA), a_profile(BEN)], tx)

    await handlers.forget_people([a_departure(ADA)], tx)

    assert set(await projection.list_people(tx, [ADA, BEN])) == {BEN}
    assert len(await timers(tx, work.REFRESH_PEOPLE)) == 2


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        (a_profile(ADA, zone="Mars/Olympus"), "Mars/Olympus is not in tz database"),
        (a_profile(ADA, hours=[(1, "12:00", "09:00")]), "must end later"),
    ],
    ids=["zone", "backwards"],
)
async def test_a_profile_that_no_clock_can_show_is_unprocessable(
    profile: object, complaint: str, tx: Tx
) -> None:
    with pytest.raises(UnprocessableError, match=complaint):
        await handlers.project_people([profile], tx)  # type: ignore[list-item]


async def test_hours_from_midnight_to_midnight_are_the_whole_day(tx: Tx) -> None:
    await handlers.project_people([a_profile(ADA, hours=[(3, "00:00", "00:00")])], tx)

    (ada,) = (await projection.list_people(tx, [ADA])).values()
    assert [(w.starts, w.ends) for w in ada.hours] == [(0, 86_400)]


async def test_a_programme_is_kept_and_what_waited_for_it_is_tried(tx: Tx) -> None:
    await handlers.project_programme(a_programme(minutes=45), tx)
    await handlers.project_programme(a_programme(minutes=30), tx)

    assert await projection.get_session_minutes(tx, "research") == 30
    assert await timers(tx, work.RETRY_BOOKINGS) == [{"programme_id": "research"}]


async def test_a_programme_that_is_gone_is_forgotten(tx: Tx) -> None:
    await handlers.project_programme(a_programme(), tx)

    await handlers.forget_programme(ProgrammeDeleted(programme_id="research"), tx)

    assert await projection.get_session_minutes(tx, "research") is None


@pytest.mark.parametrize(
    ("state", "active"), [(InstitutionState.ACTIVE, {"north"}), (InstitutionState.SUSPENDED, set())]
)
async def test_a_center_takes_part_while_it_is_active(
    state: InstitutionState, active: set[str], tx: Tx
) -> None:
    await handlers.project_institution(an_institution("north", state), tx)

    assert await projection.list_active_institutions(tx, ["north", "south"]) == active
    assert len(await timers(tx, work.RETRY_BOOKINGS)) == len(active)


async def test_a_center_that_is_gone_takes_no_part(tx: Tx) -> None:
    await handlers.project_institution(an_institution("north"), tx)

    await handlers.forget_institution(InstitutionDeleted(institution_id="north"), tx)

    assert await projection.list_active_institutions(tx, ["north"]) == set()


async def test_an_active_match_is_kept_and_its_booking_queued(tx: Tx) -> None:
    await handlers.await_first_session(a_match(), tx)

    match = await projection.get_match(tx, MATCH)
    assert match is not None
    assert (match.mentor_id, match.mentee_id, match.booking) == (ADA, BEN, Booking.PENDING)
    assert match.deadline_at == tx.now + timedelta(days=7)
    assert len(await timers(tx, work.BOOK_FIRST_SESSION)) == 1


async def test_a_match_heard_again_is_left_as_it_is(tx: Tx) -> None:
    await handlers.await_first_session(a_match(), tx)
    await tx.conn.execute("UPDATE matches SET booking = 'booked'")

    await handlers.await_first_session(a_match(), tx)

    match = await projection.get_match(tx, MATCH)
    assert match is not None
    assert match.booking is Booking.BOOKED


def test_every_kind_of_work_that_is_queued_has_its_job() -> None:
    kinds = {value for name, value in vars(work).items() if name.isupper()}

    assert set(JOBS) == kinds
