"""The kernel's promise as a few lines over a finished log: what is applied, kept and dropped.

It shares no code with the kernel, so that a mistake in one is not in the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from testkit.faults.words import LATER_POISON, is_poison
from testkit.history import Evidence, Logged, Reader

Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass(slots=True)
class Expected:
    """What a reader of the log must have done in the end."""

    applied: dict[str, list[Logged]] = field(default_factory=lambda: defaultdict(list))
    """Records by topic whose handler must have run, in each partition's order."""
    parked: dict[Place, str] = field(default_factory=dict)
    """Records that must be in quarantine, each with its state there."""


def place_of(record: Logged) -> Place:
    """Return where a record stands."""
    return record.topic, record.partition, record.offset


def expected_of(evidence: Evidence, reader: Reader) -> Expected:
    """Return what this reader must have made of the log, by the rules of each topic's kind."""
    bad = {(i.topic, i.partition, i.offset) for i in evidence.injected if i.expect == "kept"}
    old = {(i.topic, i.partition, i.offset) for i in evidence.injected if i.expect == "dropped"}
    known = {r.event_id for r in evidence.log if place_of(r) not in old}
    expected = Expected()
    for topic, kind in sorted(reader.topics.items()):
        records = sorted(
            (r for r in evidence.log if r.topic == topic), key=lambda r: (r.partition, r.offset)
        )
        fresh = [r for r in records if place_of(r) not in old or r.event_id in known]
        walk = (
            _walk_ingress(fresh, bad, reader)
            if kind == "ingress"
            else _walk(fresh, bad, kind, reader)
        )
        for record, state in walk:
            if state == "applied":
                expected.applied[topic].append(record)
            else:
                expected.parked[place_of(record)] = state
    return expected


def breaks(reader: Reader, record: Logged) -> bool:
    """Tell whether the reader's handler was built to break at this record."""
    data = record.data or {}
    if record.type == "match.accepted.v1":
        return is_poison(UUID(data["person_id"]), LATER_POISON)
    if reader.database != "matching":
        return False
    if record.type == "profile.changed.v1":
        return is_poison(UUID(hex=data["profile"]["unit_key"]))
    return record.type == "response.given.v1" and is_poison(UUID(data["person_id"]))


def _walk_ingress(
    records: Iterable[Logged], bad: set[Place], reader: Reader
) -> Iterator[tuple[Logged, str]]:
    """Yield each record that is judged on its own; the first good one of an id is applied."""
    seen: set[str | None] = set()
    for record in records:
        if place_of(record) in bad or breaks(reader, record):
            yield record, "quarantined"
        elif record.event_id not in seen:
            seen.add(record.event_id)
            yield record, "applied"


def _walk(
    records: Iterable[Logged], bad: set[Place], kind: str, reader: Reader
) -> Iterator[tuple[Logged, str]]:
    """Yield what is applied or kept: on state topics what rises, on fact topics what is next."""
    last: dict[str | None, int] = defaultdict(int)
    for record in records:
        sequence = record.sequence or 0
        if place_of(record) in bad:
            yield record, "quarantined"
            continue
        if sequence <= last[record.subject]:
            continue
        if kind == "fact" and sequence != last[record.subject] + 1:
            yield record, "parked"
            continue
        if breaks(reader, record):
            yield record, "quarantined"
            continue
        last[record.subject] = sequence
        if record.type in reader.types:
            yield record, "applied"
