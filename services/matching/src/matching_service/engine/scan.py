"""The exact scan: every eligible pair is compared, no index guesses.

A block of sixty-four mentors is scored for each mentee in turn while it is in the cache. Only whom
a score could bring among the best so far is asked the rules: first the product, then the bits.
O(mentees * (features of a mentee) * mentors / 64) vector operations; k numbers of memory a mentee.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching_service.engine.columns import F64, I32, I64, U8, U64, Centers, Columns
from matching_service.engine.jit import compiled, inlined
from matching_service.engine.lanes import LANES, beating, fused, gains, lowest, ones
from matching_service.engine.rules import LOW, fits

F32 = npt.NDArray[np.float32]
U32 = npt.NDArray[np.uint32]

FIRST = 2.0
"""What a key has above the score in [0, 1], unless the pair comes after all others (`Centers.later`)."""
_SLACK = np.float32(1 - 1e-5)  # a mark is that much lower, and the score itself decides then
_TOGETHER = 128  # mentees who are scored block by block together: their best stay in the cache
BOTH, LEFT, RIGHT = 0, 1, 2


class Mentees(NamedTuple):
    """The mentees' side; arrays have a row per mentee unless said otherwise."""

    columns: Columns
    terms: I64
    """[n, 2]: where a mentee's terms begin and end in the next three."""
    rows: U32
    left: F32
    right: F32
    """A term's feature, and its weight for the mentee's and the mentor's gain."""
    late: F32
    """[n, 2]: the weight of availability for each gain."""
    pattern: I32
    """[n]: which of the patterns of what can be read."""
    lot: U64
    """[n]: for ties, see `draw`."""
    open: U8
    """[n]: 1 for a mentee who may be proposed."""


class Mentors(NamedTuple):
    """The mentors' side, in blocks of sixty-four lines whose patterns are equal."""

    columns: Columns
    tiles: F32
    """[blocks, features, 64]: each mentor's value of each feature."""
    open: U64
    """[blocks]: bit n where line n of the block has a mentor who may be proposed."""
    pattern: I32
    """[blocks]: which of the patterns of what can be read."""
    lot: U64
    """[blocks * 64]: for ties, see `draw`."""


class Scale(NamedTuple):
    """How sums become a score: by (mentee's pattern, mentor's pattern)."""

    rate: F32
    """1 / (weight that can be read for the mentee * the same for the mentor)."""
    sides: U8
    """0: both gains count; 1: only the mentee's can be read, it counts for both; 2: the mentor's."""
    hours: U8
    """1 where availability can be read."""
    plenty: float
    """Granules in common that are as good as any number."""


@inlined
def draw(ours: np.uint64, theirs: np.uint64) -> np.uint64:
    """Return a pair's lot from both people's: of equal scores the higher lot is the better one.

    Source: the finalizer of splitmix64 (Steele, Lea, Flood 2014).
    """
    mixed = ours + theirs
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@inlined
def is_worse(key: float, who: int, than: float, whom: int, lot: np.uint64, lots: U64) -> bool:
    """Tell whether a key and who has it come after another; of equal ones the lots decide."""
    if key != than:
        return key < than
    if whom < 0 or who < 0:
        return who < whom
    return bool(draw(lot, lots[who]) < draw(lot, lots[whom]))


@inlined
def replace_worst(keys: F64, found: I32, key: float, who: int, lot: np.uint64, lots: U64) -> None:
    """Put somebody in the place of the worst, who is at the root of the heap."""
    at, size = 0, len(keys)
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and is_worse(
            keys[right], found[right], keys[child], found[child], lot, lots
        ):
            child = right
        if is_worse(key, who, keys[child], found[child], lot, lots):
            break
        keys[at], found[at] = keys[child], found[child]
        at = child
    keys[at], found[at] = key, who


@inlined
def best_first(keys: F64, found: I32, lot: np.uint64, lots: U64) -> None:
    """Sort a heap, the best first."""
    for size in range(len(keys) - 1, 0, -1):
        key, who = keys[0], found[0]
        last, whom = keys[size], found[size]
        replace_worst(keys[:size], found[:size], last, whom, lot, lots)
        keys[size], found[size] = key, who


@inlined
def _mark(root: float, rate: np.float32) -> np.float32:
    """Return what a product of sums has to be above, at least, to be worth a look."""
    floor = root - FIRST
    if floor < 0:
        return np.float32(-1)
    return np.float32(floor * floor / rate) * _SLACK - np.float32(1e-12)


@inlined
def _hours_in_common(ours: U64, j: int, theirs: U64, i: int) -> int:
    count = 0
    for word in range(ours.shape[1]):
        count += ones(ours[j, word] & theirs[i, word])
    return count


class Market(NamedTuple):
    """Both sides, and what decides between them."""

    mentees: Mentees
    mentors: Mentors
    scale: Scale
    where: Centers


@inlined
def _late(market: Market, j: int, pattern: int) -> tuple[np.float32, np.float32]:
    """Return the weight of availability in both sums, 0 where it can't be read."""
    ours = market.mentees.pattern[j]
    if not market.scale.hours[ours, pattern]:
        return np.float32(0), np.float32(0)
    sides, late = market.scale.sides[ours, pattern], market.mentees.late
    return late[j, 1 if sides == RIGHT else 0], late[j, 0 if sides == LEFT else 1]


@inlined
def key_of(market: Market, j: int, i: int, left: np.float32, right: np.float32) -> float:
    """Return the key of a pair from its sums, which are without availability."""
    mentees, mentors = market.mentees.columns, market.mentors.columns
    pattern = market.mentors.pattern[i // LANES]
    late_left, late_right = _late(market, j, pattern)
    if late_left > 0 or late_right > 0:
        granules = _hours_in_common(mentees.free, j, mentors.free, i)
        share = np.float32(min(1.0, granules / market.scale.plenty))
        left += late_left * share
        right += late_right * share
    rate = market.scale.rate[market.mentees.pattern[j], pattern]
    product = max(np.float32(0), np.float32(left * right * rate))
    score = np.float64(min(np.float32(1), np.sqrt(product)))
    here, there = mentees.key[j, 0] & LOW, mentors.key[i, 0] & LOW
    return float(score if here == there and market.where.later[here] else score + FIRST)


@inlined
def _add_up(market: Market, j: int, block: int, sums: F32) -> None:
    """Fill `sums` with mentee j's sums over a block of mentors, both sides'."""
    mentees, mentors, sides = market.mentees, market.mentors, market.scale.sides
    begin, end = mentees.terms[j, 0], mentees.terms[j, 1]
    rows, left, right, tile = mentees.rows, mentees.left, mentees.right, mentors.tiles[block]
    side = sides[mentees.pattern[j], mentors.pattern[block]]
    if side == BOTH:
        gains(rows, left, right, begin, end, tile, sums)
    elif side == LEFT:
        gains(rows, left, left, begin, end, tile, sums)
    else:
        gains(rows, right, right, begin, end, tile, sums)


@inlined
def _worth_a_look(market: Market, j: int, block: int, root: float, sums: F32) -> np.uint64:
    """Return a word with a bit for each mentor of a block who might be better than the worst."""
    mentors = market.mentors
    late_left, late_right = _late(market, j, mentors.pattern[block])
    rate = market.scale.rate[market.mentees.pattern[j], mentors.pattern[block]]
    worth: np.uint64 = beating(sums, late_left, late_right, _mark(root, rate))
    return np.uint64(mentors.open[block] & worth)


@compiled
def best_mentors(which: I64, market: Market, sums: F32, keys: F64, found: I32) -> None:
    """Fill row n of `keys` and `found`, [len(which), k], with mentee which[n]'s best mentors.

    A key is the score, and `FIRST` more unless the pair comes after others; -1 and nobody (-1)
    where there are fewer than k. The best come first. `sums` is room for float32[2, 64].
    """
    keys[:] = -1.0
    found[:] = -1
    mentees, mentors = market.mentees, market.mentors
    for block in range(len(mentors.open)):
        for n in range(len(which)):
            j = which[n]
            if not mentees.open[j] or not mentors.open[block]:
                continue
            _add_up(market, j, block, sums)
            worth = _worth_a_look(market, j, block, keys[n, 0], sums)
            while worth:
                lane = lowest(worth)
                worth &= worth - np.uint64(1)
                i = block * LANES + lane
                key = key_of(market, j, i, sums[0, lane], sums[1, lane])
                is_better = is_worse(keys[n, 0], found[n, 0], key, i, mentees.lot[j], mentors.lot)
                if is_better and fits(mentees.columns, j, mentors.columns, i, market.where):
                    replace_worst(keys[n], found[n], key, i, mentees.lot[j], mentors.lot)
    for n in range(len(which)):
        best_first(keys[n], found[n], mentees.lot[which[n]], mentors.lot)


def best_lines(market: Market, lines: I64, k: int) -> tuple[F64, I32]:
    """Return (keys, mentors' lines), both [len(lines), k], of the mentees on these lines.

    See `best_mentors`. It runs on all processors and without the interpreter's lock.
    """
    keys = np.empty((len(lines), k))
    found = np.empty((len(lines), k), np.int32)

    def part(begin: int) -> None:
        own = slice(begin, begin + _TOGETHER)
        best_mentors(lines[own], market, np.empty((2, LANES), np.float32), keys[own], found[own])

    begins = range(0, len(lines), _TOGETHER)
    if len(begins) == 1:
        part(0)
    else:
        with ThreadPoolExecutor() as processors:
            list(processors.map(part, begins))
    return keys, found


@compiled
def best_mentees(i: int, market: Market, keys: F64, found: I32) -> None:
    """Fill `keys` and `found`, [k], with the mentees for whom mentor i is best, the best first.

    Keys are those of `best_mentors`, to the last bit.
    """
    keys[:] = -1.0
    found[:] = -1
    mentees, mentors = market.mentees, market.mentors
    block, lane = i // LANES, i % LANES
    if not mentors.open[block] >> np.uint64(lane) & np.uint64(1):
        return
    for j in range(len(mentees.open)):
        if not mentees.open[j]:
            continue
        left, right = add_up_one(market, j, block, lane)
        key = key_of(market, j, i, left, right)
        is_better = is_worse(keys[0], found[0], key, j, mentors.lot[i], mentees.lot)
        if is_better and fits(mentees.columns, j, mentors.columns, i, market.where):
            replace_worst(keys, found, key, j, mentors.lot[i], mentees.lot)
    best_first(keys, found, mentors.lot[i], mentees.lot)


@inlined
def add_up_one(market: Market, j: int, block: int, lane: int) -> tuple[np.float32, np.float32]:
    """Return mentee j's sums over one mentor, both sides'."""
    mentees, mentors = market.mentees, market.mentors
    side = market.scale.sides[mentees.pattern[j], mentors.pattern[block]]
    left = right = np.float32(0)
    for e in range(mentees.terms[j, 0], mentees.terms[j, 1]):
        value = mentors.tiles[block, mentees.rows[e], lane]
        left = fused(mentees.left[e], value, left)
        right = fused(mentees.right[e], value, right)
    if side == LEFT:
        return left, left
    if side == RIGHT:
        return right, right
    return left, right
