"""The age and size of what is not sent, against what a cursor left."""

from datetime import datetime, timedelta

import pytest

from oncomentor_contracts.receipt import Outcome, ReceiptAccepted
from servicekit.process.gauges import read_backlog
from servicekit.tx import Database, Tx


async def say(database: Database, *subjects: str, ago: timedelta = timedelta(0)) -> None:
    async with database.transaction() as tx:
        then = Tx(tx.conn, tx.now - ago)
        await then.say([a_receipt(subject, then.now) for subject in subjects])


def a_receipt(subject: str, at: datetime) -> ReceiptAccepted:
    return ReceiptAccepted(
        institution_id="harbor-test",
        receipt_for=subject,
        event_type="x.y.v1",
        about=subject,
        outcome=Outcome.APPLIED,
        at=at,
    )


async def backlog(database: Database) -> tuple[int, float]:
    async with database.transaction() as tx:
        return await read_backlog(tx)


async def move_cursor(database: Database, sql: str) -> None:
    async with database.transaction() as tx:
        await tx.conn.execute(sql)


NEW_CURSOR = """
    INSERT INTO kit.relay_cursors (relay, snapshot_from, last_seq, epoch, system_identifier)
    VALUES ('x', '1:1:', 0, 1, 1)
"""


@pytest.mark.parametrize("begun", [False, True], ids=["no relay yet", "a relay that sent nothing"])
async def test_everything_waits_before_the_first_row_is_sent(
    database: Database, begun: bool
) -> None:
    if begun:
        await move_cursor(database, NEW_CURSOR)
    assert await backlog(database) == (0, 0.0)
    await say(database, "a", ago=timedelta(seconds=90))
    await say(database, "b", "c")

    rows, age = await backlog(database)

    assert rows == 3
    assert 90 <= age < 150


async def test_what_the_cursor_has_passed_no_longer_waits(database: Database) -> None:
    await move_cursor(database, NEW_CURSOR)
    await say(database, "a", "b", ago=timedelta(hours=1))
    await say(database, "c", ago=timedelta(minutes=10))
    await move_cursor(
        database,
        """
        UPDATE kit.relay_cursors
           SET snapshot_to = pg_current_snapshot(), last_seq = (SELECT min(seq) + 1 FROM kit.outbox)
        """,
    )
    await say(database, "d")

    rows, age = await backlog(database)

    assert rows == 2
    assert 600 <= age < 660
    await move_cursor(
        database,
        "UPDATE kit.relay_cursors SET snapshot_from = pg_current_snapshot(), snapshot_to = NULL,"
        " last_seq = 0",
    )
    assert await backlog(database) == (0, 0.0)
