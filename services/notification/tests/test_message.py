"""What is sent, as a real SMTP server takes it and other libraries read it."""

from datetime import timedelta

import pytest
from services.notification.tests.builders import (
    LINK,
    MENTOR,
    SESSION,
    STARTS_AT,
    a_contact_block,
    a_profile,
    an_intent,
)
from services.notification.tests.mailbox import MailCatcher
from services.notification.tests.post import (
    FROM,
    a_sender,
    calendar_of,
    decoded,
    mailed,
    parsed,
    parts,
    prepared,
    set_up,
    text_of,
)
from services.notification.tests.steps import hear

from notification_service.gateways.smtp import RefusedError
from oncomentor_contracts.notification import (
    Template,
)
from oncomentor_contracts.programme import ProgrammeKind
from servicekit.tx import Tx


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
