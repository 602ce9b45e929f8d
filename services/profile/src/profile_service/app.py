"""The profile service, put together."""

from profile_service import api, handlers
from profile_service.handlers.vault import Vault
from profile_service.settings import Settings
from servicekit import security
from servicekit.service import Service, packaged


def build(settings: Settings) -> Service:
    """Return the service that these settings describe.

    Raises:
        StartupError: a key file holds no key of its kind.
    """
    vault = Vault(
        intake=security.load_key(settings.intake_key_file),
        kek=security.load_kek(settings.kek_file),
        readers={
            "matching": security.load_key(settings.reader_key_matching_file),
            "notification": security.load_key(settings.reader_key_notification_file),
        },
    )
    return Service(
        name="profile",
        settings=settings,
        subscriptions=handlers.subscriptions(vault),
        migrations=packaged("profile_service"),
        routers=(api.router, api.intake_router(security.public_jwk(vault.intake))),
    )
