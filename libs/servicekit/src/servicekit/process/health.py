"""What makes a service not ready, and what it merely complains of (docs/adr/0013)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

BEHIND_SECONDS = 60.0  # what was said this long ago and is not sent, though Kafka is there


@dataclass(frozen=True, slots=True)
class Signs:
    """What a service sees of itself at one moment."""

    caught_up: bool
    """Whether what was in its topics at the start has been applied, ever since the start."""
    troubles: Sequence[str] = ()
    """What its consumers lack."""
    relay: str = "running"
    """The relay's state; what follows a colon is for people."""
    held: Sequence[str] = ()
    """Topics that Kafka does not take."""
    oldest_seconds: float = 0.0
    """Age of the oldest event not sent."""
    database: str = ""
    """What is wrong with the database; nothing else is known then."""


@dataclass(frozen=True, slots=True)
class Health:
    """The judgement, in words."""

    missing: tuple[str, ...]
    """Not ready: it has not begun, has no database, or nothing it says leaves it."""
    complaints: tuple[str, ...]
    """Ready all the same: another process would fare no better, and this one answers and keeps."""

    @property
    def word(self) -> Literal["ready", "degraded", "not ready"]:
        """The judgement in a word."""
        if self.missing:
            return "not ready"
        return "degraded" if self.complaints else "ready"


def judge(signs: Signs) -> Health:
    """Return what is wrong.

    Kafka's absence takes nobody out of service once it has begun: what is said waits in the
    outbox, and what is asked is answered.
    """
    missing: list[str] = []
    complaints = [f"relay: {topic} is not there or not ours to write" for topic in signs.held]
    begun = complaints if signs.caught_up else missing
    begun += signs.troubles
    state = signs.relay.partition(":")[0]
    if state == "retrying":
        begun.append(f"relay: {signs.relay}")
    elif state not in {"running", "standing by"}:
        missing.append(f"relay: {signs.relay}")
    if signs.oldest_seconds > BEHIND_SECONDS:
        late = f"relay: the oldest event waits since {signs.oldest_seconds:.0f} s"
        (missing if state == "running" else complaints).append(late)
    if signs.database:
        missing.append(f"database: {signs.database}")
    return Health(tuple(missing), tuple(complaints))
