"""Letting the service hear facts and do what they set off, inside one test's transaction."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.notification.tests.builders import heard

from notification_service.domain import work
from notification_service.handlers import subscriptions
from notification_service.jobs.deciding import ask_person, tell_sessions
from notification_service.jobs.preparing import prepare_mail
from oncomentor_contracts.event import Event
from servicekit.saying.outbox import Cause
from servicekit.subscription import Bulk, Timer
from servicekit.tx import Tx

JOBS = {
    work.ASK_PERSON: ask_person,
    work.TELL_SESSIONS: tell_sessions,
    work.PREPARE_MAIL: prepare_mail,
}
_HANDLERS = {
    kind: handler
    for subscription in subscriptions()
    for kind, handler in subscription.handlers.items()
}


async def hear(tx: Tx, *events: Event) -> list[Event]:
    """Apply events in this order, as the index of handlers says; return what was said."""
    said: list[Event] = []
    for event in events:
        handler = _HANDLERS[type(event)]
        received = heard(event, at=tx.now)
        if isinstance(handler, Bulk):
            said += await handler.handle([received], tx)
        else:
            said += await handler(received, tx)
    return said


async def timers(tx: Tx, kind: str) -> list[Timer]:
    """Return the timers of a kind that are due, in key order."""
    rows = await tx.conn.fetch(
        "SELECT * FROM kit.timers WHERE kind = $1 AND due_at <= $2 ORDER BY key", kind, tx.now
    )
    return [
        Timer(
            kind, row["key"], json.loads(row["payload"]), row["attempts"], row["version"], Cause()
        )
        for row in rows
    ]


async def due_at(tx: Tx, kind: str) -> Sequence[datetime]:
    """Return when the timers of a kind are due."""
    rows = await tx.conn.fetch("SELECT due_at FROM kit.timers WHERE kind = $1", kind)
    return [row["due_at"] for row in rows]


async def do_jobs(tx: Tx) -> list[Event]:
    """Do every job that is due now, once; return what was said."""
    said: list[Event] = []
    for kind, job in JOBS.items():
        for timer in await timers(tx, kind):
            said += await job(timer, tx)
            version = await tx.conn.fetchval(
                "SELECT version FROM kit.timers WHERE kind = $1 AND key = $2", kind, timer.key
            )
            if version == timer.version:
                await tx.cancel(kind, timer.key)
    return said


async def rows(tx: Tx, table: str) -> list[dict[str, Any]]:
    """Return a table's rows, in no order."""
    return [dict(row) for row in await tx.conn.fetch(f"SELECT * FROM {table}")]  # noqa: S608 - a test's own word
