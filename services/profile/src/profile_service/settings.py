"""Settings of the profile service."""

from servicekit import settings
from servicekit.settings import SecretFile


class Settings(settings.Settings):
    """The kernel's settings, and the keys that people's data is under."""

    intake_key_file: SecretFile
    """Private JWK (P-256): centers seal contacts and survivor blocks to its public half."""
    kek_file: SecretFile
    """32 bytes in base64: people's data keys are stored under it."""
    reader_key_matching_file: SecretFile
    """Public JWK: matching's, for keys of survivor blocks."""
    reader_key_notification_file: SecretFile
    """Public JWK: notification's, for keys of contacts."""
