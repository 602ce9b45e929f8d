"""A pair that may meet, and how far the booking of its first session has come."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from scheduling_service.domain.booking import Reason


class Booking(StrEnum):
    """Where a first session stands."""

    PENDING = "pending"  # not tried yet
    WAITING = "waiting"  # a fact from another topic has not arrived
    UNBOOKABLE = "unbookable"  # said so; tried again when hours, minutes or weeks change
    BOOKED = "booked"


@dataclass(frozen=True, slots=True)
class Match:
    """An active match and the state of its first booking."""

    match_id: UUID
    programme_id: str
    mentor_id: UUID
    mentee_id: UUID
    booking: Booking
    reason: Reason | None
    """Why it is unbookable; None in every other state."""
    tries: int
    """How often a fact was missing."""
    deadline_at: datetime
    """When waiting for facts ends."""
