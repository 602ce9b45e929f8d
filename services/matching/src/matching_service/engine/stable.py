"""A stable matching: no mentee and mentor would both rather have each other than what they have.

Deferred acceptance (Gale and Shapley 1962): mentees ask down their own list, mentors keep the best of
those who asked, as many as they have seats. What comes out is the best stable matching there is for
every mentee at once, and whoever asks first changes nothing. A list holds a mentee's best pairs by
the mentee's own gain; who reaches the end of it without enough mentors gets a longer one, so that
the matching is stable over all eligible pairs and not only over those on the lists.

O(proposals * log seats): a proposal is made once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from matching_service.engine import scan
from matching_service.engine.cohort import Cohort
from matching_service.engine.columns import F64, I32, I64, U64
from matching_service.engine.jit import compiled, inlined
from matching_service.engine.scan import draw

_LIST = 64
_LONGER = 4  # times as long, for those who reached the end


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

    `waiting` is [mentees + 1], the first `count` are who asks now; afterwards those at the end of
    their list come first in it. A mentee is in it once at a time.
    """
    ended, top = 0, count
    while top > ended:
        mentee = waiting[top - 1]
        place = held.asked[mentee]
        if held.has[mentee] >= wanted[mentee]:
            top -= 1
            continue
        if place == lists.begin[mentee + 1]:
            waiting[top - 1] = waiting[ended]
            waiting[ended] = mentee
            ended += 1
            continue
        held.asked[mentee] += 1
        mentor = lists.mentor[place]
        seats = held.begin[mentor + 1] - held.begin[mentor]
        if held.size[mentor] < seats:
            _keep(lists, held, mentor, place)
            held.has[mentee] += 1
        elif seats > 0:
            least = held.kept[held.begin[mentor]]
            if _is_liked_less(lists, held, least, place):
                loser = held.whose[least]
                _replace_least(lists, held, mentor, place)
                held.has[mentee] += 1
                was_content = held.has[loser] >= wanted[loser]
                held.has[loser] -= 1
                if was_content:
                    waiting[top] = loser
                    top += 1
    return ended


class Views(NamedTuple):
    """The market as each side sees it alone: keys are that side's own gain."""

    mentees: scan.Market
    mentors: scan.Market


@dataclass(frozen=True, slots=True)
class Stable:
    """Who is matched with whom, as places in the cohort."""

    mentee: I64
    mentor: I64
    proposals: int
    """How many pairs were asked."""


def stable(
    cohort: Cohort, views: Views, progress: Callable[[str], None] = lambda _: None
) -> Stable:
    """Return the stable matching that is best for the mentees, over all eligible pairs."""
    count, places = len(cohort.mentees), cohort.places
    rows: list[I32] = [np.zeros(0, np.int32)] * count
    table = _Table(cohort, views)
    waiting, lengths = np.arange(count + 1), np.zeros(count, np.int64)
    ended = count
    while ended:
        who = waiting[:ended].copy()
        length = max(_LIST, _LONGER * int(lengths[who].max()))
        lengths[who] = length
        progress(f"lists of {length} for {ended} mentees")
        _, found = scan.best_lines(views.mentees, cohort.mentees[who], length)
        for mentee, lines in zip(who.tolist(), found, strict=True):
            rows[mentee] = places[lines[lines >= 0]]
        table.lay_out(rows)
        ended = defer(table.lists, table.held, cohort.wanted, waiting, ended)
        at_end = waiting[:ended]
        there_are_more = table.lengths[at_end] == lengths[at_end]
        ended = int(there_are_more.sum())
        waiting[:ended] = at_end[there_are_more]
    return table.result()


def on_lists(cohort: Cohort, views: Views, rows: Sequence[I32]) -> Stable:
    """Return the stable matching on given lists, that is best for the mentees.

    Args:
        cohort: who takes part.
        views: the market as each side sees it alone; what mentors like is asked there.
        rows: by mentee: places of mentors, the best liked first.
    """
    count = len(cohort.mentees)
    table = _Table(cohort, views)
    table.lay_out(rows)
    defer(table.lists, table.held, cohort.wanted, np.arange(count + 1), count)
    return table.result()


class _Table:
    """Lists and what is kept, while lists grow."""

    def __init__(self, cohort: Cohort, views: Views) -> None:
        self._cohort, self._views = cohort, views
        count, market = len(cohort.mentees), cohort.market
        self.lists = Lists(
            np.zeros(count + 1, np.int64),
            np.zeros(0, np.int32),
            np.zeros(0),
            market.mentees.lot[cohort.mentees],
            market.mentors.lot[cohort.mentors],
        )
        seats = cohort.seats.astype(np.int64)
        self.held = Held(
            np.concatenate([[0], np.cumsum(seats)]),
            np.zeros(int(seats.sum()), np.int64),
            np.zeros(len(seats), np.int32),
            np.zeros(count, np.int64),
            np.zeros(count, np.int32),
            np.zeros(0, np.int32),
        )

    @property
    def lengths(self) -> I64:
        """int[mentees]: how long each list is."""
        return np.diff(self.lists.begin)

    def lay_out(self, rows: Sequence[I32]) -> None:
        """Lay the lists out anew: each begins as before and may be longer now."""
        old, held = self.lists, self.held
        lengths = np.array([len(row) for row in rows], np.int64)
        begin = np.concatenate([[0], np.cumsum(lengths)])
        mentor, whose = np.concatenate(rows), np.repeat(np.arange(len(rows)), lengths)
        likes = self._cohort.keys(whose, mentor.astype(np.int64), self._views.mentors)
        seat = np.arange(len(held.kept)) - np.repeat(held.begin[:-1], np.diff(held.begin))
        used = seat < np.repeat(held.size, np.diff(held.begin))
        place = held.kept[used]
        held.kept[used] = place + (begin - old.begin)[held.whose[place]]
        held.asked[:] += begin[:-1] - old.begin[:-1]
        self.lists = old._replace(begin=begin, mentor=mentor, likes=likes)
        self.held = held._replace(whose=whose.astype(np.int32))

    def result(self) -> Stable:
        """Return who is kept."""
        held = self.held
        mentors = np.repeat(np.arange(len(held.size)), np.diff(held.begin))
        seat = np.arange(len(held.kept)) - np.repeat(held.begin[:-1], np.diff(held.begin))
        used = seat < held.size[mentors]
        proposals = int((held.asked - self.lists.begin[:-1]).sum())
        return Stable(held.whose[held.kept[used]].astype(np.int64), mentors[used], proposals)
