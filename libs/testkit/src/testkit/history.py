"""What was done to a network and what was found in the end: the material that judges judge.

Plain values only, each one line of JSON, so that a run can be judged again from its folder.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["ok", "failed", "unknown"]
"""Answered yes, answered no, or never answered: it may or may not have happened."""
Door = Literal["http", "kafka", "both"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One command that a center sent, the same id however often it was repeated."""

    id: str
    what: Literal["submit", "withdraw", "accept", "decline"]
    topic: str
    subject: str
    mark: str
    """Comes out again in the fact that the command leads to; empty for a withdrawal."""
    door: Door
    poison: bool
    """Whether the handler of the command breaks at it."""
    outcome: Outcome
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Logged:
    """One record as it stands in Kafka; attributes are None where they can't be read."""

    topic: str
    partition: int
    offset: int
    event_id: str | None
    type: str | None
    subject: str | None
    sequence: int | None
    source: str | None
    causationid: str | None
    data: Mapping[str, Any] | None
    """None for a deletion, and for what is no JSON object."""
    digest: str
    """SHA-256 of the value's bytes; empty for null."""


@dataclass(frozen=True, slots=True)
class Injected:
    """A record that the campaign itself put into the log."""

    topic: str
    partition: int
    offset: int
    expect: Literal["dropped", "kept", "judged"]
    """A repetition is dropped, a bad record is kept, any other is judged like everybody's."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that a handler was given, in a transaction that was committed."""

    database: str
    nth: int
    """Rises in the order of a partition."""
    topic: str
    event_id: str
    subject: str
    sequence: int | None
    type: str
    process: str
    at: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A record in a quarantine."""

    database: str
    topic: str
    partition: int
    offset: int
    digest: str
    reason_class: str
    state: str


@dataclass(frozen=True, slots=True)
class Said:
    """A row of an outbox."""

    database: str
    seq: int
    topic: str
    event_id: str
    type: str
    subject: str
    sequence: int


@dataclass(frozen=True, slots=True)
class PositionMove:
    """A change of a partition's next offset, in the order in which they were made."""

    database: str
    consumer: str
    topic: str
    partition: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class CursorMove:
    """A change of a relay's cursor, in the order in which they were made."""

    database: str
    epoch_before: int
    epoch_after: int


@dataclass(frozen=True, slots=True)
class Frozen:
    """A process that was stopped beyond its session, from when until when (epoch seconds)."""

    process: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long something took to be as before, counted from the fault."""

    what: Literal["service", "kafka", "postgres", "stop"]
    seconds: float


@dataclass(frozen=True, slots=True)
class Table:
    """What a service's table holds in the end, key to value, and a fingerprint of a replay."""

    database: str
    name: str
    rows: Mapping[str, str]
    replayed: Mapping[str, str] | None = None
    """What a single-threaded replay of the log into a fresh table gives; None for aggregates."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What one service hears: topics by kind, and the types of which it has handlers."""

    database: str
    topics: Mapping[str, Literal["ingress", "state", "fact"]]
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One cycle, whole: what was sent and done, and what stands in logs and tables after it."""

    operations: tuple[Operation, ...] = ()
    log: tuple[Logged, ...] = ()
    injected: tuple[Injected, ...] = ()
    heard: tuple[Heard, ...] = ()
    kept: tuple[Kept, ...] = ()
    said: tuple[Said, ...] = ()
    position_moves: tuple[PositionMove, ...] = ()
    cursor_moves: tuple[CursorMove, ...] = ()
    tables: tuple[Table, ...] = ()
    calls: tuple[str, ...] = ()
    """Idempotency keys that the outside world was given, in order."""
    interruptions: int = 0
    """How often something was killed, cut or frozen: so many repetitions of a call are allowed."""
    frozen: tuple[Frozen, ...] = ()
    recoveries: tuple[Recovery, ...] = ()
    readers: tuple[Reader, ...] = ()
    newer_types: frozenset[str] = field(default_factory=frozenset)
    """Types that only some replicas know: these may be applied or passed over."""
    unsettled: tuple[str, ...] = ()
    """What was still not done when waiting for it ended."""

    def table(self, database: str, name: str) -> Mapping[str, str]:
        """Return the rows of a table; none where it was not read."""
        for table in self.tables:
            if (table.database, table.name) == (database, name):
                return table.rows
        return {}


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant of the design that does not hold, by its number there, and where it shows."""

    invariant: int
    what: str


def write_evidence(evidence: Evidence, folder: Path) -> None:
    """Write every part as a file of JSON lines into the folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("operations", "log", "injected", "heard", "kept", "said", "position_moves",
                 "cursor_moves", "tables", "frozen", "recoveries"):  # fmt: skip
        _write(folder / f"{name}.jsonl", map(asdict, getattr(evidence, name)))
    rest = {"calls": evidence.calls, "unsettled": evidence.unsettled}
    _write(folder / "rest.jsonl", iter([rest | {"interruptions": evidence.interruptions}]))


def _write(path: Path, rows: Iterator[Any] | Iterable[Any]) -> None:
    path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
