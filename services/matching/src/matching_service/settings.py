"""Settings of matching, beside those of every service."""

from servicekit import settings


class Settings(settings.Settings):
    """Everything matching is told from outside."""

    reader_key_file: settings.SecretFile
    """Private JWK: opens the survivor keys that `profile.key` seals for matching."""
