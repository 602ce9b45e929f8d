"""Does any eligible pair offer more than its price and what the mentee has?

Where none does, the prices of an assignment on some of the pairs show that it is the best on all of
them (weak duality): nobody could be moved, not even over many others, for a greater total.

A mentee's best pairs are known from the exact scan; any other is worth no more than the last of
them. So only mentors who are cheap enough for that have to be looked at, the cheapest first:
with fifty known, one pair in a hundred of the cohort of 20k x 80k. O(mentees * mentors) at the worst.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from matching_service.engine.columns import F64, I32, I64
from matching_service.engine.jit import compiled
from matching_service.engine.lanes import LANES
from matching_service.engine.rules import fits
from matching_service.engine.scan import Market, add_up_one, is_worse, key_of, replace_worst

_TOGETHER = 512


class Question(NamedTuple):
    """Whose pairs are looked at, and what they have to beat; gains are in units of 1 / scale."""

    lines: I64
    """[n]: the mentees."""
    last: F64
    """[n]: the most that a pair which is not known can be worth (its key, rounded); -inf for none."""
    stake: F64
    """[n]: what has to be beaten."""
    cheapest: I32
    """[m]: the mentors' lines, the cheapest first."""
    price: F64
    """[m]: their prices, in that order."""
    scale: float


@compiled
def _offering_more(
    asked: Question, begin: int, end: int, market: Market, gains: F64, found: I32
) -> None:
    mentees, mentors, lots = market.mentees, market.mentors, market.mentors.lot
    for n in range(begin, end):
        j, lot = asked.lines[n], mentees.lot[asked.lines[n]]
        gains[n] = asked.stake[n]
        for m in range(len(asked.cheapest)):
            if asked.last[n] - asked.price[m] <= gains[n, 0]:
                break
            i = asked.cheapest[m]
            if not fits(mentees.columns, j, mentors.columns, i, market.where):
                continue
            left, right = add_up_one(market, j, i // LANES, i % LANES)
            gain = np.rint(key_of(market, j, i, left, right) * asked.scale) - asked.price[m]
            if gain > asked.stake[n] and is_worse(gains[n, 0], found[n, 0], gain, i, lot, lots):
                replace_worst(gains[n], found[n], gain, i, lot, lots)


def offering_more(market: Market, asked: Question, k: int) -> tuple[F64, I32]:
    """Return whom each mentee could gain more from than they have: (gains, mentors' lines), [n, k].

    No more than k each, the best; where there is nobody (-1) the gain is the stake. Pairs that are
    known may be among them. It runs on all processors and without the interpreter's lock.
    """
    gains = np.empty((len(asked.lines), k))
    found = np.full((len(asked.lines), k), -1, np.int32)

    def part(begin: int) -> None:
        end = min(begin + _TOGETHER, len(gains))
        _offering_more(asked, begin, end, market, gains, found)

    with ThreadPoolExecutor() as processors:
        list(processors.map(part, range(0, len(gains), _TOGETHER)))
    return gains, found


@compiled
def keys_of(market: Market, which: I64, whom: I64, keys: F64) -> None:
    """Fill `keys`, [n], with the key of mentee which[n] and mentor whom[n]; -1 where a rule is broken."""
    mentees, mentors = market.mentees, market.mentors
    for n in range(len(which)):
        j, i = which[n], whom[n]
        block, lane = i // LANES, i % LANES
        is_open = mentees.open[j] and mentors.open[block] >> np.uint64(lane) & np.uint64(1)
        if is_open and fits(mentees.columns, j, mentors.columns, i, market.where):
            left, right = add_up_one(market, j, block, lane)
            keys[n] = key_of(market, j, i, left, right)
        else:
            keys[n] = -1.0
