"""The kinds of work that wait in the queue, named once for those who set it and those who do it."""

from typing import Final

BOOK_FIRST_SESSION: Final = "book_first_session"
"""Keyed by match."""
REFRESH_PEOPLE: Final = "refresh_people"
"""Their facts changed: say what that makes of their availability."""
RETRY_BOOKINGS: Final = "retry_bookings"
"""Something that bookings may have waited for is there."""
TURN_MONTH: Final = "turn_month"
"""A month begins in a zone where people have pledges."""
