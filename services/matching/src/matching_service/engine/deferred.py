"""Deferred acceptance on lists: mentees ask down their own, mentors keep the best of those who asked."""

from typing import NamedTuple

from matching_service.engine.columns import F64, I32, I64, U64
from matching_service.engine.jit import compiled, inlined
from matching_service.engine.scan import draw


class Lists(NamedTuple):
    """Each mentee's list, the best first, and what the mentors on it think."""

    begin: I64
    """[mentees + 1]: where each list begins in the next two."""
    mentor: I32
    likes: F64
    """What the mentor gains by the mentee; of equal ones the pair's lot decides, as everywhere."""
    mentee_lot: U64
    mentor_lot: U64
    """[mentees], [mentors]: see `scan.draw`."""


class Held(NamedTuple):
    """Whom the mentors keep so far: of each a heap of places on lists, the least liked first."""

    begin: I64
    """[mentors + 1]: where each mentor's seats begin in `kept`."""
    kept: I64
    size: I32
    """[mentors]"""
    asked: I64
    """[mentees]: the place on the list that is asked next."""
    has: I32
    """[mentees]"""
    whose: I32
    """[places on lists]: the mentee."""


@inlined
def _is_liked_less(lists: Lists, held: Held, one: int, other: int) -> bool:
    if lists.likes[one] != lists.likes[other]:
        return bool(lists.likes[one] < lists.likes[other])
    lot = lists.mentor_lot[lists.mentor[one]]
    ours, theirs = lists.mentee_lot[held.whose[one]], lists.mentee_lot[held.whose[other]]
    return bool(draw(lot, ours) < draw(lot, theirs))


@inlined
def _keep(lists: Lists, held: Held, mentor: int, one: int) -> None:
    """Put somebody among those whom a mentor with a free seat keeps."""
    first, at = held.begin[mentor], int(held.size[mentor])
    held.size[mentor] += 1
    while at > 0:
        above = (at - 1) // 2
        if not _is_liked_less(lists, held, one, held.kept[first + above]):
            break
        held.kept[first + at] = held.kept[first + above]
        at = above
    held.kept[first + at] = one


@inlined
def _replace_least(lists: Lists, held: Held, mentor: int, one: int) -> None:
    """Put somebody in the place of the least liked."""
    first, size, at = held.begin[mentor], int(held.size[mentor]), 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _is_liked_less(
            lists, held, held.kept[first + right], held.kept[first + child]
        ):
            child = right
        if _is_liked_less(lists, held, one, held.kept[first + child]):
            break
        held.kept[first + at] = held.kept[first + child]
        at = child
    held.kept[first + at] = one


@compiled
def defer(lists: Lists, held: Held, wanted: I32, waiting: I64, count: int) -> int:
    """Let those who wait ask until nobody does; return how many reached the end of their list.

    `waiting` is [mentees], the first `count` are who asks now and would like more; afterwards those at the end of
    their list come first in it. A mentee is in it once at a time.
    """
    ended, top = 0, count
    while top > ended:
        top -= 1  # whoever asks waits no longer: they may be the next to lose a seat
        mentee = waiting[top]
        place = held.asked[mentee]
        if place == lists.begin[mentee + 1]:
            waiting[top] = waiting[ended]
            waiting[ended] = mentee
            ended, top = ended + 1, top + 1
            continue
        held.asked[mentee] += 1
        mentor = lists.mentor[place]
        seats = held.begin[mentor + 1] - held.begin[mentor]
        if held.size[mentor] < seats:
            _keep(lists, held, mentor, place)
            held.has[mentee] += 1
        elif seats > 0 and _is_liked_less(lists, held, held.kept[held.begin[mentor]], place):
            loser = held.whose[held.kept[held.begin[mentor]]]
            _replace_least(lists, held, mentor, place)
            held.has[mentee] += 1
            held.has[loser] -= 1
            if held.has[loser] == wanted[loser] - 1:
                waiting[top] = loser
                top += 1
        if held.has[mentee] < wanted[mentee]:
            waiting[top] = mentee
            top += 1
    return ended
