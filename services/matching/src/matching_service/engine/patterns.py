"""What can be read on each side, and how it scales a pair's sums into a score."""

from collections.abc import Sequence

import numpy as np

from matching_service.engine import scan
from matching_service.engine.columns import F64, Numbers

LATE = "availability"
"""The criterion that is a count of common hours: worked out last, for the few pairs it can lift."""


class Patterns:
    """What can be read on each side, in the combinations that occur, and how it scales scores."""

    def __init__(self, weights: Sequence[tuple[str, float, float]], plenty: float) -> None:
        """Begin with no pattern.

        Args:
            weights: (criterion, its weight for the mentee, for the mentor); bit c of a pattern is
                whether the c-th of them can be read.
            plenty: granules in common that are as good as any number.
        """
        self._weights = weights
        self._mentees, self._mentors = Numbers(), Numbers()
        empty = np.zeros((0, 0))
        self.scale = scan.Scale(
            empty.astype(np.float32), empty.astype(np.uint8), empty.astype(np.uint8), plenty
        )

    def of_mentee(self, bits: int) -> int:
        """Return the number of a mentee's pattern."""
        return self._number(self._mentees, bits)

    def of_mentor(self, bits: int) -> int:
        """Return the number of a mentor's pattern."""
        return self._number(self._mentors, bits)

    @property
    def readable(self) -> tuple[list[int], list[int]]:
        """By pattern of a mentee, and of a mentor: a bit for each weighted criterion that can be read."""
        return list(self._mentees), list(self._mentors)

    def _number(self, numbers: Numbers, bits: int) -> int:
        before = len(numbers)
        number = numbers[bits]
        if number == before:
            self._lay_out()
        return number

    def of_one_side(self, side: int) -> scan.Scale:
        """Return the scale by which a key is one side's gain alone, `scan.LEFT` or `scan.RIGHT`.

        Where that side can read nothing, it gains as the other does.
        """
        known = self._known()
        own, other = (known[0], known[1]) if side == scan.LEFT else (known[1], known[0])
        counts = np.where(own == 0, other, own)
        return self.scale._replace(
            rate=(1 / np.where(counts == 0, 1, counts) ** 2).astype(np.float32),
            sides=np.where(own == 0, scan.LEFT + scan.RIGHT - side, side).astype(np.uint8),
        )

    def _known(self) -> F64:
        """Return float[2, mentees' patterns, mentors' patterns]: the weights each side can read."""
        sums = [[self._sums(a, b) for b in self._mentors] for a in self._mentees]
        size = len(self._mentees), len(self._mentors)
        return np.moveaxis(np.array(sums, float).reshape(*size, 2), 2, 0)

    def _sums(self, mentee_pattern: int, mentor_pattern: int) -> tuple[float, float]:
        """Return the weight that can be read for (the mentee, the mentor) in such a pair."""
        both = mentee_pattern & mentor_pattern
        known = [(u, v) for bit, (_, u, v) in enumerate(self._weights) if both >> bit & 1]
        return sum(u for u, _ in known), sum(v for _, v in known)

    def _reads_hours(self, mentee_pattern: int, mentor_pattern: int) -> bool:
        """Tell whether availability is weighed and can be read in such a pair."""
        bits = sum(1 << bit for bit, (name, *_) in enumerate(self._weights) if name == LATE)
        return bool(mentee_pattern & mentor_pattern & bits)

    def _lay_out(self) -> None:
        hours = [[self._reads_hours(a, b) for b in self._mentors] for a in self._mentees]
        left, right = self._known()
        sides = np.where(right == 0, scan.LEFT, np.where(left == 0, scan.RIGHT, scan.BOTH))
        left, right = np.where(left == 0, right, left), np.where(right == 0, left, right)
        product = left * right
        rate = 1 / np.where(product == 0, 1, product)
        self.scale = self.scale._replace(
            rate=rate.astype(np.float32),
            sides=sides.astype(np.uint8),
            hours=np.array(hours, np.uint8).reshape(left.shape),
        )
