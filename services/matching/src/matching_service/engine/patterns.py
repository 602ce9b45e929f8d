"""What can be read on each side, and how it scales a pair's sums into a score."""

import numpy as np

from matching_service.domain.criteria import PLENTY_OF_SESSIONS
from matching_service.domain.pool import Context
from matching_service.engine import scan
from matching_service.engine.columns import F64, Numbers
from matching_service.engine.features import Features


class Patterns:
    """What can be read on each side, in the combinations that occur, and how it scales scores."""

    def __init__(self, features: Features, context: Context, minutes: int) -> None:
        self._features = features
        self._mentees, self._mentors = Numbers(), Numbers()
        sessions = PLENTY_OF_SESSIONS * context.programme.session_minutes
        empty = np.zeros((0, 0))
        self.scale = scan.Scale(
            empty.astype(np.float32), empty.astype(np.uint8), empty.astype(np.uint8),
            sessions / minutes,
        )  # fmt: skip

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
        sums = [[self._features.sums(a, b) for b in self._mentors] for a in self._mentees]
        size = len(self._mentees), len(self._mentors)
        return np.moveaxis(np.array(sums, float).reshape(*size, 2), 2, 0)

    def _lay_out(self) -> None:
        hours = [[self._features.reads_hours(a, b) for b in self._mentors] for a in self._mentees]
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
