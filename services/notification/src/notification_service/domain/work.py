"""The kinds of timers: what a fact sets off, done in a transaction of its own."""

from typing import Final

ASK_PERSON: Final = "ask_person"
"""Key: match id and side."""
TELL_SESSIONS: Final = "tell_sessions"
"""Key: what set it off, a match or a session."""
PREPARE_MAIL: Final = "prepare_mail"
"""Key: delivery id."""
SEND_MAIL: Final = "send_mail"
"""Key: delivery id; an effect."""
