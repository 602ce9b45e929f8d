"""What the engine refuses before it follows it, by name and with what to give instead."""

from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from typing import Any

from matching_service.domain.criteria import CRITERIA
from matching_service.domain.pool import UNKNOWN, Mentee, Mentor, Programme
from matching_service.domain.score import LEAST_WEIGHT, MOST_WEIGHT
from matching_service.engine.seating import AT_A_PRICE

MOST_SEATS = AT_A_PRICE - 1
"""The seats of one mentor, at most: the number above means something else."""
MOST_WANTED = 1_000
"""The mentors of one mentee, at most: there is a unit in memory for each."""


def is_whole(given: object, least: int, most: float = float("inf")) -> bool:
    """Tell whether something is a whole number in a range; True and False are none."""
    return isinstance(given, Integral) and _is_between(given, least, most)


def is_number(given: object, least: float, most: float) -> bool:
    """Tell whether something is a number in a range; True, False and nan are none."""
    return isinstance(given, Real) and _is_between(given, least, most)


def _is_between(given: Any, least: float, most: float) -> bool:
    return not isinstance(given, bool) and bool(least <= given <= most)


def of_candidates(given: object) -> Iterator[str]:
    """Give what is wrong with the number of pairs that a round begins with."""
    if not is_whole(given, 1):
        yield f"candidates is {given}: give 1 or more, a whole number; 50 is a good one"


def of_count(given: object) -> Iterator[str]:
    """Give what is wrong with how many of the best are asked for."""
    if not is_whole(given, 1):
        yield f"k is {given}: give 1 or more, a whole number"


def of_weight(name: str, weight: float) -> Iterator[str]:
    """Give what is wrong with a weight. Products of sums of such weights fit into a float32."""
    if not is_number(weight, 0, MOST_WEIGHT) or 0 < weight < LEAST_WEIGHT:
        yield (
            f"the weight of {name} is {weight}: give 0 or more, and if it is to count"
            f" from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}"
        )


def of_programme(programme: Programme) -> Iterator[str]:
    """Give what is wrong with a programme."""
    yield from _of_weights(programme.weights)
    yield from _of_weights(programme.mentor_weights)
    if not is_whole(programme.session_minutes, 1):
        yield f"session_minutes is {programme.session_minutes}: give a whole number, 1 or more"
    minutes = programme.protected_minutes_month
    if not is_whole(minutes, 0):
        yield f"protected_minutes_month is {minutes}: give a whole number, 0 for none"


def _of_weights(weights: Sequence[tuple[str, float]]) -> Iterator[str]:
    seen = {UNKNOWN}  # there may be several that are newer than this
    for name, weight in weights:
        yield from of_weight(name, weight)
        if name not in CRITERIA and name != UNKNOWN:
            yield f"there is no criterion {name}: there are {', '.join(CRITERIA)}"
        if name in seen and name != UNKNOWN:
            yield f"{name} is weighed twice: give every criterion one weight"
        seen.add(name)


def of_mentee(mentee: Mentee) -> Iterator[str]:
    """Give what is wrong with a mentee's numbers."""
    if not is_whole(mentee.wanted, 1, MOST_WANTED):
        yield f"a mentee wants {mentee.wanted} mentors: give a whole number from 1 to {MOST_WANTED}"


def of_mentor(mentor: Mentor) -> Iterator[str]:
    """Give what is wrong with a mentor's numbers."""
    for name, given in (("seats", mentor.seats), ("seats taken", mentor.seats_taken)):
        if not is_whole(given, 0, MOST_SEATS):
            yield f"a mentor's {name} are {given}: give a whole number from 0 to {MOST_SEATS}"
    left = mentor.minutes_left
    if left is not None and not is_whole(left, 0):
        yield f"a mentor's minutes left are {left}: give a whole number, 0 or more, or None"
