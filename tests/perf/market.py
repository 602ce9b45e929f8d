"""A synthetic market for the engine's benchmarks: twelve groups of features, 642 of them.

Nobody in it is real. The shape (groups, weights, rules and how often they hold) is that of the
study that the engine's figures come from, section 7: topics in a tree, methods, goals, an embedding,
cancer types, treatments, ordinal kernels, styles; eleven languages, sixty centers (Zipf), four
two-hour windows a week in five zones; about 0.3 of all pairs are eligible. Some centers' profiles
are thin: their mentees' scores are up to a quarter lower, so that floors have something to do.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching_service.engine import scan
from matching_service.engine.columns import LANGUAGE_WORDS, Centers, Columns
from matching_service.engine.lanes import LANES

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
GROUPS = {
    "topics": (256, 0.24, 0.10), "methods": (128, 0.10, 0.05), "goals": (64, 0.14, 0.25),
    "embedding": (64, 0.12, 0.10), "cancer": (64, 0.08, 0.03), "treatment": (32, 0.05, 0.02),
    "age": (8, 0.03, 0.05), "stage": (8, 0.08, 0.12), "frequency": (5, 0.04, 0.07),
    "style": (8, 0.06, 0.15), "modality": (4, 0.03, 0.05), "bias": (1, 0.03, 0.01),
}  # fmt: skip
"""Features of each group, its weight for the mentee, and for the mentor."""
FEATURES = sum(count for count, *_ in GROUPS.values())
CENTERS = 60
_ROOTS, _MIDS, _LEAVES = 32, 64, 160
_LOW = np.uint64(0xFFFFFFFF)
_WORDS = 6  # half hours of a week
_KERNELS = {"age": (0, 1.5), "stage": (1, 1.5), "frequency": (0, 1.0)}


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A market, and the two matrices whose product is the mentees' gains."""

    market: scan.Market
    mentees: F32
    mentors: F32


def synthetic(mentors: int, mentees: int, seed: int) -> Synthetic:
    """Return a market; `mentors` is rounded up to whole blocks."""
    mentors = -(-mentors // LANES) * LANES
    dice = np.random.default_rng(seed)
    ours, theirs = _features(mentees, dice), _features(mentors, dice)
    for name, (shift, width) in _KERNELS.items():
        steps = np.arange(theirs[name].shape[1])
        kernel = np.exp(-((steps[:, None] - steps - shift) ** 2) / (2 * width**2))
        theirs[name] = (theirs[name] @ kernel).astype(np.float32)
    left, right = (
        np.concatenate([np.full(group[0], group[side], np.float32) for group in GROUPS.values()])
        for side in (1, 2)
    )
    columns = _columns(mentees, dice)
    thin = dice.uniform(0.75, 1, CENTERS).astype(np.float32)[columns.key[:, 0] & _LOW]
    a = np.concatenate([ours[name] for name in GROUPS], axis=1) * thin[:, None]
    b = np.concatenate([theirs[name] for name in GROUPS], axis=1)
    market = scan.Market(
        _mentees(a, left, right, columns, dice),
        _mentors(b, _columns(mentors, dice), dice),
        scan.Scale(
            np.ones((1, 1), np.float32), np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), 1.0
        ),
        Centers(
            np.eye(CENTERS, dtype=np.uint8),
            np.zeros(CENTERS, np.uint8),
            np.full(CENTERS, -np.inf),
        ),
    )
    return Synthetic(market, a * left, np.ascontiguousarray(b.T))


def parted(market: scan.Market, mentees: I64, mentors: I64) -> scan.Market:
    """Return the market where these mentees, each once, have met these mentors before (lines)."""
    columns = market.mentees.columns
    own, end = columns.lists[columns.bounds[mentees, 0]], len(columns.lists)
    lists = np.concatenate([columns.lists, np.stack([own, mentors], 1).ravel()]).astype(np.int32)
    bounds = columns.bounds.copy()
    begin = end + 2 * np.arange(len(mentees))
    bounds[mentees] = begin[:, None] + np.array([0, 1, 1, 1, 1, 1, 2])
    columns = columns._replace(lists=lists, bounds=bounds)
    return market._replace(mentees=market.mentees._replace(columns=columns))


def _mentees(
    a: F32, left: F32, right: F32, columns: Columns, dice: np.random.Generator
) -> scan.Mentees:
    who, row = np.nonzero(a)
    ends = np.cumsum(np.bincount(who, minlength=len(a)))
    return scan.Mentees(
        columns,
        np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1),
        row.astype(np.uint32),
        (a * left)[who, row],
        (a * right)[who, row],
        np.zeros((len(a), 2), np.float32),
        np.zeros(len(a), np.int32),
        dice.integers(0, 2**63, len(a), np.uint64),
        (dice.random(len(a)) < 0.92).astype(np.uint8),
    )


def _mentors(b: F32, columns: Columns, dice: np.random.Generator) -> scan.Mentors:
    blocks = len(b) // LANES
    consents = dice.random((blocks, LANES)) < 0.92
    return scan.Mentors(
        columns,
        np.ascontiguousarray(b.reshape(blocks, LANES, -1).transpose(0, 2, 1)),
        (consents * (np.uint64(1) << np.arange(LANES, dtype=np.uint64))).sum(1, np.uint64),
        np.zeros(blocks, np.int32),
        dice.integers(0, 2**63, len(b), np.uint64),
    )


def _columns(n: int, dice: np.random.Generator) -> Columns:
    one = np.uint64(1)
    share = np.arange(1, CENTERS + 1) ** -0.8
    center = dice.choice(CENTERS, n, p=share / share.sum())
    lab = center * 64 + dice.integers(0, 64, n) + 1
    languages = np.where(dice.random(n) < 0.9, one, np.uint64(0))
    second = one << dice.integers(1, 11, n).astype(np.uint64)
    languages |= np.where((dice.random(n) < 0.35) | (languages == 0), second, np.uint64(0))
    key = np.zeros((n, 1 + LANGUAGE_WORDS + _WORDS), np.uint64)
    key[:, 0] = center.astype(np.uint64) | lab.astype(np.uint64) << np.uint64(32)
    key[:, 1] = languages
    free = np.zeros((n, _WORDS), np.uint64)
    zone = 2 * dice.choice([0, 1, 2, 3, 9], n)
    for _ in range(4):
        begin = dice.integers(0, 5, n) * 48 + dice.integers(16, 36, n) + zone
        for half_hour in range(4):
            at = (begin + half_hour) % 336
            bit = one << (at % 64).astype(np.uint64)
            free[np.arange(n), at // 64] |= bit
            if half_hour < 3:  # an hour may begin
                key[np.arange(n), 1 + LANGUAGE_WORDS + at // 64] |= bit
    managers = (center * 256 + dice.integers(0, 256, n)).astype(np.int32)
    bounds = np.repeat(np.arange(n)[:, None], 7, axis=1).astype(np.int64)
    bounds[:, 1:] += 1
    return Columns(
        key, free, np.zeros(n), np.full(n, -1, np.int32), np.arange(n, dtype=np.int32), bounds,
        managers,
    )  # fmt: skip


def _features(n: int, dice: np.random.Generator) -> dict[str, F32]:
    found = {"topics": _topics(n, dice), "bias": np.ones((n, 1), np.float32)}
    for name, most in {"methods": 4, "goals": 4, "treatment": 4, "style": 3, "modality": 3}.items():
        found[name] = _some(n, GROUPS[name][0], most, dice)
    roots = found["topics"][:, :_ROOTS].argmax(1)
    middle = np.random.default_rng(7).normal(size=(_ROOTS, GROUPS["embedding"][0]))
    found["embedding"] = (middle[roots] + 1.5 * dice.normal(size=(n, 64))).astype(np.float32)
    leaf = dice.integers(0, 44, n)
    found["cancer"] = np.zeros((n, 64), np.float32)
    for node in (leaf % 4, 4 + leaf % 16, 20 + leaf):
        found["cancer"][np.arange(n), node] = 1
    for name in found.keys() - {"bias"}:
        found[name] /= np.linalg.norm(found[name], axis=1, keepdims=True)
    for name in _KERNELS:
        found[name] = np.eye(GROUPS[name][0], dtype=np.float32)[
            dice.integers(0, GROUPS[name][0], n)
        ]
    return found


def _topics(n: int, dice: np.random.Generator) -> F32:
    """One to four leaves with their ancestors, three in four of one's own root; rare ones count."""
    found = np.zeros((n, _ROOTS + _MIDS + _LEAVES), np.float32)
    root, count = dice.integers(0, _ROOTS, n), dice.integers(1, 5, n)
    for nth in range(4):
        own = root + _ROOTS * dice.integers(0, 2, n)  # a middle node of the root
        own = np.where(own + _MIDS < _LEAVES, own + _MIDS * dice.integers(0, 2, n), own)
        leaf = np.where(dice.random(n) < 0.75, own, dice.integers(0, _LEAVES, n))
        who = np.nonzero(count > nth)[0]
        for node in (leaf % _MIDS % _ROOTS, _ROOTS + leaf % _MIDS, _ROOTS + _MIDS + leaf):
            found[who, node[who]] = 1
    found *= np.sqrt(-np.log(np.clip(found.mean(0), 1e-6, 0.999)))
    return found


def _some(n: int, of: int, most: int, dice: np.random.Generator) -> F32:
    found = np.zeros((n, of), np.float32)
    count = dice.integers(1, most + 1, n)
    for nth in range(most):
        who = np.nonzero(count > nth)[0]
        found[who, dice.integers(0, of, len(who))] = 1
    return found
