"""Getting a decided message out: what to wait for, when to try again, when to stop."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

# Contact, key and link are said in the moment of what needs them; an hour later something is
# wrong at their source, and the coordinator should hear of it.
WAIT_FOR_FACTS: Final = timedelta(hours=1)
# A mail server that is away comes back within hours; after two days the news is no news.
LIFETIME: Final = timedelta(days=2)
_SHORTEST_WAIT: Final = timedelta(seconds=1)
_LONGEST_WAIT: Final = timedelta(minutes=1)
_RETRIES: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)


class Failure(StrEnum):
    """Why a message will not be sent."""

    NO_CONTACT = "no_contact"
    ADDRESS_UNCONFIRMED = "address_unconfirmed"
    REFUSED = "refused"
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True)
class Needs:
    """Which facts a message still lacks."""

    contact: bool = False
    link: bool = False
    name: bool = False
    """The counterpart's; the message can do without, but is better with it."""

    @property
    def anything(self) -> bool:
        """Whether something is lacking."""
        return self.contact or self.link or self.name


@dataclass(frozen=True, slots=True)
class Go:
    """Send it now."""


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Look again then."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """It will not be sent."""

    reason: Failure


def next_step(
    needs: Needs, *, intended_at: datetime, moot_at: datetime | None, now: datetime
) -> Go | WaitUntil | Stop:
    """Return what to do with a message that was decided at `intended_at`.

    After `moot_at` (the answer is due, the session has begun) it helps nobody.
    """
    if moot_at is not None and now >= moot_at:
        return Stop(Failure.GAVE_UP)
    if not needs.anything:
        return Go()
    waited = now - intended_at
    if waited < WAIT_FOR_FACTS:
        return WaitUntil(now + min(max(waited, _SHORTEST_WAIT), _LONGEST_WAIT))
    if needs.contact:
        return Stop(Failure.NO_CONTACT)
    return Stop(Failure.GAVE_UP) if needs.link else Go()


def after_failure(attempts: int, *, intended_at: datetime, now: datetime) -> WaitUntil | Stop:
    """Return when to try again after `attempts` tries that the mail server did not take."""
    again_at = now + _RETRIES[min(attempts, len(_RETRIES)) - 1]
    if again_at > intended_at + LIFETIME:
        return Stop(Failure.GAVE_UP)
    return WaitUntil(again_at)
