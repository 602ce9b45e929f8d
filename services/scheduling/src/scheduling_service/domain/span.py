"""Sets of time as sorted spans of whole seconds, half-open, apart from each other."""

from collections.abc import Iterable, Sequence

Span = tuple[int, int]
"""(begin, end) in seconds since 1970 UTC; the end is not part of it."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the union: in order, none empty, none touching another."""
    union: list[Span] = []
    for begin, end in sorted(span for span in spans if span[0] < span[1]):
        if union and begin <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((begin, end))
    return union


def common(left: Sequence[Span], right: Sequence[Span]) -> list[Span]:
    """Return the intersection of two unions, in one sweep over both."""
    both: list[Span] = []
    i = j = 0
    while i < len(left) and j < len(right):
        begin, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if begin < end:
            both.append((begin, end))
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
    return both


def without(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """Return what a union has outside another union."""
    if not spans or not taken:
        return list(spans)

    begins = [spans[0][0], *(end for _, end in taken)]
    ends = [*(begin for begin, _ in taken), spans[-1][1]]
    return common(spans, [gap for gap in zip(begins, ends, strict=True) if gap[0] < gap[1]])
