"""What a lane has fetched and not yet applied: in offset order, bounded by count and by bytes."""

from collections import deque
from collections.abc import Sequence

from servicekit.verdict import Record

MAX_SLICE = 2_000  # records; past this a transaction no longer gets cheaper per event
MAX_SLICE_BYTES = 8 * 1024 * 1024
MAX_QUEUED = 2 * MAX_SLICE  # records held in memory per partition; then fetching pauses
MAX_QUEUED_BYTES = 32 * 1024 * 1024


class Backlog:
    """A queue of records that knows how many bytes they hold."""

    def __init__(self) -> None:
        """Begin empty."""
        self._queue: deque[tuple[Record, int]] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def after(self) -> int | None:
        """The offset behind the last record; None where there is none."""
        return self._queue[-1][0].offset + 1 if self._queue else None

    @property
    def is_full(self) -> bool:
        """Whether to stop fetching; one more fetch may still arrive."""
        return len(self._queue) >= MAX_QUEUED or self.bytes >= MAX_QUEUED_BYTES

    @property
    def is_low(self) -> bool:
        """Whether to fetch again: less than half is left."""
        return len(self._queue) < MAX_QUEUED // 2 and self.bytes < MAX_QUEUED_BYTES // 2

    def add(self, records: Sequence[Record]) -> None:
        """Append records that follow the last one."""
        for record in records:
            size = _size(record)
            self._queue.append((record, size))
            self.bytes += size

    def next_slice(self) -> list[Record]:
        """Return the first records, as many as one transaction should hold and at least one."""
        records: list[Record] = []
        size = 0
        for record, record_size in self._queue:
            size += record_size
            if records and (len(records) == MAX_SLICE or size > MAX_SLICE_BYTES):
                break
            records.append(record)
        return records

    def drop(self, count: int) -> None:
        """Forget the first `count` records: they have been applied."""
        for _ in range(count):
            self.bytes -= self._queue.popleft()[1]

    def clear(self) -> None:
        """Forget everything."""
        self._queue.clear()
        self.bytes = 0


def _size(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
