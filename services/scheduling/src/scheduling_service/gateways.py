"""The meeting server, as far as a link needs it: whoever knows a room's name can enter it."""

import secrets
from typing import Final

_ROOM_BYTES: Final = 24  # 192 bits; W3C's capability-URL advice asks for 120 or more


def mint_link(meeting_base_url: str) -> str:
    """Return the address of a room that nobody can guess, another one each time."""
    return f"{meeting_base_url.rstrip('/')}/{secrets.token_urlsafe(_ROOM_BYTES)}"
