"""Kernels with one mistake each, which the judges must find out.

Each replaces a function of the kernel in this process. Where the kernel has moved on, the
replacement fails loudly instead of changing nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from servicekit import failpoint
from servicekit.hearing import inbox
from servicekit.hearing.backlog import Judged
from servicekit.hearing.lane import Lane
from servicekit.hearing.position import lock_position, update_position
from servicekit.saying import outbox
from servicekit.saying.relay_cursor import Cursor, Page, Window
from servicekit.tx import Database, Tx

_RACE_SECONDS = 0.01  # between a look and a write, as a busy database makes it


def _offset_before_the_work() -> None:
    """Commit the offset row in a transaction of its own, then apply."""

    async def transact(self: Any, judged: Sequence[Judged], apply: Any) -> None:
        after = judged[-1][0].offset + 1
        await failpoint.reach("slice.begin")
        async with self._shared.database.transaction() as tx:
            fence = await lock_position(tx, self.where, not_before=self.next_offset)
            await update_position(tx, self.where, max(fence, after))
        await failpoint.reach("slice.locked")
        async with self._shared.database.transaction() as tx:
            todo = [pair for pair in judged if pair[0].offset >= fence]
            await apply(tx, self._subscription, self.where.topic, todo)
            await failpoint.reach("slice.applied")
        self.next_offset = max(fence, after)
        self._intake.applied(len(judged))
        self._shared.progressed()

    _replace(Lane, "_transact", transact)


def _outbox_outside() -> None:
    """Write outbox rows over another connection, so that they are committed by themselves."""
    append, databases = outbox.append, []
    made = Database.__init__

    def remember(self: Database, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        databases.append(self)

    async def elsewhere(tx: Tx, said: Sequence[outbox.Said]) -> None:
        if not said:
            return
        async with databases[0].pool.acquire() as conn:
            await append(Tx(conn, tx.now, tx.source, tx.cause), said)
        tx.wake = True

    _replace(Database, "__init__", remember)
    _replace(outbox, "append", elsewhere)


def _cursor_before_the_acks() -> None:
    """Move the relay's cursor when a page is read, not when Kafka has it."""
    page = Cursor.page

    async def page_and_move(self: Cursor, window: Window, after: int) -> Page:
        found = await page(self, window, after)
        if found.rows:
            await self.move(window, found, {}, [])
        return found

    _replace(Cursor, "page", page_and_move)


def _no_inbox() -> None:
    """Take every command for a new one."""

    async def insert_new(tx: Tx, topic: str, ids: Collection[UUID], now: datetime) -> set[UUID]:
        return set(ids)

    _replace(inbox, "insert_new", insert_new)


def _sequence_without_the_lock() -> None:
    """Look a subject's count up, add one, write it back."""

    async def next_sequences(tx: Tx, keys: Sequence[tuple[str, str]]) -> list[int]:
        last: dict[tuple[str, str], int] = {}
        for key in sorted(set(keys)):
            found = await tx.conn.fetchval(
                "SELECT sequence FROM kit.subject_sequences WHERE topic = $1 AND subject = $2", *key
            )
            last[key] = found or 0
        await asyncio.sleep(_RACE_SECONDS)
        numbers = []
        for key in keys:
            last[key] += 1
            numbers.append(last[key])
        for (topic, subject), number in last.items():
            await tx.conn.execute(
                """
                INSERT INTO kit.subject_sequences (topic, subject, sequence) VALUES ($1, $2, $3)
                ON CONFLICT (topic, subject) DO UPDATE SET sequence = excluded.sequence
                """,
                topic,
                subject,
                number,
            )
        return numbers

    _replace(outbox, "_next_sequences", next_sequences)


MUTATIONS: dict[str, Callable[[], None]] = {
    "offset before the work": _offset_before_the_work,
    "outbox outside the transaction": _outbox_outside,
    "cursor before the acks": _cursor_before_the_acks,
    "no inbox": _no_inbox,
    "sequence without the lock": _sequence_without_the_lock,
}


def apply(name: str) -> None:
    """Make this mistake in this process from now on."""
    MUTATIONS[name]()


def _replace(owner: Any, name: str, wrong: Any) -> None:
    assert hasattr(owner, name), f"the kernel has no {name} any more: adapt this mutation"
    setattr(owner, name, wrong)
