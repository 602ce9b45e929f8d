"""From a decided message to the mail server and back, against a real SMTP server."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from services.notification.tests.builders import (
    MENTEE,
    MENTOR,
    SOUTH,
    STARTS_AT,
    a_contact_and_key,
    a_contact_block,
    a_link,
    a_profile,
    an_intent,
)
from services.notification.tests.mailbox import MailCatcher
from services.notification.tests.post import (
    a_closed_port,
    a_sender,
    mailed,
    prepared,
    set_up,
    text_of,
)
from services.notification.tests.steps import do_jobs, due_at, hear, rows, timers

from notification_service.domain import work
from notification_service.gateways.smtp import MailServer, RefusedError
from notification_service.jobs.sending import (
    AddressUnconfirmedError,
    UnreadableContactError,
)
from oncomentor_contracts.block import ContactDeleted
from oncomentor_contracts.event import Event
from oncomentor_contracts.notification import (
    DeliveryFailed,
    DeliverySent,
    FailureReason,
)
from servicekit import security
from servicekit.errors import TransientError
from servicekit.tx import Tx


class TestOutcomes:
    async def test_a_mail_that_was_taken_is_said_and_settled(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)
        timer = await prepared(tx)
        effect = a_sender(catcher.server).effect()

        (sent,) = await effect.record(timer, await effect.perform(timer), tx)

        assert isinstance(sent, DeliverySent)
        assert str(sent.delivery_id) == timer.key
        assert [mail["state"] for mail in await rows(tx, "mails")] == ["sent"]

    @pytest.mark.parametrize(
        "refuse",
        [
            lambda catcher: catcher.rcpt_replies.append("550 5.1.1 <ana.reis@north.example>: no"),
            lambda catcher: catcher.data_replies.append("554 5.7.1 not wanted"),
        ],
    )
    async def test_what_the_server_refuses_for_good_is_not_tried_again(
        self, tx: Tx, catcher: MailCatcher, refuse: Callable[[MailCatcher], None]
    ) -> None:
        await set_up(tx)
        timer = await prepared(tx)
        refuse(catcher)
        effect = a_sender(catcher.server).effect()

        with pytest.raises(RefusedError) as refused:
            await effect.perform(timer)
        said = await effect.give_up(timer, refused.value, tx)

        assert self.reasons(said) == [FailureReason.REFUSED]
        assert "ana.reis" not in str(refused.value)
        assert refused.value.__suppress_context__

    @pytest.mark.parametrize(
        "postpone",
        [
            lambda catcher: catcher.rcpt_replies.append("451 4.7.1 greylisted"),
            lambda catcher: catcher.data_replies.append("452 4.3.1 no space"),
        ],
    )
    async def test_what_the_server_puts_off_is_taken_the_next_time(
        self, tx: Tx, catcher: MailCatcher, postpone: Callable[[MailCatcher], None]
    ) -> None:
        await set_up(tx)
        timer = await prepared(tx)
        postpone(catcher)
        sender = a_sender(catcher.server)

        with pytest.raises(TransientError):
            await sender.perform(timer)
        await sender.perform(timer)

        assert len(catcher.taken) == 1

    async def test_a_server_that_is_away_is_tried_again_later_with_fresh_facts(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)
        timer = await prepared(tx)
        await tx.cancel(timer.kind, timer.key)
        effect = a_sender(MailServer("127.0.0.1", a_closed_port(), "oncomentor.example")).effect()

        with pytest.raises(TransientError) as away:
            await effect.perform(timer)
        said = await effect.give_up(timer, away.value, tx)
        waits = await due_at(tx, work.PREPARE_MAIL)
        tx.now += timedelta(minutes=1)
        await do_jobs(tx)

        assert said == []
        assert waits == [tx.now]
        assert len(await timers(tx, work.SEND_MAIL)) == 1
        assert [mail["attempts"] for mail in await rows(tx, "mails")] == [2]

    async def test_after_two_days_without_a_server_it_is_given_up(self, tx: Tx) -> None:
        await set_up(tx)
        timer = await prepared(tx)
        effect = a_sender(MailServer("127.0.0.1", 9, "oncomentor.example")).effect()
        tx.now += timedelta(days=2)

        said = await effect.give_up(timer, TransientError("away"), tx)

        assert self.reasons(said) == [FailureReason.GAVE_UP]

    async def test_a_bug_is_not_tried_for_ever(self, tx: Tx, catcher: MailCatcher) -> None:
        await set_up(tx)
        timer = await prepared(tx)

        said = await a_sender(catcher.server).effect().give_up(timer, KeyError("oops"), tx)

        assert self.reasons(said) == [FailureReason.GAVE_UP]

    async def test_nothing_goes_to_an_address_that_its_owner_has_not_confirmed(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx, mentor=a_contact_block(email_confirmed_at=None))
        timer = await prepared(tx)
        effect = a_sender(catcher.server).effect()

        with pytest.raises(AddressUnconfirmedError) as unconfirmed:
            await effect.perform(timer)
        said = await effect.give_up(timer, unconfirmed.value, tx)

        assert self.reasons(said) == [FailureReason.ADDRESS_UNCONFIRMED]
        assert catcher.taken == []

    async def test_a_contact_sealed_to_another_reader_cannot_be_used(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)
        timer = await prepared(tx)
        effect = a_sender(catcher.server, key=security.generate_key()).effect()

        with pytest.raises(UnreadableContactError) as unreadable:
            await effect.perform(timer)
        said = await effect.give_up(timer, unreadable.value, tx)

        assert self.reasons(said) == [FailureReason.NO_CONTACT]

    async def test_a_broken_contact_is_not_quoted_in_the_error(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)
        broken = b'{"display_name": "Ana Reis", "email": "no address of Ana"}'
        await hear(tx, *a_contact_and_key(MENTOR, plaintext=broken))
        timer = await prepared(tx)

        with pytest.raises(UnreadableContactError) as unreadable:
            await a_sender(catcher.server).perform(timer)

        assert "Ana" not in str(unreadable.value)
        assert unreadable.value.__suppress_context__

    def reasons(self, said: list[Event] | Any) -> list[FailureReason]:
        return [event.reason for event in said if isinstance(event, DeliveryFailed)]


class TestWaiting:
    async def test_a_mail_waits_for_contact_key_and_link_in_any_order(self, tx: Tx) -> None:
        await hear(tx, an_intent(), a_profile(MENTOR), a_profile(MENTEE, institution_id=SOUTH))
        pieces = (
            *a_contact_and_key(MENTOR),
            *a_contact_and_key(MENTEE, institution_id=SOUTH),
            a_link(),
        )

        for piece in pieces:
            assert await do_jobs(tx) == []
            assert await timers(tx, work.SEND_MAIL) == []
            await hear(tx, piece)
            tx.now += timedelta(minutes=1)
        await do_jobs(tx)

        assert len(await timers(tx, work.SEND_MAIL)) == 1

    async def test_a_key_for_another_contact_block_does_not_count(self, tx: Tx) -> None:
        await set_up(tx)
        _, other_key = a_contact_and_key(MENTOR)
        await hear(tx, other_key, an_intent())

        await do_jobs(tx)

        assert await timers(tx, work.SEND_MAIL) == []

    async def test_without_a_contact_after_an_hour_the_delivery_fails(self, tx: Tx) -> None:
        await set_up(tx)
        await hear(tx, ContactDeleted(person_id=MENTOR), an_intent())
        tx.now += timedelta(hours=1)

        (failed,) = await do_jobs(tx)

        assert isinstance(failed, DeliveryFailed)
        assert failed.reason is FailureReason.NO_CONTACT
        assert [mail["state"] for mail in await rows(tx, "mails")] == ["failed"]

    async def test_without_the_other_name_after_an_hour_the_mail_goes_anyway(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)
        await hear(tx, ContactDeleted(person_id=MENTEE), an_intent())
        tx.now += timedelta(hours=1)
        await do_jobs(tx)

        (timer,) = await timers(tx, work.SEND_MAIL)
        await a_sender(catcher.server).perform(timer)

        assert "your mentoring partner" in text_of(catcher.messages[0])

    async def test_an_invitation_to_a_session_that_has_begun_is_not_sent(self, tx: Tx) -> None:
        await set_up(tx)
        await hear(tx, an_intent())
        tx.now = STARTS_AT

        (failed,) = await do_jobs(tx)

        assert isinstance(failed, DeliveryFailed)
        assert failed.reason is FailureReason.GAVE_UP

    async def test_who_erased_their_contact_between_two_attempts_gets_nothing(self, tx: Tx) -> None:
        await set_up(tx)
        timer = await prepared(tx)
        await tx.cancel(timer.kind, timer.key)
        await (
            a_sender(MailServer("127.0.0.1", 9, "x"))
            .effect()
            .give_up(timer, TransientError("away"), tx)
        )

        await hear(tx, ContactDeleted(person_id=MENTOR))
        tx.now += timedelta(hours=1)
        (failed,) = await do_jobs(tx)

        assert isinstance(failed, DeliveryFailed)
        assert await timers(tx, work.SEND_MAIL) == []

    async def test_nothing_readable_of_a_person_is_kept(self, tx: Tx, catcher: MailCatcher) -> None:
        await set_up(tx)
        await mailed(tx, catcher, an_intent())
        await tx.say([an_intent()])

        tables = await tx.conn.fetch(
            """
            SELECT format('%I.%I', table_schema, table_name) AS name
              FROM information_schema.tables
             WHERE table_schema IN ('public', 'kit') AND table_type = 'BASE TABLE'
            """
        )
        kept = str([await rows(tx, table["name"]) for table in tables])

        assert str(MENTOR) in kept
        for secret in ("Ana", "Reis", "ana.reis", "Maya", "Lindqvist", "maya@"):
            assert secret not in kept
