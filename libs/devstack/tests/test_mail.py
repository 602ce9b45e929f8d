import smtplib
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from devstack.mailbox import Mailbox, is_id
from devstack.stack import Stack

ATTACK = '<script>alert("x")</script>'
CALENDAR = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:First hour\r\nEND:VCALENDAR\r\n"


def a_mail(subject: str = "Your first hour", *, html: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "OncoMentor <oncomentor@mail.invalid>"
    message["To"] = "Ana <ana@mail.invalid>"
    message["Subject"] = subject
    message["Message-ID"] = f"<{uuid4()}@mail.invalid>"
    message.set_content(f"See you then. {ATTACK}")
    if html:
        message.add_alternative(html, subtype="html")
    message.add_attachment(
        CALENDAR.encode(), maintype="text", subtype="calendar", filename="invite.ics"
    )
    return message


def send(network: Stack, message: EmailMessage, *, to: list[str] | None = None) -> None:
    host, port = network.address("mail-smtp").split(":")
    with smtplib.SMTP(host, int(port), timeout=10) as smtp:
        smtp.send_message(message, to_addrs=to or ["ana@mail.invalid"])


def inbox(network: Stack) -> str:
    return f"http://{network.address('mail')}"


def caught(network: Stack, message: EmailMessage) -> dict[str, object]:
    found = httpx.get(f"{inbox(network)}/api/messages").json()
    (mail,) = [mail for mail in found if mail["message_id"] == message["Message-ID"]]
    whole: dict[str, object] = httpx.get(f"{inbox(network)}/api/messages/{mail['id']}").json()
    return whole


def test_a_message_is_one_file_and_all_of_it_can_be_asked_for(network: Stack) -> None:
    message = a_mail()

    send(network, message, to=["ana@mail.invalid", "hidden@mail.invalid"])

    mail = caught(network, message)
    assert mail["subject"] == "Your first hour"
    assert mail["envelope_to"] == ["ana@mail.invalid", "hidden@mail.invalid"]
    assert mail["attachments"] == [
        {
            "name": "invite.ics",
            "content_type": "text/calendar",
            "text": CALENDAR.replace("\r\n", "\n"),
        }
    ] or "SUMMARY:First hour" in str(mail["attachments"])
    raw = (network.home.folder("mail") / f"{mail['id']}.eml").read_bytes()
    assert httpx.get(f"{inbox(network)}/messages/{mail['id']}.eml").content == raw


def test_nothing_in_a_message_becomes_part_of_a_page(network: Stack) -> None:
    message = a_mail(f"Hello {ATTACK}", html=f"<p>{ATTACK}</p>")
    send(network, message)
    mail = caught(network, message)

    pages = [
        httpx.get(inbox(network)),
        httpx.get(f"{inbox(network)}/messages/{mail['id']}"),
    ]

    for page in pages:
        assert "<script" not in page.text
        assert "&lt;script&gt;" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "SUMMARY:First hour" in pages[1].text


def test_a_killed_catcher_has_lost_nothing_it_said_yes_to(network: Stack) -> None:
    message = a_mail("Before the end")
    send(network, message)

    network.kill_part("mail")
    network.up(services=())

    assert caught(network, message)["subject"] == "Before the end"


@pytest.mark.parametrize("wrong", ["..%2F..%2Fstate.json", "0", "a/b", "x.eml"])
def test_only_messages_are_given_out(network: Stack, wrong: str) -> None:
    for path in ("messages", "api/messages"):
        assert httpx.get(f"{inbox(network)}/{path}/{wrong}").status_code == 404


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00broken",
        b"Subject: =?utf-8?b?broken\r\nContent-Type: text/plain; charset=nonsense\r\n\r\nhi",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nno end",
        b"Date: not a date\r\nFrom: <<>>\r\nTo: a@b, \r\n\r\n",
        b"Content-Type: text/html\r\n\r\n<b>only html",
    ],
)
def test_a_broken_message_is_kept_and_shown_as_well_as_it_goes(
    tmp_path: Path, content: bytes
) -> None:
    mailbox = Mailbox(tmp_path)

    mail_id = mailbox.keep("a@mail.invalid", ["b@mail.invalid"], content)

    assert is_id(mail_id)
    assert mailbox.mails()[0].envelope_to == ("b@mail.invalid",)
    assert (mailbox.raw(mail_id) or b"").endswith(content)


def test_an_address_cannot_add_a_header(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)

    mail_id = mailbox.keep("a@mail.invalid\r\nSubject: forged", [], b"\r\n")

    mail = mailbox.mail(mail_id)
    assert mail is not None
    assert mail.subject == ""
