"""What a lane takes of what was fetched: in order, without holes that are not there, bounded."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from servicekit.hearing.backlog import Backlog, Judged
from servicekit.hearing.verdict import Judge, Record


class Intake:
    """Judges fetched records as they come, and lets the fetching pause while enough wait."""

    def __init__(
        self, tp: TopicPartition, consumer: AIOKafkaConsumer, judge: Judge, backlog: Backlog
    ) -> None:
        """Begin paused: nothing is taken before `begin` says where."""
        self.filled = asyncio.Event()
        self.expected: int | None = None
        """The offset to be fetched next; None while the position is not known."""
        self._tp = tp
        self._consumer = consumer
        self._judge = judge
        self._backlog = backlog
        self._paused = True
        self._sought = True  # since then nothing has come: what does may have been on its way
        self._jump: int | None = None
        consumer.pause(tp)

    def __len__(self) -> int:
        return len(self._backlog)

    @property
    def head(self) -> Record | None:
        """The first record that waits; None where there is none."""
        return self._backlog.head

    def begin(self, position: int) -> None:
        """Take what follows from this offset on."""
        self._backlog.clear()
        self.expected = position
        self._seek()
        self._resume()

    def end(self) -> None:
        """Forget what waits and take nothing more."""
        self._backlog.clear()
        self.expected = None
        self.hold()

    def leave(self) -> None:
        """Forget what waits; the partition may be somebody else's by now, so it is let be."""
        self._backlog.clear()
        self.expected = None

    def hold(self) -> None:
        """Fetch nothing more for now; what waits stays."""
        self._paused = True
        if self._tp in self._consumer.assignment():
            self._consumer.pause(self._tp)

    def offer(self, records: Sequence[Record]) -> bool:
        """Take fetched records in offset order; False where they are to be fetched again.

        Those from before a seek are dropped.
        """
        expected = self.expected
        if expected is None:
            return False
        wanted = [record for record in records if record.offset >= expected]
        if not wanted:
            return True
        if self._sought and expected < wanted[0].offset != self._jump:
            # Compaction leaves holes. So would records that were on their way here when we sought:
            # ask again, and believe the hole when it is there the second time.
            self._jump = wanted[0].offset
            self._consumer.seek(self._tp, expected)
            return False
        self._sought, self._jump = False, None
        self._backlog.add([(record, self._judge(record)) for record in wanted])
        self.expected = wanted[-1].offset + 1
        if self._backlog.is_full and not self._paused:
            self.hold()
        self.filled.set()
        return True

    def rewind(self) -> None:
        """Fetch again what follows the last record we hold: a poll failed and may have lost some."""
        if self.expected is not None and self._tp in self._consumer.assignment():
            self._seek()

    def next_slice(self) -> list[Judged]:
        """Return the records of the next transaction; they wait until `applied`."""
        return self._backlog.next_slice()

    def applied(self, count: int) -> None:
        """Forget the first records, which have been applied."""
        self._backlog.drop(count)

    def resume_when_low(self) -> None:
        """Go on fetching if little waits."""
        if self._paused and self._backlog.is_low:
            self._resume()

    def _seek(self) -> None:
        self._sought, self._jump = True, None
        self._consumer.seek(self._tp, self.expected)

    def _resume(self) -> None:
        self._paused = False
        if self._tp in self._consumer.assignment():
            self._consumer.resume(self._tp)
