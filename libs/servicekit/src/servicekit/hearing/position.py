"""Where a partition stands: the row that is a slice's lock and fence."""

from dataclasses import dataclass

from servicekit.errors import TransientError
from servicekit.tx import Tx


class PartitionStoppedError(Exception):
    """The partition can't go on without an operator; the text says why and what to do."""


class FellBackError(Exception):
    """The database stands before what we applied: it was restored, or an operator moved the row."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of one topic, as one consumer group reads it."""

    consumer: str
    topic: str
    partition: int
    topic_id: str
    """The broker's id of the topic we read, which a recreated topic of the same name differs in."""


async def open_position(tx: Tx, where: Partition, log_start: int, log_end: int) -> int:
    """Return the offset to read from; a partition never read before begins at `log_start`.

    Raises:
        PartitionStoppedError: the topic was recreated, or records expired before they were read.
        TransientError: the log ends before the position; the broker may be recovering it.
    """
    await tx.conn.execute(
        """
        INSERT INTO kit.consumer_offsets (consumer, topic, partition, next_offset, topic_id,
                                          updated_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING
        """,
        where.consumer,
        where.topic,
        where.partition,
        log_start,
        where.topic_id,
        tx.now,
    )
    next_offset = await lock_position(tx, where)
    if next_offset < log_start:
        raise PartitionStoppedError(
            f"{where.topic}[{where.partition}]: records {next_offset} to {log_start - 1} expired "
            "unread; restore them or set next_offset by hand after judging what was lost"
        )
    if next_offset > log_end:
        raise TransientError(
            f"the log ends at {log_end}, before our position {next_offset}: Kafka lost records or "
            "is recovering them"
        )
    return next_offset


async def lock_position(tx: Tx, where: Partition, *, not_before: int | None = None) -> int:
    """Return the next offset and keep its row locked: nobody else applies this partition now.

    Raises:
        FellBackError: the row is behind `not_before`, which was committed once.
        PartitionStoppedError: the topic was deleted and made again since.
    """
    row = await tx.conn.fetchrow(
        """
        SELECT next_offset, topic_id FROM kit.consumer_offsets
         WHERE consumer = $1 AND topic = $2 AND partition = $3
           FOR UPDATE
        """,
        where.consumer,
        where.topic,
        where.partition,
    )
    if row is None or row["topic_id"] != where.topic_id:
        raise PartitionStoppedError(
            f"{where.topic}[{where.partition}] was deleted and made again: its offsets mean other "
            "records now; delete this consumer's row in kit.consumer_offsets to read it anew"
        )
    next_offset: int = row["next_offset"]
    if not_before is not None and next_offset < not_before:
        raise FellBackError(f"next_offset is {next_offset} and was {not_before}")
    return next_offset


async def update_position(tx: Tx, where: Partition, next_offset: int) -> None:
    """Move on; takes effect with everything the slice did, or not at all."""
    await tx.conn.execute(
        """
        UPDATE kit.consumer_offsets SET next_offset = $4, updated_at = $5
         WHERE consumer = $1 AND topic = $2 AND partition = $3
        """,
        where.consumer,
        where.topic,
        where.partition,
        next_offset,
        tx.now,
    )
