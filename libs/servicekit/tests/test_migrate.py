"""Migrations on a real database: in phases, in order, at once from two places, and broken off."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.errors import StartupError
from servicekit.process import migrate
from servicekit.process.migrate import Migration, Phase, due
from testkit.postgres import Templates

if TYPE_CHECKING:
    from servicekit.tx import Connection

FIRST = Migration("service/0001_first.sql", "CREATE TABLE first (a int)")
PRE = Migration("service/0002_pre_wider.sql", "ALTER TABLE first ADD COLUMN b int")
POST = Migration("service/0003_post_narrower.sql", "ALTER TABLE first DROP COLUMN a")
LATER_PRE = Migration("service/0004_pre_more.sql", "ALTER TABLE first ADD COLUMN c int")
OLD, NEW = [FIRST], [FIRST, PRE, POST]


@pytest.fixture
async def empty(templates: Templates) -> AsyncIterator[str]:
    """The address of a database that nobody has migrated, as its owner."""
    name = f"empty_{id(object())}"
    await templates._run(f"CREATE DATABASE {name} OWNER test_owner")
    yield templates.dsn(name, "test_owner")
    await templates.drop(name)


@pytest.fixture
async def conn(empty: str) -> AsyncIterator["Connection"]:
    made = await asyncpg.connect(empty)
    yield made
    await made.close()


async def columns(conn: "Connection") -> set[str]:
    rows = await conn.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'first'"
    )
    return {row["column_name"] for row in rows}


async def test_a_rolling_upgrade_goes_in_two_phases_and_both_versions_run_in_between(
    conn: "Connection",
) -> None:
    await migrate.apply(conn, OLD)

    before = await migrate.apply(conn, NEW, phase="pre")

    assert before == [PRE.name]
    assert await migrate.pending(conn, OLD) == []  # version N goes on
    assert await migrate.pending(conn, NEW) == [POST]  # which a start does not ask for

    after = await migrate.apply(conn, NEW, phase="post")

    assert after == [POST.name]
    assert await columns(conn) == {"b"}
    with pytest.raises(StartupError, match=r"0003_post_narrower.*deploy the newer code"):
        await migrate.pending(conn, OLD)


async def test_phases_out_of_turn_are_refused_with_what_comes_first(conn: "Connection") -> None:
    await migrate.apply(conn, OLD)

    with pytest.raises(StartupError, match="run --migrate=pre"):
        await migrate.apply(conn, NEW, phase="post")
    await migrate.apply(conn, NEW, phase="pre")
    with pytest.raises(StartupError, match="run that release's --migrate=post first"):
        await migrate.apply(conn, [*NEW, LATER_PRE], phase="pre")

    assert await columns(conn) == {"a", "b"}


@pytest.mark.parametrize("phase", ["pre", "post"])
async def test_a_file_of_no_phase_needs_the_service_stopped(
    conn: "Connection", phase: Phase
) -> None:
    with pytest.raises(StartupError, match="stop it and run --migrate"):
        await migrate.apply(conn, NEW, phase=phase)

    assert await columns(conn) == set()


def test_a_service_does_not_wait_for_what_the_kernel_takes_away() -> None:
    kernel = Migration("kernel/0009_post_old.sql", "")

    assert due([kernel, PRE], "pre") == [PRE]


@given(
    st.lists(st.tuples(st.sampled_from(["pre_", "post_", ""]), st.booleans()), max_size=6),
)
def test_pre_and_then_post_apply_exactly_what_all_does_or_refuse(
    kinds: list[tuple[str, bool]],
) -> None:
    missing = sorted(
        (
            Migration(f"{'kernel' if kernel else 'service'}/{number:04}_{kind}x.sql", "")
            for number, (kind, kernel) in enumerate(kinds)
        ),
        key=lambda migration: migration.name,
    )
    try:
        first = due(missing, "pre")
        rest = due([migration for migration in missing if migration not in first], "post")
    except StartupError:
        phases = [
            [m.phase for m in missing if m.name.startswith(owner)]
            for owner in ("kernel", "service")
        ]
        assert any(each != sorted(each, reverse=True) or "all" in each for each in phases)
        return

    assert sorted(m.name for m in [*first, *rest]) == [m.name for m in due(missing, "all")]
    assert not any(migration.phase == "post" for migration in first)


async def test_a_migration_that_fails_half_way_leaves_nothing(conn: "Connection") -> None:
    broken = Migration(
        "service/0002_pre_broken.sql",
        "ALTER TABLE first ADD COLUMN b int; ALTER TABLE absent ADD COLUMN c int",
    )

    with pytest.raises(StartupError, match=r"0002_pre_broken\.sql failed and left nothing"):
        await migrate.apply(conn, [FIRST, broken])

    assert await columns(conn) == {"a"}
    assert await migrate.pending(conn, [FIRST, broken]) == [broken]
    assert await migrate.apply(conn, [FIRST, PRE]) == [PRE.name]  # the lock was given back


async def test_an_edited_file_is_refused(conn: "Connection") -> None:
    await migrate.apply(conn, OLD)

    with pytest.raises(StartupError, match="was edited after it was applied"):
        await migrate.apply(conn, [Migration(FIRST.name, "CREATE TABLE first (z int)")])


async def test_two_deployments_at_once_migrate_one_after_the_other(
    empty: str, conn: "Connection"
) -> None:
    slow = Migration("service/0001_first.sql", "SELECT pg_sleep(0.3); CREATE TABLE first (a int)")
    others = [await asyncpg.connect(empty) for _ in range(4)]

    applied = await asyncio.gather(*(migrate.apply(one, [slow, PRE]) for one in others))

    assert sorted(applied, key=len)[-1] == [slow.name, PRE.name]
    assert sorted(applied, key=len)[:-1] == [[], [], []]
    await asyncio.gather(*(one.close() for one in others))


async def test_a_table_in_use_is_not_queued_up_for_ever(empty: str, conn: "Connection") -> None:
    await migrate.apply(conn, OLD)
    reader = await asyncpg.connect(empty)
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("SELECT * FROM first")

    impatient = Migration(PRE.name, f"SET LOCAL lock_timeout = '100ms'; {PRE.sql}")
    with pytest.raises(StartupError, match="LockNotAvailableError"):
        await migrate.apply(conn, [FIRST, impatient])

    assert await conn.fetchval("SHOW lock_timeout") == "10s"
    await reading.rollback()
    await reader.close()


async def test_a_database_is_one_services_for_good(conn: "Connection") -> None:
    kernel = [m for m in migrate.read(migrate.KERNEL) if m.name.startswith("kernel/")]
    await migrate.apply(conn, kernel, service="profile")
    await migrate.apply(conn, kernel, service="profile")

    with pytest.raises(StartupError, match="belongs to the service profile, not to matching"):
        await migrate.apply(conn, kernel, service="matching")
