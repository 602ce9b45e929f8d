"""From a decided message to the mail server and back, against a real SMTP server."""

import socket
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from ical.calendar import Calendar
from ical.calendar_stream import IcsCalendarStream
from services.notification.tests.builders import (
    LINK,
    MENTEE,
    MENTOR,
    NORTH,
    READER,
    SESSION,
    SOUTH,
    STARTS_AT,
    a_contact_and_key,
    a_contact_block,
    a_link,
    a_profile,
    a_programme,
    an_institution,
    an_intent,
)
from services.notification.tests.mailbox import MailCatcher
from services.notification.tests.steps import do_jobs, due_at, hear, rows, timers

from notification_service.domain import work
from notification_service.gateways.invitation import Mailbox
from notification_service.gateways.smtp import MailServer, RefusedError
from notification_service.jobs.sending import (
    AddressUnconfirmedError,
    Sender,
    UnreadableContactError,
)
from oncomentor_contracts.block import ContactBlock, ContactDeleted
from oncomentor_contracts.event import Event
from oncomentor_contracts.notification import (
    DeliveryFailed,
    DeliveryIntended,
    DeliverySent,
    FailureReason,
    Template,
)
from oncomentor_contracts.programme import ProgrammeKind
from servicekit import security
from servicekit.errors import TransientError
from servicekit.subscription import Timer
from servicekit.tx import Tx

FROM = Mailbox("OncoMentor", "network@oncomentor.example")


def a_sender(server: MailServer, *, key: security.Key = READER) -> Sender:
    return Sender(key=key, server=server, mailbox=FROM)


async def set_up(
    tx: Tx,
    *,
    mentor: ContactBlock | None = None,
    mentee: ContactBlock | None = None,
    mentee_may_be_named: bool = True,
    kind: ProgrammeKind = ProgrammeKind.RESEARCH,
    programme_name: str = "Early Career",
) -> None:
    """Let the service know two people of two centers, a programme and a link."""
    mentee = mentee or a_contact_block(display_name="Maya Lindqvist", email="maya@south.example")
    await hear(
        tx,
        an_institution(NORTH),
        an_institution(SOUTH),
        a_programme(name=programme_name, kind=kind),
        a_profile(MENTOR),
        a_profile(MENTEE, institution_id=SOUTH, may_be_named=mentee_may_be_named),
        *a_contact_and_key(MENTOR, contact=mentor),
        *a_contact_and_key(MENTEE, institution_id=SOUTH, contact=mentee),
        a_link(),
    )


async def prepared(tx: Tx, intent: DeliveryIntended | None = None) -> Timer:
    """Return the effect's timer of an intent that has everything it needs."""
    await hear(tx, intent or an_intent())
    assert await do_jobs(tx) == []
    (timer,) = await timers(tx, work.SEND_MAIL)
    return timer


async def mailed(tx: Tx, catcher: MailCatcher, intent: DeliveryIntended) -> EmailMessage:
    await a_sender(catcher.server).perform(await prepared(tx, intent))
    (message,) = catcher.messages
    return message


def parts(message: EmailMessage) -> dict[str, Any]:
    return {part.get_content_type(): part for part in message.iter_parts()}


def text_of(message: EmailMessage) -> str:
    return str(parts(message)["text/plain"].get_content())


def decoded(message: EmailMessage) -> str:
    """Return everything a reader can show of a message."""
    shown = [part.get_payload(decode=True) for part in message.iter_parts()]
    return str(message["Subject"]) + b"".join(p for p in shown if isinstance(p, bytes)).decode()


def calendar_of(message: EmailMessage) -> str:
    content: bytes = parts(message)["text/calendar"].get_payload(decode=True)
    return content.decode()


def parsed(calendar: str) -> Calendar:
    """Read a calendar with a library that had no part in writing it."""
    return IcsCalendarStream.calendar_from_ics(calendar)


class TestWhatIsSent:
    async def test_an_invitation_reaches_its_person_as_three_parts_that_say_the_same(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)

        message = await mailed(tx, catcher, an_intent())

        assert catcher.taken[0].mail_from == FROM.address
        assert catcher.taken[0].rcpt_tos == ["ana.reis@north.example"]
        assert message["To"] == "Ana Reis <ana.reis@north.example>"
        assert message["From"] == "OncoMentor <network@oncomentor.example>"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message.get_content_type() == "multipart/alternative"
        assert list(parts(message)) == ["text/plain", "text/html", "text/calendar"]
        for part in ("text/plain", "text/html"):
            shown = parts(message)[part].get_content()
            assert "Maya Lindqvist" in shown
            assert LINK in shown
            assert "Monday, March 9, 2026" in shown
            assert "Western European" in shown

    async def test_the_method_outside_equals_the_method_inside(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)

        message = await mailed(tx, catcher, an_intent())

        part = parts(message)["text/calendar"]
        assert part["Content-Type"].params["method"] == "REQUEST"
        assert part["Content-Type"].params["charset"] == "utf-8"
        assert "\r\nMETHOD:REQUEST\r\n" in calendar_of(message)

    async def test_the_invitation_reads_as_one_event_for_one_attendee(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)

        (event,) = parsed(calendar_of(await mailed(tx, catcher, an_intent()))).events

        assert event.uid == f"{SESSION}@oncomentor"
        assert event.sequence == 0
        assert event.dtstart == STARTS_AT
        assert event.computed_duration == timedelta(hours=1)
        assert event.summary == "Mentoring session with Maya Lindqvist"
        assert event.location == LINK
        assert LINK in (event.description or "")
        assert event.organizer is not None
        assert str(event.organizer.uri) == "mailto:network@oncomentor.example"
        (attendee,) = event.attendees
        assert str(attendee.uri) == "mailto:ana.reis@north.example"
        assert (attendee.common_name, attendee.rsvp) == ("Ana Reis", True)

    async def test_an_offer_names_nobody_and_has_no_calendar(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)

        message = await mailed(tx, catcher, an_intent(Template.MATCH_OFFERED))

        assert list(parts(message)) == ["text/plain", "text/html"]
        assert "Maya" not in message.as_string()
        assert message["Subject"] == "You are asked to be a mentor: Early Career"
        assert "South Center" in text_of(message)

    async def test_people_hear_that_no_hour_was_found(self, tx: Tx, catcher: MailCatcher) -> None:
        await set_up(tx)

        message = await mailed(tx, catcher, an_intent(Template.SESSION_UNBOOKABLE))

        assert message["Subject"] == "No time was found for your mentoring session"
        assert "Maya Lindqvist" in text_of(message)

    @pytest.mark.parametrize("kind", [ProgrammeKind.SURVIVORSHIP, ProgrammeKind.UNKNOWN])
    @pytest.mark.parametrize("template", [Template.MATCH_OFFERED, Template.SESSION_INVITATION])
    async def test_nothing_says_that_somebody_is_a_survivor(
        self, tx: Tx, catcher: MailCatcher, kind: ProgrammeKind, template: Template
    ) -> None:
        await set_up(tx, kind=kind, programme_name="Survivors for Survivors")

        message = await mailed(tx, catcher, an_intent(template))

        everything = decoded(message)
        assert "urvivor" not in everything
        assert "atient" not in everything

    async def test_a_programme_nobody_has_heard_of_is_not_named(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)
        intent = an_intent(Template.MATCH_OFFERED, programme_id="unheard-of")

        message = await mailed(tx, catcher, intent)

        assert message["Subject"] == "You are asked to be a mentor"

    async def test_who_did_not_agree_to_be_named_is_not(self, tx: Tx, catcher: MailCatcher) -> None:
        await set_up(tx, mentee_may_be_named=False)

        message = await mailed(tx, catcher, an_intent())

        (event,) = parsed(calendar_of(message)).events
        assert event.summary == "Mentoring session with your mentoring partner"
        assert "Maya" not in text_of(message) + calendar_of(message)

    async def test_the_other_half_s_address_is_never_given_away(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)

        message = await mailed(tx, catcher, an_intent())

        assert "maya@south.example" not in decoded(message)

    async def test_the_reader_s_language_and_zone_are_used(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx, mentor=a_contact_block(locale="de-AT"))
        await hear(tx, a_profile(MENTOR, time_zone="Europe/Vienna"))

        message = await mailed(tx, catcher, an_intent())

        assert message["Content-Language"] == "de-AT"
        assert message["Subject"] == "Mentoring-Gespräch am Mo., 9. März, 16:00"
        assert "Montag, 9. März 2026, 16:00 (Mitteleuropäische Normalzeit)" in text_of(message)

    async def test_a_second_attempt_has_the_same_message_id(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx)
        timer = await prepared(tx)

        first = await a_sender(catcher.server).perform(timer)
        again = await a_sender(catcher.server).perform(timer)

        sent = catcher.messages
        assert first.message_id == again.message_id == sent[0]["Message-ID"]
        assert sent[0]["Message-ID"] == sent[1]["Message-ID"]
        assert calendar_of(sent[0]) == calendar_of(sent[1])
        assert first.message_id == f"<{timer.key}@oncomentor.example>"


class TestHostileNames:
    @pytest.mark.parametrize(
        "name",
        [
            "Eve\r\nBcc: everybody@example.org",
            "Eve\nMETHOD:CANCEL",
            'Eve" <eve@evil.example>, "',
            "Eve;CN=x:mailto:evil@example.org",
            "{{ 7 * 7 }}{% raw %}",
            "<script>alert(1)</script>",
            "Eve\u2028Attendee\u202egnihton",
            "Ève; Ünïcode, 山田 👩‍⚕️",
        ],
    )
    async def test_a_name_stays_a_name_whatever_it_holds(
        self, tx: Tx, catcher: MailCatcher, name: str
    ) -> None:
        await set_up(
            tx,
            mentor=a_contact_block(display_name=name),
            mentee=a_contact_block(display_name=name, email="maya@south.example"),
            programme_name=name,
        )

        message = await mailed(tx, catcher, an_intent())

        assert catcher.taken[0].rcpt_tos == ["ana.reis@north.example"]
        assert len(message["To"].addresses) == 1
        assert message["To"].addresses[0].addr_spec == "ana.reis@north.example"
        assert message["Bcc"] is None
        assert "<script>" not in parts(message)["text/html"].get_content()
        assert calendar_of(message).count("\r\nMETHOD:") == 1
        (event,) = parsed(calendar_of(message)).events
        (attendee,) = event.attendees
        assert str(attendee.uri) == "mailto:ana.reis@north.example"
        assert (event.summary or "").startswith("Mentoring session with ")
        assert "49" not in (event.summary or "")

    async def test_a_programme_name_cannot_end_the_subject_line(
        self, tx: Tx, catcher: MailCatcher
    ) -> None:
        await set_up(tx, programme_name="Early\r\nBcc: everybody@example.org")

        message = await mailed(tx, catcher, an_intent(Template.MATCH_OFFERED))

        assert message["Subject"].endswith("Early Bcc: everybody@example.org")
        assert message["Bcc"] is None
        assert catcher.taken[0].rcpt_tos == ["ana.reis@north.example"]

    @pytest.mark.parametrize(
        "address",
        ["a,b@x.example", "<a>@x.example", 'a"b@x.example', "a..b@x.example", "é,è@x.example"],
    )
    async def test_an_address_that_is_none_is_refused_without_being_quoted(
        self, tx: Tx, catcher: MailCatcher, address: str
    ) -> None:
        contact = a_contact_block().model_copy(update={"email": address})
        await set_up(tx, mentor=contact)
        timer = await prepared(tx)

        with pytest.raises(RefusedError) as refused:
            await a_sender(catcher.server).perform(timer)

        assert address not in str(refused.value)
        assert refused.value.__suppress_context__
        assert catcher.taken == []


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


def a_closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
