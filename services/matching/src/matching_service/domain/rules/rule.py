"""What a hard rule is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from matching_service.domain.pool import Context, Pair


class Cause(StrEnum):
    """What it means for an open proposal that a rule does not hold any more."""

    RULE = "rule"  # withdrawn, and the reason is that a rule broke
    PAUSED = "paused"  # withdrawn: a person is not there for now
    CENTER = "center"  # withdrawn: a center does not take part any more
    BLIND = "blind"  # reads "not available" like a veto, at the window's end
    ROOM = "room"  # nothing: room is judged when a seat is taken, not afterwards


@dataclass(frozen=True, slots=True)
class Rule:
    """One hard rule: its name, whether a pair satisfies it, and the fact that shows it.

    `holds` is asked for every candidate, so it is cheap and decides alone. `fact` is asked for
    the pair that is proposed; both centers read it, so it says no more than both may know.
    """

    name: str
    holds: Callable[[Pair, Context], bool]
    fact: Callable[[Pair, Context], str]
    cause: Cause = Cause.RULE
    reads_survivor: bool = False
    """Whether it needs what a survivor declared."""


NOTHING_IN_THE_WAY = "nothing that is known stands in the way"
"""The fact of every blind rule: it must not tell which facts there are."""


def nothing_in_the_way(pair: Pair, context: Context) -> str:
    """Return the fact of a blind rule."""
    return NOTHING_IN_THE_WAY
