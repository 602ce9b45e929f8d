"""One cycle: fresh subjects, a load, a fault in its midst, quiet, and the evidence of it all."""

import asyncio
import dataclasses
import random
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from oncomentor_contracts.topics import Kind
from testkit.faults import state
from testkit.faults.draw import Draw, Size
from testkit.faults.ground import Ground
from testkit.faults.load import Centers
from testkit.faults.replay import replayed
from testkit.faults.service import subscriptions
from testkit.faults.state import Marks
from testkit.faults.tail import Tail
from testkit.history import (
    Evidence,
    Frozen,
    Injected,
    Operation,
    Reader,
    Recovery,
    Table,
    Violation,
)
from testkit.judge import judge, last_records_are_newest

_LOAD_SECONDS = 2.0
_FAULT_AFTER_SECONDS = 0.6
_SETTLE_SECONDS = 90.0
_QUIET_LOOKS = 2
_PATIENCE_SECONDS = 40.0  # without any progress
_KINDS: dict[Kind, Literal["ingress", "state", "fact"]] = {
    Kind.INGRESS: "ingress",
    Kind.STATE: "state",
    Kind.FACT: "fact",
}


@dataclass
class Notes:
    """What a fault leaves for the judges."""

    interruptions: int = 0
    frozen: list[Frozen] = field(default_factory=list)
    injected: list[Injected] = field(default_factory=list)
    newer_types: set[str] = field(default_factory=set)
    recovers: Literal["", "service", "kafka", "postgres"] = ""
    """What has to recover, and is timed: service, kafka or postgres."""
    began: float = 0.0
    """When it happened (monotonic)."""
    places: list[str] = field(default_factory=list)
    """Failpoints at which something was done."""
    stops: list[float] = field(default_factory=list)
    """Seconds that gentle stops took."""
    left_undone: list[str] = field(default_factory=list)
    """Parts of the fault that this machine or this moment did not allow."""
    afterwards: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What is to be put right once the cycle has come to rest."""


@dataclass
class Scene:
    """What a fault can lay hands on."""

    ground: Ground
    chance: random.Random
    notes: Notes

    def interrupted(self, what: Literal["", "service", "kafka", "postgres"] = "") -> None:
        """Note that the fault happens now; `what` names the thing whose recovery is timed."""
        self.notes.interruptions += 1
        self.notes.began = self.notes.began or time.monotonic()
        self.notes.recovers = self.notes.recovers or what


Fault = Callable[[Scene], Awaitable[None]]
"""Does harm during the load, and has everything run again when it returns."""


@dataclass(frozen=True)
class Result:
    """What one cycle came to."""

    evidence: Evidence
    violations: list[Violation]
    notes: Notes
    seconds: float


async def no_fault(scene: Scene) -> None:
    """Leave the network alone."""


def readers(ground: Ground, newer: Collection[str] = ()) -> tuple[Reader, ...]:
    """Return what each running service hears, by the names of this ground's topics."""
    centers = [center.institution_id for center in ground.centers]
    found = []
    for service in ground.services:
        topics: dict[str, Literal["ingress", "state", "fact"]] = {}
        types = set(newer)
        for one in subscriptions(service):
            names = (
                [one.topic.named(c) for c in centers] if one.topic.is_template else [one.topic.name]
            )
            topics |= dict.fromkeys(names, _KINDS[one.topic.kind])
            types |= {event.TYPE for event in one.handlers}
        found.append(Reader(service, topics, frozenset(types)))
    return tuple(found)


async def run_cycle(
    ground: Ground,
    seed: int,
    fault: Fault = no_fault,
    *,
    size: Size | None = None,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> Result:
    """Run one cycle; the same seed sends the same commands and draws the same chances."""
    began = time.monotonic()
    marks = await state.begin(ground.access, ground.services)
    ground.earlier = list(ground.tail.raw.values())
    await ground.tail.begin()
    ground.sink.calls.clear()
    notes = Notes()
    scene = Scene(ground, random.Random(seed ^ 0xFA17), notes)  # noqa: S311 - a replayable choice
    names = [center.institution_id for center in ground.centers]
    centers = Centers(ground.centers, lambda s: [one.url for one in ground.replicas(s)])
    todo = Draw(seed, names, size or Size()).commands()
    if "profile" not in ground.services:
        todo = [one for one in todo if one.outgoing.topic.endswith(".response")]

    async def strike() -> None:
        await asyncio.sleep(_FAULT_AFTER_SECONDS)
        await fault(scene)

    sending = asyncio.create_task(centers.send(todo, _LOAD_SECONDS))
    try:
        await strike()
        await sending
    finally:
        sending.cancel()  # of a cycle that breaks off nothing may reach the next one
    unsettled = await settle(ground, ground.tail, marks, patience_seconds)
    settled = time.monotonic()
    evidence = await collect(ground, marks, notes, centers.done, unsettled, settled)
    for put_right in notes.afterwards:
        await put_right()
    return Result(evidence, judge(evidence), notes, time.monotonic() - began)


async def settle(
    ground: Ground, tail: Tail, marks: dict[str, Marks], patience_seconds: float
) -> tuple[str, ...]:
    """Wait until all is said, sent and heard, twice in a row; return what is not in the end.

    It gives up when nothing has moved for the given seconds, and in any case after a while.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    moved, quiet, left = time.monotonic(), 0, ["nothing was looked at"]
    while quiet < _QUIET_LOOKS and time.monotonic() < min(deadline, moved + patience_seconds):
        before = left
        try:
            await tail.read()
            left = await _left(ground, tail, marks)
        except (
            KafkaError,
            OSError,
            TimeoutError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
        ) as error:
            left = [f"{type(error).__name__}: {error}"]
        quiet = 0 if left else quiet + 1
        moved = moved if left == before else time.monotonic()
        if left:
            await asyncio.sleep(0.1)
    return tuple(left)


async def _left(ground: Ground, tail: Tail, marks: dict[str, Marks]) -> list[str]:
    """Return what is still to be done, in words."""
    sent = {record.event_id for record in tail.records}
    left = []
    for reader in readers(ground):
        async with ground.access.to(reader.database) as conn:
            said = await state.outbox_since(conn, reader.database, marks[reader.database])
            if unsent := [row for row in said if row.event_id not in sent]:
                left.append(f"{reader.database}: {len(unsent)} outbox rows from {unsent[0].seq}")
            if timers := await conn.fetchval("SELECT count(*) FROM kit.timers"):
                left.append(f"{reader.database}: {timers} timers")
            rows = await conn.fetch(
                "SELECT topic, partition, next_offset FROM kit.consumer_offsets"
            )
        stands = {TopicPartition(r["topic"], r["partition"]): r["next_offset"] for r in rows}
        for tp, end in tail.next.items():
            if tp.topic in reader.topics and stands.get(tp, 0) < end:
                left.append(
                    f"{reader.database}: {tp.topic}[{tp.partition}] {stands.get(tp)} of {end}"
                )
    return left + _not_newest(tail, ground)


def _not_newest(tail: Tail, ground: Ground) -> list[str]:
    """Return the keys of compacted topics that an older state stands last of, in words."""
    evidence = Evidence(log=tuple(tail.records), readers=readers(ground))
    return [what for _, what in last_records_are_newest(evidence)]


async def collect(
    ground: Ground,
    marks: dict[str, Marks],
    notes: Notes,
    operations: list[Operation],
    unsettled: tuple[str, ...],
    settled: float,
) -> Evidence:
    """Return the evidence of a cycle that has come to rest."""
    books = await state.read(ground.access, marks)
    recoveries = [Recovery("stop", seconds) for seconds in notes.stops]
    if notes.recovers:
        recoveries.append(Recovery(notes.recovers, settled - notes.began))
    evidence = Evidence(
        operations=tuple(operations),
        log=tuple(ground.tail.records),
        injected=tuple(notes.injected),
        heard=tuple(books.heard),
        kept=tuple(books.kept),
        said=tuple(books.said),
        position_moves=tuple(books.position_moves),
        cursor_moves=tuple(books.cursor_moves),
        tables=tuple(books.tables),
        calls=tuple(call.key for call in ground.sink.calls),
        interruptions=notes.interruptions,
        frozen=tuple(notes.frozen),
        recoveries=tuple(recoveries),
        readers=readers(ground, notes.newer_types),
        newer_types=frozenset(notes.newer_types),
        unsettled=unsettled,
    )
    return await with_replays(ground, evidence)


async def with_replays(ground: Ground, evidence: Evidence) -> Evidence:
    """Return the evidence with what a replay of its log makes of each projection."""
    fresh: dict[tuple[str, str], dict[str, str]] = {}
    for reader in evidence.readers:
        made = await replayed(ground.access, reader, evidence, ground.tail.raw)
        fresh |= {(reader.database, name): rows for name, rows in made.items()}
    tables = tuple(
        Table(t.database, t.name, t.rows, fresh.get((t.database, t.name))) for t in evidence.tables
    )
    return dataclasses.replace(evidence, tables=tables)
