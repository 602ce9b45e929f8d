"""What a service hears, and which function applies it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oncomentor_contracts.event import Event
from oncomentor_contracts.topics import Topic
from servicekit.saying.outbox import Cause
from servicekit.tx import Tx

Handler = Callable[[Any, Tx], Awaitable[Sequence[Event]]]
"""`async (event, tx) -> events to say`."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """Wraps `async (events, tx) -> events`: one call per run of events of the type in a slice."""

    handle: Callable[[Sequence[Any], Tx], Awaitable[Sequence[Event]]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was quarantined, as far as it could be read; for saying so to its sender."""

    topic: str
    partition: int
    offset: int
    institution_id: str | None
    """The center whose topic it is; None on the network's own topics."""
    event_id: str | None
    event_type: str | None
    subject: str | None
    reason_class: str
    """A short stable name, such as `foreign_source`."""
    problems: tuple[tuple[str, str], ...]
    """(field or attribute, what is wrong), at least one."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic (or template) and the handler of each type on it that the service cares for.

    Types of the topic without a handler are passed over. On ingress topics `on_duplicate`
    answers an event that was taken in before and `on_refused` one that was quarantined.
    """

    topic: Topic
    handlers: Mapping[type[Event], Handler | Bulk]
    on_duplicate: Handler | None = None
    on_refused: Callable[[Refusal, Tx], Awaitable[Sequence[Event]]] | None = None


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that is due: which, with what, and how often it was tried before."""

    kind: str
    key: str
    payload: Mapping[str, Any]
    attempts: int
    version: int
    cause: Cause


Job = Callable[[Timer, Tx], Awaitable[Sequence[Event]]]
"""Work inside one transaction: the timer row goes with its commit."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Work in the outside world: `perform` without a transaction, then `record` in one.

    At-least-once: after a crash in between it is performed again with the same timer key, which
    is the idempotency key towards the outside. A `TransientError` is tried again with back-off
    until `attempts`; then, or on any other error, `give_up` says what that means.
    """

    perform: Callable[[Timer], Awaitable[Any]]
    record: Callable[[Timer, Any, Tx], Awaitable[Sequence[Event]]]
    give_up: Callable[[Timer, Exception, Tx], Awaitable[Sequence[Event]]]
    attempts: int = 10
    concurrency: int = 4
    lease: timedelta = timedelta(seconds=60)
