import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import pytest
from services.scheduling.tests.builders import ADA, BEN, CAT, a_person, a_session, windows
from services.scheduling.tests.test_domain import MARCH

from oncomentor_contracts.identifiers import derived_id
from scheduling_service.domain.session import Draw
from scheduling_service.store import calendar, projection, session
from servicekit.tx import Database, Tx

PEOPLE = [derived_id("person", str(number)) for number in range(6)]


async def test_people_come_back_as_they_were_kept(tx: Tx) -> None:
    ada = a_person(ADA, hours=[(7, "20:00", "00:00")], pledges={"research": 120})

    await projection.upsert_people(tx, [ada, a_person(BEN)])

    assert await projection.list_people(tx, [ADA, BEN, CAT]) == {ADA: ada, BEN: a_person(BEN)}


async def test_a_session_takes_its_time_and_its_buffer_from_both(tx: Tx) -> None:
    booked = await session.insert_session(tx, a_session(), None)

    taken = await calendar.list_taken(tx, [ADA, BEN, CAT], tx.now, a_session(minutes=9999).ends_at)
    span = (a_session().start, a_session().start + 75 * 60)
    assert booked
    assert taken == {ADA: [span], BEN: [span], CAT: []}


async def test_a_session_that_would_overlap_leaves_no_trace(tx: Tx) -> None:
    draw = Draw(CAT, "research", MARCH, minutes=60, pledged=120)
    await session.insert_session(tx, a_session(number=1, people=(ADA, BEN)), None)

    booked = await session.insert_session(
        tx, a_session(number=2, people=(CAT, BEN), starts="2026-03-09T10:00Z"), draw
    )

    assert not booked
    assert await calendar.list_minutes_drawn(tx, [CAT]) == {}
    assert await tx.conn.fetchval("SELECT count(*) FROM sessions") == 1


async def test_a_session_behind_the_buffer_is_booked(tx: Tx) -> None:
    await session.insert_session(tx, a_session(number=1), None)

    booked = await session.insert_session(tx, a_session(number=2, starts="2026-03-09T10:15Z"), None)

    assert booked


async def test_time_of_a_cancelled_session_can_be_taken_again(tx: Tx) -> None:
    await session.insert_session(tx, a_session(number=1), None)
    await tx.conn.execute("UPDATE session_attendees SET status = 'cancelled'")

    booked = await session.insert_session(tx, a_session(number=2), None)

    assert booked


async def test_a_draw_beyond_the_pledge_books_nothing(tx: Tx) -> None:
    draw = Draw(ADA, "research", MARCH, minutes=60, pledged=100)
    await session.insert_session(tx, a_session(number=1), draw)

    booked = await session.insert_session(tx, a_session(number=2, starts="2026-03-16T09:00Z"), draw)

    assert not booked
    assert await calendar.list_minutes_drawn(tx, [ADA]) == {ADA: {("research", MARCH): 60}}
    assert await tx.conn.fetchval("SELECT count(*) FROM sessions") == 1


async def test_a_session_longer_than_the_whole_pledge_books_nothing(tx: Tx) -> None:
    draw = Draw(ADA, "research", MARCH, minutes=60, pledged=45)

    assert not await session.insert_session(tx, a_session(), draw)


async def test_a_session_keeps_one_link(tx: Tx) -> None:
    await session.insert_session(tx, a_session(), None)
    session_id = a_session().session_id

    minted = [await session.insert_link(tx, session_id, f"https://x/{n}") for n in range(2)]

    assert minted == [True, False]
    assert await tx.conn.fetchval("SELECT url FROM links") == "https://x/0"


async def test_a_session_whose_length_is_wrong_is_refused_by_the_table(tx: Tx) -> None:
    await session.insert_session(tx, a_session(), None)

    with pytest.raises(asyncpg.CheckViolationError, match="sessions_exact_length"):
        await tx.conn.execute("UPDATE sessions SET duration_minutes = 61")


async def test_of_twenty_races_for_one_hour_exactly_one_wins(database: Database) -> None:
    async def book(number: int) -> bool:
        others = (PEOPLE[0], derived_id("mentee", str(number)))
        async with database.transaction() as tx:
            return await session.insert_session(tx, a_session(number=number, people=others), None)

    won = await asyncio.gather(*(book(number) for number in range(20)))

    assert sum(won) == 1


async def test_races_without_any_lock_neither_deadlock_nor_overlap(database: Database) -> None:
    chance = random.Random(7)  # noqa: S311 - a test's data
    pairs = [chance.sample(PEOPLE, 2) for _ in range(60)]
    quarters = [f"2026-03-09T{9 + number % 4:02}:{number % 3 * 15:02}Z" for number in range(60)]

    async def book(number: int, pair: Sequence[UUID]) -> bool:
        wanted = a_session(number=number, people=(pair[0], pair[1]), starts=quarters[number])
        async with database.transaction() as tx:
            return await session.insert_session(tx, wanted, None)

    won = await asyncio.gather(*(book(number, pair) for number, pair in enumerate(pairs)))

    assert any(won)
    async with database.transaction() as tx:
        assert await overlaps(tx) == 0
        assert await tx.conn.fetchval("SELECT count(*) FROM session_attendees") == 2 * sum(won)


async def test_races_for_a_pledge_draw_no_more_than_it_holds(database: Database) -> None:
    async def book(number: int) -> bool:
        draw = Draw(PEOPLE[0], "research", MARCH, minutes=60, pledged=300)
        people = (derived_id("mentor", str(number)), derived_id("mentee", str(number)))
        async with database.transaction() as tx:
            return await session.insert_session(tx, a_session(number=number, people=people), draw)

    won = await asyncio.gather(*(book(number) for number in range(20)))

    assert sum(won) == 5
    async with database.transaction() as tx:
        drawn = await calendar.list_minutes_drawn(tx, [PEOPLE[0]])
        assert drawn[PEOPLE[0]] == {("research", MARCH): 300}


async def test_locking_shared_calendars_never_deadlocks(database: Database) -> None:
    chance = random.Random(7)  # noqa: S311 - a test's data

    async def hold(people: Sequence[UUID]) -> None:
        async with database.transaction() as tx:
            await calendar.lock_calendars(tx, people)
            await tx.conn.execute("SELECT pg_sleep(0.002)")

    await asyncio.gather(*(hold(chance.sample(PEOPLE, 3)) for _ in range(60)))

    async with database.transaction() as tx:
        assert await tx.conn.fetchval("SELECT count(*) FROM calendars") == len(PEOPLE)


async def overlaps(tx: Tx) -> int:
    """Pairs of sessions that want one person at one time; must be none."""
    count: int = await tx.conn.fetchval(
        """
        SELECT count(*) FROM session_attendees AS a JOIN session_attendees AS b
            ON a.person_id = b.person_id AND a.session_id < b.session_id
           AND a.occupied && b.occupied
        """
    )
    return count


def test_hours_come_back_from_the_text_that_keeps_them() -> None:
    hours = windows([(1, "09:00", "12:30"), (7, "22:00", "00:00")])

    assert projection.hours_from_json(projection.hours_to_json(hours)) == hours
