"""The pools that proposals are chosen from: whoever changes how, the next look sees it."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from services.matching.tests.builders import NORTH, SOUTH, a_context, a_mentor, person_id
from services.matching.tests.network import (
    MAX,
    MIA,
    Matching,
    a_network,
    a_programme_state,
    an_institution,
    availability,
    mentee_state,
    mentor_state,
    of_kind,
)

from matching_service.domain.pool import Context
from matching_service.engine.pool import Pool
from matching_service.jobs import pools as module
from matching_service.jobs.pools import Pools
from matching_service.store import pool, registry
from oncomentor_contracts.matching import MatchProposed
from oncomentor_contracts.profile import ProfileDeleted
from servicekit.tx import Database, Tx

PROGRAMME = "grants"


async def look(pools: Pools, tx: Tx, count: int = 9) -> list[UUID]:
    """Who fits Mia best, as these pools have it."""
    programme = await registry.get_programme(tx, PROGRAMME)
    assert programme is not None
    centers = await registry.list_centers(tx)
    mentee = await pool.get_mentee(tx, PROGRAMME, MIA, centers)
    assert mentee is not None
    context = Context(programme, tx.now, a_context().taxonomy)
    return await pools.best_mentors(tx, context, centers, mentee, count)


@pytest.fixture
def pools() -> Pools:
    return Pools()


@pytest.fixture
async def matching(tx: Tx) -> Matching:
    made = Matching(tx)
    await made.hears(*a_network(north={"clearance": "manual"}), mentor_state("ann"))
    return made


ANN, BOB = person_id("ann"), person_id("bob")
CHANGES: dict[str, tuple[Callable[[], Any], set[UUID]]] = {
    "a new mentor": (lambda: mentor_state("bob"), {ANN, MAX, BOB}),
    "one who pauses": (lambda: mentor_state("ann", version=2, state="paused"), {MAX}),
    "one who stops": (lambda: mentor_state("ann", version=2, mentor_roles=[]), {MAX}),
    "one who is gone": (lambda: ProfileDeleted(person_id=ANN), {MAX}),
    "other hours": (lambda: availability("ann", SOUTH, weekly_hours=[]), {MAX}),
    "another policy": (lambda: an_institution(SOUTH, state="left"), set()),
    "other criteria": (lambda: a_programme_state(participants=[NORTH]), set()),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_seen_by_the_next_look(
    matching: Matching, pools: Pools, change: str
) -> None:
    made, expected = CHANGES[change]
    assert set(await look(pools, matching.tx)) == {ANN, MAX}

    await matching.hears(made())

    assert set(await look(pools, matching.tx)) == expected


async def test_a_seat_that_is_taken_and_freed_is_seen(matching: Matching, pools: Pools) -> None:
    assert set(await look(pools, matching.tx)) == {ANN, MAX}
    await matching.hears(an_institution(NORTH, clearance="auto"), mentee_state("eve"))
    said = await matching.waits(seconds=1)
    (others,) = [m for m in of_kind(said, MatchProposed) if m.mentee.person_id != MIA]

    full = await look(pools, matching.tx)
    free = "UPDATE matches SET state = 'declined' WHERE match_id = $1"
    await matching.tx.conn.execute(free, others.match_id)

    assert full == []
    assert await look(pools, matching.tx) == [others.mentor.person_id]


async def test_a_pool_that_is_up_to_date_is_not_built_again(
    matching: Matching, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Pool] = []

    def counting(*args: Any) -> Pool:
        built.append(Pool(*args))
        return built[-1]

    monkeypatch.setattr(module, "Pool", counting)
    await look(pools, matching.tx)
    await matching.hears(mentor_state("bob"))
    await look(pools, matching.tx)
    assert len(built) == 1

    matching.tx.now += timedelta(days=1)
    await look(pools, matching.tx)

    assert len(built) == 2


async def test_who_does_not_fit_in_has_it_built_anew(matching: Matching, pools: Pools) -> None:
    await look(pools, matching.tx)
    odd = [{"weekday": day, "starts": "09:07", "ends": "11:08"} for day in range(1, 6)]

    await matching.hears(mentor_state("bob", weekly_hours=odd))
    mentor = await look(pools, matching.tx)
    await matching.hears(mentee_state(version=2, weekly_hours=odd))

    assert set(mentor) == set(await look(pools, matching.tx)) == {ANN, MAX, BOB}


async def test_nothing_half_done_is_kept(
    matching: Matching, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    await look(pools, matching.tx)
    await matching.hears(mentor_state("bob"))
    with monkeypatch.context() as broken:
        broken.setattr(Pool, "put_mentor", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await look(pools, matching.tx)

    assert set(await look(pools, matching.tx)) == {ANN, MAX, BOB}


async def test_what_an_older_transaction_commits_later_is_not_missed(database: Database) -> None:
    pools = Pools()
    async with database.transaction() as tx:
        await Matching(tx).hears(*a_network())
    async with database.transaction() as slow:
        await Matching(slow).hears(mentor_state("ann"))  # has its transaction id already
        async with database.transaction() as tx:
            tx.now += timedelta(seconds=10)  # their timers are not the same
            await Matching(tx).hears(mentor_state("bob"))
        async with database.transaction() as tx:
            before = await look(pools, tx)
    async with database.transaction() as tx:
        after = await look(pools, tx)

    assert set(before) == {MAX, BOB}
    assert set(after) == {MAX, BOB, ANN}


async def test_who_grew_too_old_today_is_passed_over_for_the_next(tx: Tx) -> None:
    matching = Matching(tx)
    await matching.hears(*a_network(south={"max_profile_age_days": 2}))
    await matching.hears(mentor_state("ann", role={"offers": ["publishing"], "capacity": 2}))
    await matching.hears(mentee_state("eve", role={"goals": ["publishing"]}))
    age = "UPDATE people SET changed_at = $2 WHERE person_id = $1"
    await tx.conn.execute(age, MAX, tx.now - timedelta(days=2) + timedelta(minutes=30))
    await tx.conn.execute("DELETE FROM kit.timers WHERE key = $1", f"grants:{MIA}")
    pool_of_the_day = await matching.works()

    tx.now += timedelta(hours=1)
    await tx.schedule("propose", f"grants:{MIA}", tx.now)
    said = await matching.works()

    assert [m.mentor.person_id for m in of_kind(pool_of_the_day, MatchProposed)] == [ANN]
    assert [m.mentor.person_id for m in of_kind(said, MatchProposed)] == [ANN]


async def test_old_lines_of_changes_are_taken_away_when_mentors_change(matching: Matching) -> None:
    await matching.tx.conn.execute(
        "INSERT INTO pool_changes (person_id, changed_at) VALUES ($1, now() - interval '3 days')",
        BOB,
    )
    before = await matching.tx.conn.fetchval("SELECT count(*) FROM pool_changes")

    await matching.waits(seconds=1)

    left = [row["person_id"] for row in await matching.tx.conn.fetch("SELECT * FROM pool_changes")]
    assert BOB not in left
    assert {ANN, MAX, MIA} <= set(left)
    assert before > 1


async def test_the_loop_goes_on_while_a_pool_is_built(
    matching: Matching, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    await look(pools, matching.tx)  # the compiled code is there
    many = [a_mentor(f"mentor {n}") for n in range(3000)]

    async def everybody(*_: object, **__: object) -> object:
        return many

    monkeypatch.setattr(pool, "list_mentors", everybody)
    longest = 0.0

    async def beats() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - began)
            await asyncio.sleep(0.001)

    heart = asyncio.create_task(beats())
    began = time.perf_counter()
    await look(Pools(), matching.tx)
    took = time.perf_counter() - began
    heart.cancel()

    assert took > 0.05
    assert longest < took / 3


async def test_a_programme_that_was_taken_in_with_odd_weights_is_matched_as_it_is_scored(
    matching: Matching, pools: Pools
) -> None:
    """The contract allows what the registry refuses today: a criterion twice, a weight near 0."""
    weights = [("goals", 0.2), ("goals", 0.3), ("topics", 1e-320)]
    said = [{"criterion": name, "weight": weight} for name, weight in weights]

    await matching.hears(a_programme_state(weights=said))

    programme = await registry.get_programme(matching.tx, PROGRAMME)
    assert programme is not None
    assert programme.weights == (("goals", 0.5), ("topics", 0.0))
    assert set(await look(pools, matching.tx)) == {ANN, MAX}
