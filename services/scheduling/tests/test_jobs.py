import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import asyncpg
import pytest
from services.scheduling.tests.builders import (
    ADA,
    BEN,
    CAT,
    JOBS,
    MATCH,
    MEETING_BASE_URL,
    a_departure,
    a_known_pair,
    a_match,
    a_profile,
    a_programme,
    a_session,
    alike,
    an_institution,
    later,
    work_off,
)
from services.scheduling.tests.test_store import overlaps

from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.institution import InstitutionState
from oncomentor_contracts.matching import Side
from oncomentor_contracts.profile import WeeklyHours
from oncomentor_contracts.scheduling import (
    AvailabilityChanged,
    AvailabilityDeleted,
    LinkIssued,
    SessionBooked,
    SessionUnbookable,
    UnbookableReason,
)
from scheduling_service import handlers
from scheduling_service.domain import work
from scheduling_service.domain.match import Booking
from scheduling_service.domain.zone import TZDB_VERSION
from scheduling_service.jobs.booking import book_first_session
from scheduling_service.store import projection, session
from servicekit.errors import TransientError
from servicekit.saying.outbox import NO_CAUSE, Cause
from servicekit.subscription import Timer
from servicekit.timers import Timers
from servicekit.tx import Database, Tx
from testkit.eventually import eventually
from testkit.plugin import NOW
from testkit.postgres import Templates

SESSION = derived_id("session", str(MATCH), "1")


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


async def booking_of(tx: Tx, match_id: UUID = MATCH) -> Booking:
    match = await projection.get_match(tx, match_id)
    assert match is not None
    return match.booking


async def due_at(tx: Tx) -> datetime:
    instant: datetime = await tx.conn.fetchval(
        "SELECT due_at FROM kit.timers WHERE kind = $1", work.BOOK_FIRST_SESSION
    )
    return instant


@pytest.fixture
async def refuse_starts_before(
    templates: Templates, database_name: str
) -> Callable[[str], Awaitable[None]]:
    """Has the table refuse sessions that start before an instant, as another session would."""

    async def refuse(instant: str) -> None:
        superuser = await asyncpg.connect(templates.dsn(database_name, "postgres"))
        await superuser.execute(
            f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
            CREATE TRIGGER refuse BEFORE INSERT ON session_attendees FOR EACH ROW
            WHEN (lower(NEW.occupied) < '{instant}') EXECUTE FUNCTION refuse();
            """
        )
        await superuser.close()

    return refuse


# --- availability ---


async def test_a_new_persons_availability_is_said(tx: Tx) -> None:
    hours = [(1, "09:00", "10:00"), (1, "10:00", "00:00")]
    await handlers.project_people([a_profile(ADA, zone="Asia/Kolkata", hours=hours)], tx)

    (said,) = await work_off(tx)

    assert alike(
        said,
        AvailabilityChanged(
            person_id=ADA,
            institution_id="north",
            time_zone="Asia/Kolkata",
            weekly_hours=(WeeklyHours(weekday=1, starts=time(9), ends=time(0)),),
            minutes_left_month=None,
        ),
    )


async def test_what_is_said_carries_the_cause_of_the_change(tx: Tx) -> None:
    profile = a_profile(ADA)
    await handlers.project_people([profile, a_profile(BEN)], tx)

    said = {event.subject: event for event in await work_off(tx)}

    assert said[str(ADA)].envelope.causationid == str(profile.envelope.id)
    assert said[str(BEN)].envelope.correlationid == f"story of {BEN}"


async def test_availability_that_did_not_change_is_not_said_again(tx: Tx) -> None:
    await handlers.project_people([a_profile(ADA)], tx)
    await work_off(tx)

    await handlers.project_people([a_profile(ADA), a_profile(BEN)], tx)

    assert [event.subject for event in await work_off(tx)] == [str(BEN)]


async def test_availability_of_whoever_left_is_taken_back_once(tx: Tx) -> None:
    await handlers.project_people([a_profile(ADA)], tx)
    await work_off(tx)

    await handlers.forget_people([a_departure(ADA)], tx)
    first = await work_off(tx)
    await handlers.forget_people([a_departure(ADA)], tx)
    again = await work_off(tx)

    assert [(type(event), event.subject) for event in first] == [(AvailabilityDeleted, str(ADA))]
    assert again == []


async def test_whoever_comes_back_has_availability_again(tx: Tx) -> None:
    await handlers.project_people([a_profile(ADA)], tx)
    await work_off(tx)
    await handlers.forget_people([a_departure(ADA)], tx)
    await work_off(tx)

    await handlers.project_people([a_profile(ADA)], tx)
    said = await work_off(tx)

    assert kinds(said) == ["AvailabilityChanged"]
    assert said[0].envelope.sequence == 3


async def test_a_new_month_gives_a_pledge_back(tx: Tx) -> None:
    await a_known_pair(tx, a_profile(ADA, pledges={"research": 100}))
    await handlers.await_first_session(a_match(), tx)
    await work_off(tx)

    later(tx, days=30)
    after = [e for e in await work_off(tx) if isinstance(e, AvailabilityChanged)]

    assert [(e.person_id, e.minutes_left_month) for e in after] == [(ADA, 100)]


async def test_months_turn_again_and_again_at_midnight_in_the_zone(tx: Tx) -> None:
    profile = a_profile(ADA, zone="America/New_York", pledges={"research": 100})
    await handlers.project_people([profile], tx)
    turns = []
    for _ in range(3):
        await work_off(tx)
        tx.now = await tx.conn.fetchval("SELECT due_at FROM kit.timers WHERE kind = 'turn_month'")
        turns.append(tx.now)

    assert turns == [
        datetime(2026, 4, 1, 4, tzinfo=UTC),
        datetime(2026, 5, 1, 4, tzinfo=UTC),
        datetime(2026, 6, 1, 4, tzinfo=UTC),
    ]


async def test_months_stop_turning_where_nobody_has_a_pledge_any_more(tx: Tx) -> None:
    await handlers.project_people([a_profile(ADA, pledges={"research": 100})], tx)
    await work_off(tx)
    await handlers.project_people([a_profile(ADA)], tx)

    later(tx, days=31)
    await work_off(tx)

    assert await tx.conn.fetchval("SELECT count(*) FROM kit.timers") == 0


# --- booking ---


async def test_a_match_gets_the_first_common_hour_and_a_link(tx: Tx) -> None:
    mentor = a_profile(ADA, zone="America/New_York", hours=[(1, "09:00", "12:00")])
    mentee = a_profile(BEN, zone="Europe/Lisbon", hours=[(1, "15:00", "18:00")])
    await a_known_pair(tx, mentor, mentee)
    await work_off(tx)

    await handlers.await_first_session(a_match(), tx)
    booked, link = await work_off(tx)

    assert isinstance(booked, SessionBooked)
    assert (booked.session_id, booked.match_id) == (SESSION, MATCH)
    assert booked.starts_at == datetime(2026, 3, 9, 15, tzinfo=UTC)
    assert (booked.duration_minutes, booked.time_zone) == (60, "America/New_York")
    assert (booked.ical_uid, booked.ical_sequence) == (f"{SESSION}@oncomentor", 0)
    assert [(a.person_id, a.side, a.time_zone) for a in booked.attendees] == [
        (ADA, Side.MENTOR, "America/New_York"),
        (BEN, Side.MENTEE, "Europe/Lisbon"),
    ]
    assert isinstance(link, LinkIssued)
    assert link.url.startswith(f"{MEETING_BASE_URL}/")
    assert len(link.url) - len(MEETING_BASE_URL) - 1 >= 22  # 128 bits as base64url


async def test_a_session_keeps_its_wall_time_zone_and_tz_database(tx: Tx) -> None:
    await a_known_pair(tx, a_profile(ADA, zone="Europe/Lisbon"))
    await handlers.await_first_session(a_match(), tx)
    await work_off(tx)

    row = await session.get_session(tx, SESSION)

    assert row is not None
    assert (row.starts_on, f"{row.wall_time:%H:%M}") == (date(2026, 3, 9), "09:00")
    assert (row.time_zone, row.tzdb_version) == ("Europe/Lisbon", TZDB_VERSION)
    assert row.ends_at - row.starts_at == timedelta(minutes=60)


async def test_a_repeated_booking_changes_nothing(tx: Tx) -> None:
    await a_known_pair(tx)
    await handlers.await_first_session(a_match(), tx)
    await work_off(tx)
    before = await tx.conn.fetch("SELECT * FROM links, sessions")

    await tx.schedule(work.BOOK_FIRST_SESSION, str(MATCH), tx.now)

    assert await work_off(tx) == []
    assert await tx.conn.fetch("SELECT * FROM links, sessions") == before


async def test_a_booking_of_an_unknown_match_is_nothing(tx: Tx) -> None:
    await tx.schedule(work.BOOK_FIRST_SESSION, str(MATCH), tx.now)

    assert await work_off(tx) == []


async def test_links_are_on_their_own_topic_alone(tx: Tx) -> None:
    await a_known_pair(tx)
    await handlers.await_first_session(a_match(), tx)
    (url,) = [event.url for event in await work_off(tx) if isinstance(event, LinkIssued)]

    topics = await tx.conn.fetch(
        "SELECT DISTINCT topic FROM kit.outbox WHERE position($1 in record_value) > 0", url.encode()
    )

    assert [row["topic"] for row in topics] == ["scheduling.link"]


@pytest.mark.parametrize("missing", ["person", "programme", "institution", "suspended"])
async def test_a_booking_waits_for_what_has_not_arrived_and_goes_on_when_it_does(
    missing: str, tx: Tx
) -> None:
    await a_known_pair(tx)
    late = {
        "person": ("people", handlers.project_people, [a_profile(BEN)]),
        "programme": ("programmes", handlers.project_programme, a_programme()),
        "institution": ("institutions", handlers.project_institution, an_institution()),
        "suspended": ("institutions", handlers.project_institution, an_institution()),
    }
    table, handle, event = late[missing]
    await tx.conn.execute(f"DELETE FROM {table}")  # noqa: S608 - a test's own words
    if missing == "person":
        await handlers.project_people([a_profile(ADA)], tx)
    if missing == "suspended":
        await handlers.project_institution(an_institution(state=InstitutionState.SUSPENDED), tx)
    await handlers.await_first_session(a_match(), tx)
    await work_off(tx)
    waiting = await booking_of(tx)

    await handle(event, tx)  # type: ignore[operator]
    said = await work_off(tx)

    assert waiting is Booking.WAITING
    assert "SessionBooked" in kinds(said)


async def test_waiting_grows_longer(tx: Tx) -> None:
    await handlers.await_first_session(a_match(), tx)
    pauses = []
    for _ in range(4):
        await work_off(tx)
        pauses.append((await due_at(tx) - tx.now).total_seconds())
        tx.now = await due_at(tx)

    assert pauses == [1, 2, 4, 8]


async def test_past_its_deadline_a_waiting_booking_is_called_unbookable_once(tx: Tx) -> None:
    await handlers.await_first_session(a_match(), tx)
    await work_off(tx)

    later(tx, days=7)
    (first,) = await work_off(tx)
    later(tx, days=7)
    again = await work_off(tx)

    assert alike(
        first,
        SessionUnbookable(
            session_id=SESSION, match_id=MATCH, reason=UnbookableReason.NO_COMMON_HOUR
        ),
    )
    assert again == []


async def test_a_fact_that_comes_after_the_deadline_still_leads_to_a_session(tx: Tx) -> None:
    await handlers.await_first_session(a_match(), tx)
    later(tx, days=7)
    await work_off(tx)

    await a_known_pair(tx)

    assert "SessionBooked" in kinds(await work_off(tx))


async def test_people_without_a_common_hour_get_one_when_their_hours_change(tx: Tx) -> None:
    await a_known_pair(tx, a_profile(BEN, hours=[(2, "09:00", "12:00")]))
    await handlers.await_first_session(a_match(), tx)
    first = [e for e in await work_off(tx) if isinstance(e, SessionUnbookable)]

    await handlers.project_people([a_profile(BEN, hours=[(1, "11:00", "12:00")])], tx)
    then = [e for e in await work_off(tx) if isinstance(e, SessionBooked)]

    assert [event.reason for event in first] == [UnbookableReason.NO_COMMON_HOUR]
    assert [event.starts_at for event in then] == [datetime(2026, 3, 9, 11, tzinfo=UTC)]
    assert (first[0].envelope.sequence, then[0].envelope.sequence) == (1, 2)


async def test_a_late_session_belongs_to_the_story_of_its_match(tx: Tx) -> None:
    tx.cause = Cause(correlationid="story of the match", causationid="activated")
    await handlers.await_first_session(a_match(), tx)
    tx.cause = NO_CAUSE
    await work_off(tx)

    await a_known_pair(tx)
    (booked,) = [e for e in await work_off(tx) if isinstance(e, SessionBooked)]

    assert booked.envelope.correlationid == "story of the match"


async def test_people_who_are_fully_booked_are_looked_at_again_in_a_week(tx: Tx) -> None:
    await a_known_pair(tx)
    for week in range(7):
        monday = datetime(2026, 3, 9, 9, tzinfo=UTC) + timedelta(weeks=week)
        taken = a_session(number=week, people=(ADA, CAT), starts=monday.isoformat(), minutes=180)
        await session.insert_session(tx, taken, None)
    await handlers.await_first_session(a_match(), tx)
    first = await work_off(tx)

    later(tx, days=7)
    again = await work_off(tx)

    assert "SessionUnbookable" in kinds(first)
    assert [e.starts_at for e in again if isinstance(e, SessionBooked)] == [
        datetime(2026, 4, 27, 9, tzinfo=UTC)
    ]


# --- protected minutes ---


async def test_a_session_draws_on_the_mentors_pledge_and_says_what_is_left(tx: Tx) -> None:
    await a_known_pair(tx, a_profile(ADA, pledges={"research": 120}))
    await work_off(tx)

    await handlers.await_first_session(a_match(), tx)
    said = [event for event in await work_off(tx) if isinstance(event, AvailabilityChanged)]

    assert [(event.person_id, event.minutes_left_month) for event in said] == [(ADA, 60)]


async def test_without_minutes_this_month_the_session_is_in_the_next(tx: Tx) -> None:
    await a_known_pair(tx, a_profile(ADA, pledges={"research": 100}))
    second_match = derived_id("match", "ada and cat")
    await handlers.project_people([a_profile(CAT)], tx)
    await handlers.await_first_session(a_match(), tx)
    await work_off(tx)

    await handlers.await_first_session(a_match(second_match, mentee_id=CAT), tx)
    said = await work_off(tx)

    assert [event.starts_at for event in said if isinstance(event, SessionBooked)] == [
        datetime(2026, 4, 6, 9, tzinfo=UTC)
    ]
    assert not any(isinstance(event, AvailabilityChanged) for event in said)


async def test_a_mentor_without_minutes_for_a_session_gets_none_until_more_are_pledged(
    tx: Tx,
) -> None:
    await a_known_pair(tx, a_profile(ADA, pledges={"research": 45}))
    await handlers.await_first_session(a_match(), tx)
    first = [e for e in await work_off(tx) if isinstance(e, SessionUnbookable)]

    await handlers.project_people([a_profile(ADA, pledges={"research": 60})], tx)
    then = await work_off(tx)

    assert [event.reason for event in first] == [UnbookableReason.NO_MINUTES_LEFT]
    assert "SessionBooked" in kinds(then)


# --- races ---


async def test_fifty_contended_bookings_are_each_booked_or_cleanly_refused(
    database: Database,
) -> None:
    mentors = [derived_id("mentor", str(number)) for number in range(5)]
    mentees = [derived_id("mentee", str(number)) for number in range(10)]
    pairs = {
        derived_id("match", str(mentor), str(mentee)): (mentor, mentee)
        for mentor in mentors
        for mentee in mentees
    }
    async with database.transaction() as tx:
        pledged = [a_profile(mentor, pledges={"research": 120}) for mentor in mentors]
        await a_known_pair(tx, *pledged, *(a_profile(mentee) for mentee in mentees))
        for match_id, (mentor, mentee) in pairs.items():
            await handlers.await_first_session(
                a_match(match_id, mentor_id=mentor, mentee_id=mentee), tx
            )

    async def book(match_id: UUID) -> Sequence[Event]:
        async with database.transaction() as tx:
            timer = Timer(work.BOOK_FIRST_SESSION, str(match_id), {}, 0, 0, NO_CAUSE)
            events = await book_first_session(timer, tx, meeting_base_url=MEETING_BASE_URL)
            await tx.say(events)
            return events

    answers = await asyncio.gather(*(book(match_id) for match_id in pairs))

    booked = [events for events in answers if isinstance(events[0], SessionBooked)]
    refused = [events for events in answers if isinstance(events[0], SessionUnbookable)]
    assert len(booked) + len(refused) == 50
    assert len(booked) >= 5 * 2 * 2  # two sessions a month and mentor, two months at least
    assert refused
    async with database.transaction() as tx:
        assert await overlaps(tx) == 0
        assert await tx.conn.fetchval("SELECT count(*) FROM sessions") == len(booked)
        assert await tx.conn.fetchval("SELECT count(*) FROM links") == len(booked)
        assert await tx.conn.fetchval("SELECT max(minutes_drawn) FROM protected_months") == 120


async def test_two_bookings_of_one_match_at_once_make_one_session(database: Database) -> None:
    async with database.transaction() as tx:
        await a_known_pair(tx)
        await handlers.await_first_session(a_match(), tx)

    async def book() -> Sequence[Event]:
        async with database.transaction() as tx:
            timer = Timer(work.BOOK_FIRST_SESSION, str(MATCH), {}, 0, 0, NO_CAUSE)
            return await book_first_session(timer, tx, meeting_base_url=MEETING_BASE_URL)

    answers = await asyncio.gather(*(book() for _ in range(10)))

    assert sum(len(events) > 0 for events in answers) == 1


async def test_a_start_that_is_refused_after_all_gives_way_to_the_next(
    database: Database, refuse_starts_before: Callable[[str], Awaitable[None]]
) -> None:
    await refuse_starts_before("2026-03-09T09:20Z")
    async with database.transaction() as tx:
        tx.now = NOW
        await a_known_pair(tx)
        await handlers.await_first_session(a_match(), tx)

        said = await work_off(tx)

    assert [event.starts_at for event in said if isinstance(event, SessionBooked)] == [
        datetime(2026, 3, 9, 9, 30, tzinfo=UTC)
    ]


async def test_where_every_start_is_refused_the_calendars_are_read_afresh_later(
    database: Database, refuse_starts_before: Callable[[str], Awaitable[None]]
) -> None:
    await refuse_starts_before("infinity")
    async with database.transaction() as tx:
        await a_known_pair(tx)
        await handlers.await_first_session(a_match(), tx)

        with pytest.raises(TransientError, match="20 starts"):
            await work_off(tx)


async def test_the_kernels_timers_take_a_match_to_its_session(database: Database) -> None:
    timers = Timers(database=database, jobs=JOBS, effects={})
    timers.opened.set()
    async with database.transaction() as tx:
        await handlers.await_first_session(a_match(), tx)
    running = asyncio.create_task(timers.run())

    async with database.transaction() as tx:
        await a_known_pair(tx)
    timers.wake()

    async def booked() -> bool:
        async with database.transaction() as tx:
            return await booking_of(tx) is Booking.BOOKED

    assert await eventually(booked)
    timers.close()
    await running
