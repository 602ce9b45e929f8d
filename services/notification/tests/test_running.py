"""The kernel's own timers working on this service's jobs and effects, with commits and a clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.notification.tests.builders import (
    MENTEE,
    MENTOR,
    READER,
    SOUTH,
    a_contact_and_key,
    a_profile,
    a_programme,
    an_institution,
    an_intent,
)
from services.notification.tests.mailbox import MailCatcher
from services.notification.tests.steps import JOBS, hear

from notification_service.domain import work
from notification_service.gateways.invitation import Mailbox
from notification_service.gateways.smtp import MailServer
from notification_service.jobs.sending import Sender
from oncomentor_contracts.event import Event
from oncomentor_contracts.notification import DeliveryFailed, DeliverySent, Template
from servicekit.saying import record_headers
from servicekit.timers import Timers
from servicekit.tx import Database
from testkit.eventually import eventually


@asynccontextmanager
async def working(database: Database, server: MailServer) -> AsyncIterator[None]:
    sender = Sender(
        key=READER, server=server, mailbox=Mailbox("OncoMentor", "network@oncomentor.example")
    )
    timers = Timers(database=database, jobs=JOBS, effects={work.SEND_MAIL: sender.effect()})
    timers.opened.set()
    task = asyncio.create_task(timers.run())
    yield
    timers.close()
    await task


async def tell(database: Database, *events: Event) -> None:
    async with database.transaction() as tx:
        await hear(
            tx,
            an_institution(),
            an_institution(SOUTH),
            a_programme(),
            a_profile(MENTOR),
            a_profile(MENTEE, institution_id=SOUTH),
            *a_contact_and_key(MENTOR),
            *a_contact_and_key(MENTEE, institution_id=SOUTH),
            *events,
        )


async def said(database: Database) -> list[str]:
    async with database.transaction() as tx:
        rows = await tx.conn.fetch("SELECT headers, sequence FROM kit.outbox")
    headers = [dict(record_headers.unpack(row["headers"], row["sequence"])) for row in rows]
    return [h["ce_type"].decode() for h in headers]


async def test_a_decided_message_is_sent_once_and_said_to_be(
    database: Database, catcher: MailCatcher
) -> None:
    intent = an_intent(Template.SESSION_UNBOOKABLE)

    async with working(database, catcher.server):
        await tell(database, intent)
        await eventually(lambda: said(database))

    assert await said(database) == [DeliverySent.TYPE]
    assert len(catcher.taken) == 1


async def test_a_server_that_puts_off_once_gets_the_mail_once(
    database: Database, catcher: MailCatcher
) -> None:
    catcher.data_replies.append("451 4.3.0 try again")

    async with working(database, catcher.server):
        await tell(database, an_intent(Template.SESSION_UNBOOKABLE))
        await eventually(lambda: said(database))

    assert await said(database) == [DeliverySent.TYPE]
    assert len(catcher.taken) == 1


async def test_a_server_that_keeps_putting_off_is_left_alone_for_a_minute(
    database: Database, catcher: MailCatcher
) -> None:
    catcher.rcpt_replies += ["451 4.7.1 greylisted"] * 3
    intent = an_intent(Template.SESSION_UNBOOKABLE)

    async def put_off() -> datetime | None:
        async with database.transaction() as tx:
            due: datetime | None = await tx.conn.fetchval(
                """
                SELECT due_at
                  FROM kit.timers
                 WHERE kind = 'prepare_mail' AND key = $1 AND due_at > $2
                """,
                str(intent.delivery_id),
                tx.now + timedelta(seconds=30),
            )
            return due

    async with working(database, catcher.server):
        await tell(database, intent)
        again_at = await eventually(put_off)

    assert again_at is not None
    assert again_at - datetime.now(UTC) <= timedelta(minutes=1)
    assert await said(database) == []
    assert catcher.taken == []


async def test_a_refused_recipient_is_said_at_once_and_not_tried_again(
    database: Database, catcher: MailCatcher
) -> None:
    catcher.rcpt_replies.append("550 5.1.1 <ana.reis@north.example>: unknown")
    intent = an_intent(Template.SESSION_UNBOOKABLE)

    async with working(database, catcher.server):
        await tell(database, intent)
        await eventually(lambda: said(database))

    assert await said(database) == [DeliveryFailed.TYPE]
    assert await timers_left(database, intent.delivery_id) == 0


async def timers_left(database: Database, delivery_id: UUID) -> int:
    async with database.transaction() as tx:
        count: int = await tx.conn.fetchval(
            "SELECT count(*) FROM kit.timers WHERE key = $1", str(delivery_id)
        )
    return count
