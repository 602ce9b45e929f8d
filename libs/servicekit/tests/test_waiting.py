"""Waiting for a fact: released by it, by the deadline, or by looking oneself."""

import json
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from servicekit.tx import Tx
from servicekit.waiting import FIRST_LOOK, arrived, next_look, wait_on
from testkit.plugin import NOW

FACT = "profile.profile/somebody"
HOUR = timedelta(hours=1)


async def due_at(tx: Tx, key: str = "k") -> datetime:
    found: datetime = await tx.conn.fetchval("SELECT due_at FROM kit.timers WHERE key = $1", key)
    return found


async def wait(tx: Tx, key: str = "k", *facts: str, **payload: object) -> None:
    await wait_on(tx, facts or {FACT}, "book", key, deadline=NOW + HOUR, payload=payload)


async def test_the_fact_releases_what_waits_for_it_and_nothing_else(tx: Tx) -> None:
    await wait(tx, "one")
    await wait(tx, "both", FACT, "profile.profile/another")
    await wait(tx, "other", "profile.profile/another")
    tx.now += timedelta(seconds=1)
    tx.wake = False

    released = await arrived(tx, [FACT, "profile.profile/nobody"])

    assert (released, tx.wake) == (2, True)
    assert await due_at(tx, "one") == await due_at(tx, "both") == tx.now
    assert await due_at(tx, "other") == NOW + FIRST_LOOK


async def test_a_fact_that_nobody_waits_for_wakes_nobody(tx: Tx) -> None:
    assert await arrived(tx, [FACT]) == 0
    assert not tx.wake


async def test_who_waits_on_looks_ever_more_seldom_and_no_later_than_the_deadline(tx: Tx) -> None:
    looks = []
    await wait(tx)
    while (at := await due_at(tx)) < NOW + HOUR:
        looks.append(at - NOW)
        tx.now = at
        payload = await tx.conn.fetchval("SELECT payload FROM kit.timers")
        await wait(tx, **json.loads(payload))

    assert looks[:4] == [timedelta(seconds=s) for s in (2, 4, 8, 16)]
    assert at == NOW + HOUR


async def test_waiting_again_replaces_what_was_waited_for(tx: Tx) -> None:
    await wait(tx, "k", "profile.profile/another")
    await wait(tx, "k", FACT)

    assert await arrived(tx, ["profile.profile/another"]) == 0
    assert await arrived(tx, [FACT]) == 1


@given(
    waited=st.timedeltas(timedelta(0), timedelta(days=30)),
    left=st.timedeltas(timedelta(days=-1), timedelta(days=30)),
)
def test_the_next_look_is_always_ahead_and_never_after_the_deadline(
    waited: timedelta, left: timedelta
) -> None:
    look = next_look(NOW - waited, NOW, NOW + left)

    assert look >= NOW
    assert look <= max(NOW + left, NOW)
