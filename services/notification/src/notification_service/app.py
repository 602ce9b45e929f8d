"""Settings in, service out."""

from notification_service import api, handlers
from notification_service.domain import work
from notification_service.gateways.invitation import Mailbox
from notification_service.gateways.smtp import MailServer
from notification_service.jobs.deciding import ask_person, tell_sessions
from notification_service.jobs.preparing import prepare_mail
from notification_service.jobs.sending import Sender
from notification_service.settings import Settings
from servicekit.security import load_key
from servicekit.service import Service, packaged
from servicekit.settings import secret


def build(settings: Settings) -> Service:
    """Return the service; the key that opens contacts is read here and kept in memory.

    Raises:
        StartupError: the reader's key is no key.
    """
    server = MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        greeting=settings.mail_from.rpartition("@")[2],
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=secret(settings.smtp_password_file) if settings.smtp_password_file else None,
    )
    sender = Sender(
        key=load_key(settings.reader_key_file),
        server=server,
        mailbox=Mailbox(settings.mail_from_name, settings.mail_from),
    )
    return Service(
        name="notification",
        settings=settings,
        subscriptions=handlers.subscriptions(),
        jobs={
            work.ASK_PERSON: ask_person,
            work.TELL_SESSIONS: tell_sessions,
            work.PREPARE_MAIL: prepare_mail,
        },
        effects={work.SEND_MAIL: sender.effect()},
        routers=(api.router,),
        migrations=packaged("notification_service"),
    )
