"""A stable matching: no mentee and mentor would both rather have each other than what they have.

Deferred acceptance (Gale and Shapley 1962): mentees ask down their own list, mentors keep the best of
those who asked, as many as they have seats. What comes out is the best stable matching there is for
every mentee at once, and whoever asks first changes nothing. A list holds a mentee's best pairs by
the mentee's own gain. Who reaches the end of it without enough mentors gets the next ones who would
not refuse them as things are: a mentor only ever finds better ones, so whoever refuses now refuses for
good. So the matching is stable over all eligible pairs and not only over those on the lists.

O(proposals * log seats), and a look at all mentors each time somebody reaches the end of a list.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from matching_service.engine import scan
from matching_service.engine.cohort import Cohort
from matching_service.engine.columns import F64, I32, I64
from matching_service.engine.deferred import Held, Lists, defer
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
    count, places = len(cohort.mentees), cohort.places
    _, lines = scan.best_lines(views.mentees, cohort.mentees, _LIST)
    table = _Table(cohort, views)
    table.lengthen(np.arange(count), [places[row[row >= 0]] for row in lines])
    waiting = np.arange(count)
    ended = defer(table.lists, table.held, cohort.wanted, waiting, count)
    while ended:
        who = waiting[:ended].copy()
        progress(f"{ended} mentees at the end of their list")
        found = next_ones(table.ends(who), views, _LIST)
        goes_on = found[:, 0] >= 0
        who, found = who[goes_on], found[goes_on]
        table.lengthen(who, [places[row[row >= 0]] for row in found])
        waiting[: len(who)] = who
        ended = defer(table.lists, table.held, cohort.wanted, waiting, len(who))
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
    table.lengthen(np.arange(count), rows)
    defer(table.lists, table.held, cohort.wanted, np.arange(count), count)
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

    def ends(self, who: I64) -> Ends:
        """Return what is to be looked for by mentees at the end of their list."""
        cohort, held, lists = self._cohort, self.held, self.lists
        end = lists.begin[who + 1]
        has_list = end > lists.begin[who]
        last = np.full(len(who), -1)
        last[has_list] = lists.mentor[end[has_list] - 1]
        keys = cohort.keys(who[has_list], last[has_list], self._views.mentees)
        last_line = np.full(len(who), -1, np.int32)
        last_line[has_list] = cohort.mentors[last[has_list]]
        last_key = np.full(len(who), -1.0)  # whose list is empty has nobody after it either
        last_key[has_list] = keys
        seats = np.flatnonzero(np.diff(held.begin) > 0)
        is_full = held.size[seats] == np.diff(held.begin)[seats]
        least = np.full(len(seats), -1.0)
        least[is_full] = lists.likes[held.kept[held.begin[seats[is_full]]]]
        return Ends(
            cohort.mentees[who],
            last_key,
            last_line,
            cohort.mentors[seats],
            least,
        )

    def lengthen(self, who: I64, more: Sequence[I32]) -> None:
        """Lengthen these mentees' lists: each begins as before, and goes on with `more`."""
        old, held = self.lists, self.held
        added = np.zeros(len(old.begin) - 1, np.int64)
        added[who] = [len(row) for row in more]
        new = np.concatenate([np.zeros(0, np.int32), *more])
        whose = np.repeat(who, added[who])
        likes = self._cohort.keys(whose, new.astype(np.int64), self._views.mentors)
        begin = np.concatenate([[0], np.cumsum(np.diff(old.begin) + added)])
        by = (begin - old.begin)[:-1]  # how far each list moves
        seat = np.arange(len(held.kept)) - np.repeat(held.begin[:-1], np.diff(held.begin))
        used = seat < np.repeat(held.size, np.diff(held.begin))
        place = held.kept[used]
        held.kept[used] = place + by[held.whose[place]]
        held.asked[:] += by
        at = np.repeat(old.begin[1:][who], added[who])  # before what was behind the old list
        order = np.argsort(whose, kind="stable")
        self.lists = old._replace(
            begin=begin,
            mentor=np.insert(old.mentor, at[order], new[order]),
            likes=np.insert(old.likes, at[order], likes[order]),
        )
        self.held = held._replace(
            whose=np.insert(held.whose, at[order], whose[order]).astype(np.int32)
        )

    def result(self) -> Stable:
        """Return who is kept."""
        held = self.held
        mentors = np.repeat(np.arange(len(held.size)), np.diff(held.begin))
        seat = np.arange(len(held.kept)) - np.repeat(held.begin[:-1], np.diff(held.begin))
        used = seat < held.size[mentors]
        proposals = int((held.asked - self.lists.begin[:-1]).sum())
        return Stable(held.whose[held.kept[used]].astype(np.int64), mentors[used], proposals)
