"""A stable matching: no mentee and mentor would both rather have each other than what they have.

Deferred acceptance (Gale and Shapley 1962): mentees ask down their own list, mentors keep the best of
those who asked, as many as they have seats. What comes out is the best stable matching there is for
every mentee at once, and whoever asks first changes nothing. A list holds a mentee's best pairs by
the mentee's own gain. Who reaches the end of it without enough mentors gets the next ones who would
not refuse them as things are: a mentor only ever finds better ones, so whoever refuses now refuses for
good. So the matching is stable over all eligible pairs and not only over those on the lists.

O(proposals * log seats), and a look at all mentors each time somebody reaches the end of a list.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from matching_service.engine import scan
from matching_service.engine.cohort import Cohort
from matching_service.engine.columns import F64, I32, I64
from matching_service.engine.deferred import AHEAD, Held, Lists, Seen, defer
from matching_service.engine.jit import compiled
from matching_service.engine.lanes import LANES
from matching_service.engine.rules import fits
from matching_service.engine.scan import best_first, is_worse, replace_worst

_LIST = 64
_TOGETHER = 64


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


class Ends(NamedTuple):
    """Who reached the end of their list, and whom the mentors would not refuse."""

    mentees: I64
    """[n]: their lines."""
    last: F64
    last_line: I32
    """[n]: the last on each list: its key, in the mentee's view, and its line."""
    mentors: I64
    """[m]: lines of mentors with a seat."""
    least: F64
    """[m]: what each likes the least liked who is kept, -1 with a seat left."""


@compiled
def _next_ones(  # noqa: PLR0913, PLR0917 - who, where, both views, and what comes out
    ends: Ends, begin: int, end: int, ours: scan.Market, theirs: scan.Market, keys: F64, found: I32
) -> None:
    columns, others, lots = ours.mentees.columns, ours.mentors.columns, ours.mentors.lot
    for n in range(begin, end):
        j, lot = ends.mentees[n], ours.mentees.lot[ends.mentees[n]]
        for m in range(len(ends.mentors)):
            i = ends.mentors[m]
            if not fits(columns, j, others, i, ours.where):
                continue
            left, right = scan.add_up_one(ours, j, i // LANES, i % LANES)
            key = scan.key_of(ours, j, i, left, right)
            if not (
                is_worse(key, i, ends.last[n], ends.last_line[n], lot, lots)
                and is_worse(keys[n, 0], found[n, 0], key, i, lot, lots)
            ):
                continue
            left, right = scan.add_up_one(theirs, j, i // LANES, i % LANES)
            if scan.key_of(theirs, j, i, left, right) >= ends.least[m]:
                replace_worst(keys[n], found[n], key, i, lot, lots)
        best_first(keys[n], found[n], lot, lots)


def next_ones(ends: Ends, views: Views, k: int) -> I32:
    """Return the next k on each list who would not refuse: lines of mentors, [n, k], -1 for none."""
    keys = np.full((len(ends.mentees), k), -1.0)
    found = np.full((len(ends.mentees), k), -1, np.int32)

    def part(begin: int) -> None:
        end = min(begin + _TOGETHER, len(found))
        _next_ones(ends, begin, end, views.mentees, views.mentors, keys, found)

    with ThreadPoolExecutor() as processors:
        list(processors.map(part, range(0, len(found), _TOGETHER)))
    return found


def stable(
    cohort: Cohort, views: Views, progress: Callable[[str], None] = lambda _: None
) -> Stable:
    """Return the stable matching that is best for the mentees, over all eligible pairs."""
    _, lines = scan.best_lines(views.mentees, cohort.mentees, _LIST)
    places = cohort.places
    asking = _Asking(cohort, views, places[lines])
    while len(ended := asking.go_on()):
        progress(f"{len(ended)} mentees at the end of their list")
        asking.go_on_with(ended, places[next_ones(asking.ends(ended), views, _LIST)])
    return asking.result()


def on_lists(cohort: Cohort, views: Views, lists: I32) -> Stable:
    """Return the stable matching on given lists, that is best for the mentees. O(proposals * log seats).

    Args:
        cohort: who takes part.
        views: the market as each side sees it alone; what mentors like is looked up there.
        lists: int32[mentees, k]: eligible mentors' places in the cohort, the best liked first; -1 after the last.
    """
    asking = _Asking(cohort, views, lists)
    asking.go_on()
    return asking.result()


class _Asking:
    """Who asks whom, and is kept, while lists are replaced by what comes after them."""

    def __init__(self, cohort: Cohort, views: Views, lists: I32) -> None:
        self._cohort, self._views, self._proposals = cohort, views, 0
        count, seats = len(cohort.mentees), cohort.seats.astype(np.int64)
        self._seen = Seen(views.mentors, cohort.mentees, cohort.mentors)
        self._lists = Lists(
            lists,
            np.zeros(count, np.int64),
            cohort.wanted,
            np.zeros(count, np.int32),
            np.zeros((count, AHEAD)),
        )
        self._held = Held(
            np.concatenate([[0], np.cumsum(seats)]),
            np.full(int(seats.sum()), -1, np.int32),
            np.full(int(seats.sum()), -1.0),
            np.zeros(len(seats), np.int32),
        )
        self._waiting, self._many = np.arange(count), count

    def go_on(self) -> I64:
        """Let those who wait ask; return who is at the end of their list and would like more."""
        ended, proposals = defer(self._seen, self._lists, self._held, self._waiting, self._many)
        self._proposals += proposals
        return self._waiting[:ended].copy()

    def ends(self, who: I64) -> Ends:
        """Return what is to be looked for by mentees at the end of their list."""
        cohort, held, lists = self._cohort, self._held, self._lists
        end = lists.asked[who]
        has_list = end > 0
        last = lists.mentor[who[has_list], end[has_list] - 1]
        last_line = np.full(len(who), -1, np.int32)
        last_line[has_list] = cohort.mentors[last]
        last_key = np.full(len(who), -1.0)  # whose list is empty has nobody after it either
        last_key[has_list] = cohort.keys(who[has_list], last.astype(np.int64), self._views.mentees)
        seats = np.flatnonzero(np.diff(held.begin) > 0)
        is_full = held.size[seats] == np.diff(held.begin)[seats]
        least = np.full(len(seats), -1.0)
        least[is_full] = held.likes[held.begin[seats[is_full]]]
        return Ends(cohort.mentees[who], last_key, last_line, cohort.mentors[seats], least)

    def go_on_with(self, who: I64, more: I32) -> None:
        """Give these mentees, [n], a list of `more`, [n, k], in place of theirs; who has nobody there asks no more.

        What they have asked is of no use any more: nobody asks twice.
        """
        goes_on = more[:, 0] >= 0
        who, more = who[goes_on], more[goes_on]
        self._lists.mentor[who], self._lists.asked[who] = more, 0
        self._waiting[: len(who)], self._many = who, len(who)

    def result(self) -> Stable:
        """Return who is kept."""
        held = self._held
        mentors = np.repeat(np.arange(len(held.size)), np.diff(held.begin))
        used = held.mentee >= 0
        return Stable(held.mentee[used].astype(np.int64), mentors[used], self._proposals)
