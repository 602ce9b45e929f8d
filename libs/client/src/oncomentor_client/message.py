"""What goes out to the network, and what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from oncomentor_client.journal import Verdict
from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.receipt import Problem, ReceiptAccepted, ReceiptRejected


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event in its envelope."""

    event: Event
    envelope: Envelope

    @property
    def topic(self) -> str:
        """The topic it belongs on."""
        return self.event.topic_name

    @property
    def key(self) -> bytes:
        """The record's key: what is said about one subject stays in order."""
        return self.event.subject.encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the network answered to one event."""

    event_id: UUID
    verdict: Verdict
    problems: tuple[Problem, ...] = ()


class Route(Protocol):
    """A way to the network and back. Use as an async context manager; one batch at a time."""

    async def __aenter__(self) -> Self:
        """Open it; an `UnreachableError` or a `RefusedError` comes from here first."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Hand the batch over; when this returns, the network has it, whatever it thinks of it.

        After an exception any part of the batch may have arrived; sent again, it does no harm.

        Raises:
            UnreachableError: not delivered after retries; run again later.
            RefusedError: the credentials don't allow it.
        """

    async def answers(self, wait_seconds: float) -> Sequence[Answer]:
        """Return what was answered since the last call, waiting so long when it is nothing."""


def outgoing(
    event: Event,
    institution_id: str,
    *,
    event_id: UUID,
    sequence: int,
    now: datetime,
    traceparent: str | None = None,
) -> Outgoing:
    """Return the center's event, ready to travel."""
    envelope = Envelope(
        id=event_id,
        source=f"/institutions/{institution_id}",
        type=event.TYPE,
        subject=event.subject,
        time=now,
        traceparent=traceparent,
        sequence=sequence,
        dataschema=event.dataschema(),
    )
    return Outgoing(event, envelope)


def answer_of(event: Event) -> Answer | None:
    """Return the answer that a receipt gives; None where it is none, or names no event."""
    if not isinstance(event, ReceiptAccepted | ReceiptRejected):
        return None
    try:
        event_id = UUID(event.receipt_for)
    except ValueError:
        return None
    if isinstance(event, ReceiptRejected):
        return Answer(event_id, Verdict.REJECTED, event.problems)
    return Answer(event_id, Verdict.ACCEPTED)
