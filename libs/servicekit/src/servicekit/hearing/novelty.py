"""What in a slice is new: repeats, gaps and forks are told from it here."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.topics import Kind
from servicekit.hearing import inbox
from servicekit.hearing.quarantine import Parked
from servicekit.hearing.verdict import Applied, Order, PassedOver, Record, order
from servicekit.tx import Tx

Known = Event | PassedOver


class ForkError(Exception):
    """Two histories of one subject: the partition stops until an operator has looked."""

    def __init__(self, record: Record, envelope: Envelope) -> None:
        """`record` has another event for the sequence that was applied."""
        self.offset = record.offset
        super().__init__(
            f"{record.topic}: subject {envelope.subject} has two events with sequence "
            f"{envelope.sequence}, the second at offset {record.offset}: its producer was restored "
            "to an earlier point; docs/runbooks/PartitionStopped.md says how to go on"
        )


class NotPlainError(Exception):
    """Something in the slice was applied before, or stands out of order: look at each event."""


@dataclass(slots=True)
class New:
    """A slice without what was applied before; `fresh` is noted as applied now."""

    fresh: list[Known] = field(default_factory=list)
    repeated: list[Event] = field(default_factory=list)
    """Commands that were taken in before: their senders are answered again."""
    duplicates: int = 0
    parked: list[Parked] = field(default_factory=list)
    """What follows a gap of its subject."""


async def find(
    tx: Tx, kind: Kind, topic: str, known: Sequence[tuple[Record, Known]], *, plainly: bool
) -> New:
    """Return what of a slice is new, and note it as applied.

    Raises:
        NotPlainError: (where the slice was hoped to be plain) roll back, then look closely.
        ForkError: one sequence has two events; stop the partition.
    """
    if kind is Kind.INGRESS:
        return await _new_to_inbox(tx, topic, known)
    if plainly and kind is Kind.STATE:
        if not await inbox.claim_rising(tx, topic, [verdict.envelope for _, verdict in known]):
            raise NotPlainError
        return New([verdict for _, verdict in known])
    new = await _next_in_sequence(tx, kind, topic, known)
    if plainly and new.parked:
        raise NotPlainError
    return new


async def _new_to_inbox(tx: Tx, topic: str, known: Sequence[tuple[Record, Known]]) -> New:
    ids = {verdict.envelope.id for _, verdict in known}
    unseen = await inbox.insert_new(tx, topic, ids, tx.now)
    new = New()
    for _, verdict in known:
        if verdict.envelope.id in unseen:
            unseen.discard(verdict.envelope.id)
            new.fresh.append(verdict)
        elif not isinstance(verdict, PassedOver):
            new.repeated.append(verdict)
            new.duplicates += 1
    return new


async def _next_in_sequence(
    tx: Tx, kind: Kind, topic: str, known: Sequence[tuple[Record, Known]]
) -> New:
    applied = await inbox.last_applied(tx, topic, {v.envelope.subject for _, v in known})
    changed: dict[str, Applied] = {}
    new = New()
    for record, verdict in known:
        envelope = verdict.envelope
        last = applied.get(envelope.subject)
        standing = order(kind, last, envelope)
        if standing is Order.FORK:
            raise ForkError(record, envelope)
        if standing is Order.DUPLICATE:
            new.duplicates += 1
        elif standing is Order.GAP:
            reason = f"sequence {envelope.sequence} follows {last.sequence if last else 0}"
            new.parked.append(Parked(record, "sequence_gap", reason, envelope, "parked"))
        else:
            new.fresh.append(verdict)
            one = Applied(envelope.sequence or 0, envelope.id)
            applied[envelope.subject] = changed[envelope.subject] = one
    await inbox.upsert_applied(tx, topic, changed)
    return new
