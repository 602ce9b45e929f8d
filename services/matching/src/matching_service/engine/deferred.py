"""Deferred acceptance on lists: mentees ask down their own, mentors keep the best of those who asked.

What a mentor likes is looked up when it comes to it, for four mentors of a list at once: of lists of
fifty three pairs in ten are asked (docs/speed.md, `engine.stable`). O(proposals * log seats).
"""

from typing import NamedTuple

import numpy as np

from matching_service.engine.columns import F64, I32, I64
from matching_service.engine.jit import compiled, inlined
from matching_service.engine.lanes import LANES, fused
from matching_service.engine.scan import RIGHT, Market, draw, key_of

AHEAD = 4
"""How many likes are looked up at once: `_look_ahead` is written out for so many."""


class Seen(NamedTuple):
    """Who takes part, and the market as the mentors see it."""

    market: Market
    mentees: I64
    mentors: I64
    """[mentees], [mentors]: their lines in the market."""


class Lists(NamedTuple):
    """Each mentee's list, the best first, and how far down it they have asked."""

    mentor: I32
    """[mentees, k]: -1 after the last."""
    asked: I64
    """[mentees]: the place on the list that is asked next."""
    wanted: I32
    has: I32
    """[mentees]: how many mentors one would like, and how many keep them so far."""
    likes: F64
    """[mentees, AHEAD]: what the mentors from the last whole multiple of AHEAD on gain by the mentee."""


class Held(NamedTuple):
    """Whom the mentors keep so far: of each a heap, the least liked first."""

    begin: I64
    """[mentors + 1]: where each mentor's seats begin in the next two."""
    mentee: I32
    likes: F64
    """[seats]: what the mentor gains by them; of equal ones the pair's lot decides, as everywhere."""
    size: I32
    """[mentors]"""


@inlined
def _look_ahead(cohort: Seen, lists: Lists, mentee: int, place: int) -> None:
    """Fill what the next `AHEAD` mentors on a list gain by the mentee.

    Each sum waits for itself from one term to the next, so four take hardly longer than one; each
    is made as `scan.add_up_one` makes it, and so is the same to the last bit.
    """
    market, j = cohort.market, cohort.mentees[mentee]
    a, b = _line(cohort, lists, mentee, place), _line(cohort, lists, mentee, place + 1)
    c, d = _line(cohort, lists, mentee, place + 2), _line(cohort, lists, mentee, place + 3)
    by_a, by_b = _is_theirs(market, j, a), _is_theirs(market, j, b)
    by_c, by_d = _is_theirs(market, j, c), _is_theirs(market, j, d)
    left, right, tiles = market.mentees.left, market.mentees.right, market.mentors.tiles
    sum_a = np.float32(0)
    sum_b = sum_c = sum_d = sum_a
    for e in range(market.mentees.terms[j, 0], market.mentees.terms[j, 1]):
        row = market.mentees.rows[e]
        sum_a = fused(right[e] if by_a else left[e], tiles[a // LANES, row, a % LANES], sum_a)
        sum_b = fused(right[e] if by_b else left[e], tiles[b // LANES, row, b % LANES], sum_b)
        sum_c = fused(right[e] if by_c else left[e], tiles[c // LANES, row, c % LANES], sum_c)
        sum_d = fused(right[e] if by_d else left[e], tiles[d // LANES, row, d % LANES], sum_d)
    likes = lists.likes[mentee]
    likes[0] = key_of(market, j, a, sum_a, sum_a)
    likes[1] = key_of(market, j, b, sum_b, sum_b)
    likes[2] = key_of(market, j, c, sum_c, sum_c)
    likes[3] = key_of(market, j, d, sum_d, sum_d)


@inlined
def _is_theirs(market: Market, j: int, i: int) -> bool:
    """Tell whether the mentor's weights count in their view: the mentee's do where they can read nothing."""
    pattern = market.mentors.pattern[i // LANES]
    return bool(market.scale.sides[market.mentees.pattern[j], pattern] == RIGHT)


@inlined
def _line(cohort: Seen, lists: Lists, mentee: int, place: int) -> int:
    """Return the line of the mentor at a place of a list, anybody's where there is none."""
    at_most = lists.mentor.shape[1] - 1
    return int(cohort.mentors[max(0, lists.mentor[mentee, min(place, at_most)])])


@inlined
def _is_liked_less(
    cohort: Seen, mentor: int, likes: float, one: int, other_likes: float, other: int
) -> bool:
    if likes != other_likes:
        return likes < other_likes
    lots, lot = cohort.market.mentees.lot, cohort.market.mentors.lot[cohort.mentors[mentor]]
    return bool(draw(lot, lots[cohort.mentees[one]]) < draw(lot, lots[cohort.mentees[other]]))


@inlined
def _keep(cohort: Seen, held: Held, mentor: int, one: int, likes: float) -> None:
    """Put somebody among those whom a mentor with a free seat keeps."""
    first, at = held.begin[mentor], int(held.size[mentor])
    held.size[mentor] += 1
    while at > 0:
        above = first + (at - 1) // 2
        if not _is_liked_less(
            cohort, mentor, likes, one, held.likes[above], int(held.mentee[above])
        ):
            break
        held.mentee[first + at], held.likes[first + at] = held.mentee[above], held.likes[above]
        at = (at - 1) // 2
    held.mentee[first + at], held.likes[first + at] = one, likes


@inlined
def _replace_least(cohort: Seen, held: Held, mentor: int, one: int, likes: float) -> None:
    """Put somebody in the place of the least liked."""
    first, size, at = held.begin[mentor], int(held.size[mentor]), 0
    whom, by = held.mentee[first : first + size], held.likes[first : first + size]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _is_liked_less(
            cohort, mentor, by[right], int(whom[right]), by[child], int(whom[child])
        ):
            child = right
        if _is_liked_less(cohort, mentor, likes, one, by[child], int(whom[child])):
            break
        whom[at], by[at] = whom[child], by[child]
        at = child
    whom[at], by[at] = one, likes


@inlined
def _ask(cohort: Seen, held: Held, mentee: int, mentor: int, likes: float) -> int:
    """Have a mentee ask a mentor; return whom the mentor does not keep now: one of the two, or nobody (-1)."""
    first, size = held.begin[mentor], int(held.size[mentor])
    seats = held.begin[mentor + 1] - first
    if seats == 0:
        return mentee
    if size < seats:
        _keep(cohort, held, mentor, mentee, likes)
        return -1
    least = int(held.mentee[first])
    if not _is_liked_less(cohort, mentor, held.likes[first], least, likes, mentee):
        return mentee
    _replace_least(cohort, held, mentor, mentee, likes)
    return least


@compiled
def defer(cohort: Seen, lists: Lists, held: Held, waiting: I64, count: int) -> tuple[int, int]:
    """Let those who wait ask until nobody does; return how many are at the end of their list, and asked.

    `waiting` is [mentees], the first `count` are who asks now and would like more; afterwards those at the end of
    their list come first in it. A mentee is in it once at a time. The second number is of pairs.
    """
    ended, top, pairs = 0, count, 0
    while top > ended:
        top -= 1  # whoever asks waits no longer: they may be the next to lose a seat
        mentee = waiting[top]
        place = lists.asked[mentee]
        if place == lists.mentor.shape[1] or lists.mentor[mentee, place] < 0:
            waiting[top] = waiting[ended]
            waiting[ended] = mentee
            ended, top = ended + 1, top + 1
            continue
        lists.asked[mentee] += 1
        pairs += 1
        if place % AHEAD == 0:
            _look_ahead(cohort, lists, mentee, place)
        likes = lists.likes[mentee, place % AHEAD]
        loser = _ask(cohort, held, mentee, int(lists.mentor[mentee, place]), likes)
        lists.has[mentee] += 1
        if loser >= 0:
            lists.has[loser] -= 1
            if loser != mentee and lists.has[loser] == lists.wanted[loser] - 1:
                waiting[top] = loser
                top += 1
        if lists.has[mentee] < lists.wanted[mentee]:
            waiting[top] = mentee
            top += 1
    return ended, pairs
