"""How near two codes are: trees of codes, and ladders on which a distance means something."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import fsum, sqrt

Tree = Mapping[str, tuple[str, ...]]
"""Each code's ancestors, nearest first; a code that is missing stands alone."""
Ladder = Mapping[str, int]
"""Each code's rung."""

FLAT: Tree = {}
_HALVING = 0.5  # an ancestor counts half of what is just below it


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The vocabularies that the score needs, handed in as data."""

    goals: Tree = field(default_factory=dict)
    topics: Tree = field(default_factory=dict)
    methods: Tree = field(default_factory=dict)
    cancer_types: Tree = field(default_factory=dict)
    career_stages: Ladder = field(default_factory=dict)
    age_bands: Ladder = field(default_factory=dict)


def shares(codes: Collection[str], tree: Tree) -> dict[str, float]:
    """Return what each of some codes and of their ancestors is of the whole; they sum to 1.

    Each step up counts half. Empty for no codes.
    """
    weights: dict[str, float] = {}
    for code in codes:
        for distance, node in enumerate((code, *tree.get(code, ()))):
            weights[node] = max(weights.get(node, 0.0), _HALVING**distance)
    total = sum(weights.values())
    return {node: weight / total for node, weight in weights.items()}


def nodes(codes: Collection[str], tree: Tree) -> set[str]:
    """Return codes with all their ancestors."""
    return {node for code in codes for node in (code, *tree.get(code, ()))}


def coverage(wanted: Collection[str], offered: Collection[str], tree: Tree) -> float:
    """Return how much of what is wanted is offered, in [0, 1].

    A wanted code that is offered counts whole, one of which only a relative is offered counts by
    the branch they share: the shares of the wanted are summed where the offered have the node too.
    """
    there = nodes(offered, tree)
    return min(1.0, fsum(share for node, share in shares(wanted, tree).items() if node in there))


def mutual(ours: Collection[str], theirs: Collection[str], tree: Tree) -> float:
    """Return the geometric mean of both sides' coverage: great only if it is for both."""
    return sqrt(coverage(ours, theirs, tree) * coverage(theirs, ours, tree))


def steps(start: str | None, end: str | None, ladder: Ladder) -> int | None:
    """Return how many rungs `end` is above `start`; None where either is not on the ladder."""
    if start is None or end is None or start not in ladder or end not in ladder:
        return None

    return ladder[end] - ladder[start]
