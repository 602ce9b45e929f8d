import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import pytest
from services.profile.tests.conftest import Center, Hub, a_contact, kinds, rules, was_applied

from oncomentor_contracts.event import Event
from oncomentor_contracts.profile import ProfileChanged
from profile_service.store import people, receipts, registry
from profile_service.store.receipts import Receipt
from servicekit.tx import Database, Tx

RACERS = 12


@pytest.fixture
async def network(database: Database, hub: Hub, north: Center, south: Center) -> Database:
    """Both centers are registered, and committed."""
    async with database.transaction() as tx:
        await hub.register(tx, north, south)
    return database


async def test_of_racing_first_submissions_each_gets_a_version_of_its_own(
    network: Database, hub: Hub, north: Center
) -> None:
    events = [north.submits(contact=a_contact(phone=f"+351 {n}")) for n in range(RACERS)]

    answers = await _all_at_once(network, hub, events)

    assert all(was_applied(said) for said in answers)
    assert sorted(_versions(answers)) == list(range(1, RACERS + 1))
    assert sum("KeyChanged" in kinds(said) for said in answers) == 1


async def test_of_racing_equal_submissions_one_is_news(
    network: Database, hub: Hub, north: Center
) -> None:
    answers = await _all_at_once(network, hub, [north.submits() for _ in range(RACERS)])

    assert all(was_applied(said) for said in answers)
    assert _versions(answers) == [1]


async def test_of_two_centers_racing_for_a_person_id_one_gets_it(
    network: Database, hub: Hub, north: Center, south: Center
) -> None:
    stolen = {"person_id": north.person_id("ada")}
    events = [
        north.submits(),
        south.sends(south.submits().model_copy(update=stolen)),
    ]

    answers = await _all_at_once(network, hub, events)

    assert sorted(was_applied(said) for said in answers) == [False, True]
    refused = next(said for said in answers if not was_applied(said))
    assert rules(refused) == [("person_id", "foreign_person")]


async def test_a_withdrawal_racing_with_submissions_leaves_all_or_nothing(
    network: Database, hub: Hub, north: Center
) -> None:
    await _all_at_once(network, hub, [north.submits()])
    events = [
        north.withdraws(),
        *(north.submits(contact=a_contact(phone=f"+{n}")) for n in range(4)),
        north.withdraws(),
    ]

    await _all_at_once(network, hub, events)

    async with network.transaction() as tx:
        tables = ("people", "contacts", "person_keys")
        counts = [await tx.conn.fetchval(f"SELECT count(*) FROM {t}") for t in tables]  # noqa: S608
    assert counts in ([0, 0, 0], [1, 1, 1])


async def test_of_two_owners_racing_for_a_programme_id_one_gets_it(
    network: Database, hub: Hub, north: Center, south: Center
) -> None:
    events = [north.defines(north.programme("grants")), south.defines(south.programme("grants"))]

    answers = await _all_at_once(network, hub, events)

    assert sorted(was_applied(said) for said in answers) == [False, True]
    refused = next(said for said in answers if not was_applied(said))
    assert rules(refused) == [("programme_id", "foreign_programme")]


async def test_another_center_sees_neither_people_nor_receipts(
    network: Database, api_database: Database, hub: Hub, north: Center
) -> None:
    await _all_at_once(network, hub, [north.submits()])

    seen = {
        institution_id: await _counts(api_database, institution_id)
        for institution_id in ("north-center", "south-center", "consortium", None)
    }

    assert seen == {
        "north-center": (1, 1, 1),
        "south-center": (0, 0, 0),
        "consortium": (1, 1, 1),
        None: (0, 0, 0),
    }


@pytest.mark.parametrize("table", ["contacts", "survivor_blocks", "person_keys"])
async def test_the_http_edge_cannot_read_blocks_or_keys(api_database: Database, table: str) -> None:
    async with api_database.transaction(institution_id="consortium") as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.conn.fetch(f"SELECT * FROM {table}")  # noqa: S608


@pytest.mark.parametrize("table", ["people", "pseudonyms", "receipts"])
async def test_the_http_edge_cannot_write_what_handlers_write(
    api_database: Database, table: str
) -> None:
    async with api_database.transaction(institution_id="consortium") as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.conn.execute(f"DELETE FROM {table}")  # noqa: S608


async def test_a_center_writes_no_registry_entry_even_past_the_edges_checks(
    api_database: Database, north: Center
) -> None:
    async with api_database.transaction(institution_id="north-center") as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await registry.upsert_institution(tx, north.itself(), None)


async def test_a_center_writes_no_ones_programme_even_past_the_edges_checks(
    network: Database, api_database: Database, hub: Hub, north: Center, south: Center
) -> None:
    await _all_at_once(network, hub, [south.defines(south.programme("grants"))])

    for programme in (south.programme("new"), south.programme("grants", name="Ours")):
        async with api_database.transaction(institution_id="north-center") as tx:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await registry.upsert_programme(tx, programme, None)


async def test_a_center_takes_no_ones_programme_over(
    network: Database, api_database: Database, hub: Hub, north: Center, south: Center
) -> None:
    await _all_at_once(network, hub, [south.defines(south.programme("grants"))])

    async with api_database.transaction(institution_id="north-center") as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await registry.upsert_programme(tx, north.programme("grants"), None)


async def test_the_registry_comes_in_the_order_of_ids(
    tx: Tx, hub: Hub, north: Center, south: Center
) -> None:
    await hub.register(tx, south, north)
    await hub.define(tx, north.programme("survivors"), north.programme("grants"))

    institutions = await registry.list_institutions(tx)
    programmes = await registry.list_programmes(tx)

    assert [i.institution_id for i in institutions] == ["north-center", "south-center"]
    assert [p.programme_id for p in programmes] == ["grants", "survivors"]


async def test_an_entry_comes_back_as_it_was_written(tx: Tx, north: Center) -> None:
    entry = north.itself(policy={"partners_refused": ["south-center"], "survivor_lane": True})
    programme = north.programme(weights=[{"criterion": "goals", "weight": 0.1}])

    await registry.upsert_institution(tx, entry, 3)
    await registry.upsert_programme(tx, programme, None)

    assert await registry.lock_institution(tx, "north-center") == (entry, 3)
    assert await registry.lock_programme(tx, "grants") == (programme, None)
    assert await registry.lock_programme(tx, "other") is None


async def test_unknown_institutions_are_told_once_each(tx: Tx, hub: Hub, north: Center) -> None:
    await hub.register(tx, north)

    unknown = await registry.list_unknown_institutions(tx, ["west", "north-center", "east"])

    assert unknown == ["east", "west"]


async def test_who_was_never_there_is_not_there(tx: Tx) -> None:
    nobody = UUID(int=1)

    assert await people.lock_pseudonym(tx, nobody) is None
    assert await people.get_held(tx, nobody) is None
    assert await people.get_person(tx, nobody) is None
    assert await people.delete_person(tx, nobody, None) is False


async def test_two_centers_may_use_one_event_id(tx: Tx) -> None:
    """Ids are unique by promise only; one center must not change another's answer."""
    ours, theirs = (
        Receipt(center, "an-id", None, None, outcome, (), tx.now)
        for center, outcome in (("north-center", "applied"), ("south-center", "rejected"))
    )

    await receipts.upsert_receipt(tx, ours)
    await receipts.upsert_receipt(tx, theirs)

    assert await receipts.get_receipt(tx, "north-center", "an-id") == ours
    assert await receipts.get_receipt(tx, "south-center", "an-id") == theirs


async def _all_at_once(
    database: Database, hub: Hub, events: Sequence[Event]
) -> list[Sequence[Event]]:
    async def hear(event: Event) -> Sequence[Event]:
        async with database.transaction() as tx:
            said = await hub.hear(event, tx)
            await tx.say(said)
            return said

    return await asyncio.gather(*(hear(event) for event in events))


async def _counts(api_database: Database, institution_id: str | None) -> tuple[int, ...]:
    async with api_database.transaction(institution_id=institution_id) as tx:
        return tuple(
            [
                await tx.conn.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
                for table in ("people", "pseudonyms", "receipts")
            ]
        )


def _versions(answers: Sequence[Sequence[Event]]) -> list[int]:
    return [e.version for said in answers for e in said if isinstance(e, ProfileChanged)]
