"""What a lane has fetched and not yet applied: judged, in offset order, bounded by count and bytes."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from servicekit.hearing.verdict import Record, Verdict

MAX_SLICE = 2_000  # records; past this a transaction no longer gets cheaper per event
MAX_SLICE_BYTES = 8 * 1024 * 1024
MAX_QUEUED = 2 * MAX_SLICE  # records held per partition (one slice at work, one ahead)
MAX_QUEUED_BYTES = 32 * 1024 * 1024
# Over all partitions of the process: a judged event takes some ten times its bytes.
MAX_HELD = 10 * MAX_SLICE
MAX_HELD_BYTES = 64 * 1024 * 1024
_HEADER_BYTES = 512  # of a record that the network's own relays wrote

Judged = tuple[Record, Verdict]


@dataclass(slots=True)
class Held:
    """What all lanes of a process hold together."""

    records: int = 0
    bytes: int = 0

    @property
    def too_much(self) -> bool:
        """Whether only a lane that holds nothing may fetch."""
        return self.records >= MAX_HELD or self.bytes >= MAX_HELD_BYTES


class Backlog:
    """A queue of judged records that knows how many bytes they hold."""

    def __init__(self, held: Held, *, foreign: bool) -> None:
        """Begin empty. `foreign` records may have headers of any size, so each is measured."""
        self._held = held
        self._foreign = foreign
        self._queue: deque[Judged] = deque()
        self._sizes: deque[int] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def head(self) -> Record | None:
        """The first record; None where there is none."""
        return self._queue[0][0] if self._queue else None

    @property
    def is_full(self) -> bool:
        """Whether to stop fetching; one more fetch may still arrive."""
        full = len(self._queue) >= MAX_QUEUED or self.bytes >= MAX_QUEUED_BYTES
        return full or (self._held.too_much and len(self._queue) > 0)

    @property
    def is_low(self) -> bool:
        """Whether to fetch again: no more than one slice is left."""
        low = len(self._queue) <= MAX_QUEUED // 2 and self.bytes <= MAX_QUEUED_BYTES // 2
        return low and (not self._held.too_much or not self._queue)

    def add(self, judged: Sequence[Judged]) -> None:
        """Append records that follow the last one."""
        sizes = [self._size(record) for record, _ in judged]
        self._queue.extend(judged)
        self._sizes.extend(sizes)
        self._count(len(sizes), sum(sizes))

    def next_slice(self) -> list[Judged]:
        """Return the first records, as many as one transaction should hold and at least one."""
        return list(islice(self._queue, slice_size(self._sizes, self.bytes)))

    def drop(self, count: int) -> None:
        """Forget the first `count` records: they have been applied."""
        dropped = sum(self._sizes.popleft() for _ in range(count))
        for _ in range(count):
            self._queue.popleft()
        self._count(-count, -dropped)

    def clear(self) -> None:
        """Forget everything."""
        self.drop(len(self._queue))

    def _count(self, records: int, size: int) -> None:
        self.bytes += size
        self._held.records += records
        self._held.bytes += size

    def _size(self, record: Record) -> int:
        size = len(record.key or b"") + len(record.value or b"")
        if not self._foreign:
            return size + _HEADER_BYTES
        return size + sum(len(name) + len(value or b"") for name, value in record.headers)


def slice_size(sizes: Sequence[int], total: int) -> int:
    """Return how many of the records that wait, of these sizes in bytes, one transaction takes.

    All there are while that is little, so that a quiet partition answers at once; at most
    `MAX_SLICE` and `MAX_SLICE_BYTES` when they pile up, so that each costs little; never none.
    """
    if total <= MAX_SLICE_BYTES:
        return min(len(sizes), MAX_SLICE)
    taken = 0
    for count, size in enumerate(islice(sizes, MAX_SLICE)):
        taken += size
        if taken > MAX_SLICE_BYTES:
            return max(count, 1)
    return min(len(sizes), MAX_SLICE)
