"""Settings of the scheduling service."""

from typing import Annotated

from pydantic import Field

import servicekit.settings


class Settings(servicekit.settings.Settings):
    """The kernel's settings, and where sessions meet."""

    meeting_base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$", max_length=400)]
    """The meeting server; a session's room is the last part of the path behind it."""
