"""Judges over one cycle's evidence: each returns where an invariant of the design does not hold.

The numbers are those of the design's list. No I/O, no clock.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from testkit.folds import folds
from testkit.history import Evidence, Logged, Operation, Reader, Said, Violation
from testkit.model import Expected, expected_of

LIMITS_SECONDS = {"service": 15.0, "kafka": 30.0, "postgres": 30.0, "stop": 10.0}
_LEADS_TO = {
    "submit": "profile.changed.v1",
    "withdraw": "profile.deleted.v1",
    "accept": "match.accepted.v1",
    "decline": "match.declined.v1",
}
_SCHEMA_REASONS = frozenset({"bad_data", "unknown_type", "bad_envelope"})
_SHOWN = 5

Findings = Iterator[tuple[int, str]]


def judge(evidence: Evidence) -> list[Violation]:
    """Return every violation, at most five of each kind from each judge."""
    found: list[Violation] = []
    for one in JUDGES:
        shown: Counter[int] = Counter()
        for invariant, what in one(evidence):
            shown[invariant] += 1
            if shown[invariant] <= _SHOWN:
                found.append(Violation(invariant, what))
    return found


def every_answer_is_kept(evidence: Evidence) -> Findings:
    """1: what was answered yes has its event; what was answered no has none."""
    led_to: dict[tuple[str | None, str | None], set[str | None]] = defaultdict(set)
    for record in evidence.log:
        led_to[record.causationid, record.type].add(record.event_id)
    for operation in evidence.operations:
        events = led_to[operation.id, _LEADS_TO[operation.what]]
        may = _may_lead_to(operation)
        if len(events) not in may:
            yield (
                1,
                f"{operation.what} {operation.id} by {operation.door} was answered "
                f"{operation.outcome} and led to {len(events)} events instead of {may}",
            )


def _may_lead_to(operation: Operation) -> tuple[int, ...]:
    if operation.poison or (operation.outcome == "failed"):
        return (0,)
    if operation.what == "withdraw":
        return 0, 1  # there may have been nobody any more
    return (1,) if operation.outcome == "ok" else (0, 1)


def each_record_counts_once(evidence: Evidence) -> Findings:
    """2: applied or kept, exactly once a group; nothing else was applied."""
    for reader in evidence.readers:
        heard = Counter(
            (h.topic, h.event_id) for h in evidence.heard if h.database == reader.database
        )
        must = _must_apply(evidence, reader)
        may = must.keys() | _posted(evidence, reader).keys()
        for key, times in heard.items():
            if times > 1:
                yield 2, f"{reader.database} applied {key[0]} {key[1]} {times} times"
            elif key not in may:
                yield 2, f"{reader.database} applied {key[0]} {key[1]}, which it should not"
        for key, told in must.items():
            if key not in heard:
                yield 2, f"{reader.database} never applied {told}"


def _must_apply(evidence: Evidence, reader: Reader) -> dict[tuple[str, str], str]:
    """Return what the reader must have applied, each with words for it."""
    expected = expected_of(evidence, reader).applied
    must = {
        (topic, str(record.event_id)): _told(record)
        for topic, records in expected.items()
        for record in records
        if record.type not in evidence.newer_types
    }
    posted = _posted(evidence, reader).items()
    return must | {key: f"{key[1]}, posted to {key[0]}" for key, surely in posted if surely}


def _posted(evidence: Evidence, reader: Reader) -> dict[tuple[str, str], bool]:
    """Return what no log or not every replica knows, and whether it must have been applied."""
    posted = {
        (one.topic, one.id): one.outcome == "ok"
        for one in evidence.operations
        if one.topic in reader.topics and one.door != "kafka" and not one.poison
    }
    newer = {
        (record.topic, str(record.event_id)): False
        for record in evidence.log
        if record.type in evidence.newer_types
    }
    return posted | newer


def poison_parks_its_subject_alone(evidence: Evidence) -> Findings:
    """8: bad records and what follows of their subject are kept, bytes and all; nothing else."""
    digests = {(r.topic, r.partition, r.offset): r.digest for r in evidence.log}
    for reader in evidence.readers:
        parked = expected_of(evidence, reader).parked
        kept = {
            (k.topic, k.partition, k.offset): k
            for k in evidence.kept
            if k.database == reader.database
        }
        for place, state in parked.items():
            if place not in kept:
                yield 8, f"{reader.database} lost the bad record {place}"
            elif kept[place].state != state:
                yield 8, f"{reader.database} has {place} as {kept[place].state}, not {state}"
            elif kept[place].digest != digests[place]:
                yield 8, f"{reader.database} keeps other bytes of {place}"
        for place, item in kept.items():
            if place not in parked:
                number = 11 if item.reason_class in _SCHEMA_REASONS and evidence.newer_types else 8
                yield number, f"{reader.database} parked {place}: {item.reason_class}"


def sequences_hold(evidence: Evidence) -> Findings:
    """3: counts are dense where said; where applied they are 1..n on facts and rise on states."""
    said: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row in evidence.said:
        said[row.database, row.topic, row.subject].append(row.sequence)
    for (database, topic, subject), numbers in said.items():
        # A command of an earlier cycle that comes again is answered again, and counted on.
        first = min(numbers) if topic.startswith("egress.") else 1
        if sorted(numbers) != list(range(first, first + len(numbers))):
            yield 3, f"{database} counted {subject} on {topic} as {sorted(numbers)}"
    for reader in evidence.readers:
        expected = expected_of(evidence, reader)
        for key, numbers in _heard_of(evidence, reader).items():
            if any(after <= before for before, after in pairwise(numbers)):
                yield 3, f"{reader.database} applied {key} in the order {numbers}"
            elif gaps := _wanted(evidence, expected, *key) - set(numbers):
                yield 3, f"{reader.database} applied {key} without {sorted(gaps)}: {numbers}"


def _heard_of(evidence: Evidence, reader: Reader) -> dict[tuple[str, str], list[int]]:
    """Return the sequences applied of each (topic, subject) of the network, in that order."""
    heard: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in sorted(evidence.heard, key=lambda h: h.nth):
        if one.database == reader.database and reader.topics.get(one.topic) != "ingress":
            heard[one.topic, one.subject].append(one.sequence or 0)
    return heard


def _wanted(evidence: Evidence, expected: Expected, topic: str, subject: str) -> set[int]:
    return {
        record.sequence or 0
        for record in expected.applied[topic]
        if record.subject == subject and record.type not in evidence.newer_types
    }


def tables_equal_their_folds(evidence: Evidence) -> Findings:
    """4: projections equal a replay, and a model of it; aggregates the fold of their own facts."""
    for table in evidence.tables:
        if table.replayed is not None:
            yield from _differences(table.database, table.name, table.rows, table.replayed)
    for (database, name), wanted in folds(evidence).items():
        yield from _differences(database, name, evidence.table(database, name), wanted)


def _differences(database: str, name: str, rows: object, wanted: object) -> Findings:
    assert isinstance(rows, dict)
    assert isinstance(wanted, dict)
    for key in sorted(rows.keys() | wanted.keys()):
        if rows.get(key) != wanted.get(key):
            yield 4, f"{database}.{name} has {key}: {rows.get(key)}, not {wanted.get(key)}"


def events_and_changes_go_together(evidence: Evidence) -> Findings:
    """5: no event in Kafka that no committed outbox has; what is said twice has one id."""
    said = {(row.database, row.event_id) for row in evidence.said}
    bad = {(i.topic, i.partition, i.offset) for i in evidence.injected}
    for record in evidence.log:
        source = (record.source or "").removeprefix("/services/")
        own = record.source is not None and source != record.source
        if not own or (record.topic, record.partition, record.offset) in bad:
            continue
        if (source, str(record.event_id)) not in said:
            yield 5, f"{_told(record)} was sent and its transaction never committed"


def relays_pass_nothing(evidence: Evidence) -> Findings:
    """6: every outbox row is in Kafka, first copies in order; epochs never go back."""
    first: dict[str, tuple[int, int]] = {}
    for record in evidence.log:
        first.setdefault(str(record.event_id), (record.partition, record.offset))
    last: dict[tuple[str, str], tuple[int, tuple[int, int]]] = {}
    for row in sorted(evidence.said, key=lambda one: (one.topic, one.subject, one.sequence)):
        if row.event_id not in first:
            yield 6, f"{_row(row)} was passed over by the relay"
            continue
        place = first[row.event_id]
        before = last.get((row.topic, row.subject))
        if before is not None and before[1] > place:
            yield 6, f"{_row(row)} stands in Kafka before sequence {before[0]} of its subject"
        last[row.topic, row.subject] = (row.sequence, place)
    epochs: dict[str, int] = defaultdict(int)
    for move in evidence.cursor_moves:
        if move.epoch_after < epochs[move.database]:
            yield 6, f"an old epoch ({move.epoch_after}) moved the cursor of {move.database}"
        epochs[move.database] = max(epochs[move.database], move.epoch_after)


def frozen_processes_change_nothing(evidence: Evidence) -> Findings:
    """7: after the partitions were taken over, what wakes up applies nothing of what was applied."""
    position: dict[tuple[str, str, str, int], int] = {}
    for move in evidence.position_moves:
        key = move.database, move.consumer, move.topic, move.partition
        if move.after < move.before or position.get(key, move.before) != move.before:
            yield 7, f"{key} went from {move.before} to {move.after}"
        position[key] = move.after
    for frozen in evidence.frozen:
        late = {
            (h.database, h.topic, h.event_id)
            for h in evidence.heard
            if h.process == frozen.process and h.at > frozen.until
        }
        for one in evidence.heard:
            if one.process != frozen.process and (one.database, one.topic, one.event_id) in late:
                yield 7, f"{frozen.process} applied {one.event_id} as {one.process} did"


def recovery_is_quick(evidence: Evidence) -> Findings:
    """12: service 15 s, broker 30 s, database 30 s."""
    for recovery in evidence.recoveries:
        if recovery.seconds > LIMITS_SECONDS[recovery.what]:
            yield 12, f"{recovery.what} took {recovery.seconds:.1f} s to recover"
    for what in evidence.unsettled:
        yield 12, f"not done in time: {what}"


def messages_go_out(evidence: Evidence) -> Findings:
    """15: each message went out; repetitions have the same key, at most one an interruption."""
    calls = Counter(evidence.calls)
    booked = {row.subject for row in evidence.said if row.type == "session.booked.v1"}
    if "notification" not in {reader.database for reader in evidence.readers}:
        return
    for session_id in booked - calls.keys():
        yield 15, f"the message of session {session_id} was lost"
    for key, times in calls.items():
        if key not in booked:
            yield 15, f"a message went out for {key}, which nobody booked"
        if times > 1 + evidence.interruptions:
            yield 15, f"{key} went out {times} times at {evidence.interruptions} interruptions"


def last_records_are_newest(evidence: Evidence) -> Findings:
    """16: the last record of every key of a compacted topic has its highest sequence."""
    states = {t for r in evidence.readers for t, kind in r.topics.items() if kind == "state"}
    highest: dict[tuple[str, str | None], int] = defaultdict(int)
    last: dict[tuple[str, str | None], int] = {}
    for record in sorted(evidence.log, key=lambda r: (r.topic, r.partition, r.offset)):
        if record.topic in states and record.sequence is not None:
            key = record.topic, record.subject
            highest[key] = max(highest[key], record.sequence)
            last[key] = record.sequence
    for key, sequence in last.items():
        if sequence != highest[key]:
            yield 16, f"{key} ends with sequence {sequence} below {highest[key]}"


def _told(record: Logged) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset} ({record.type}, {record.event_id})"


def _row(row: Said) -> str:
    return f"{row.database} outbox {row.seq} ({row.topic} {row.subject} #{row.sequence})"


JUDGES: tuple[Callable[[Evidence], Findings], ...] = (
    every_answer_is_kept,
    each_record_counts_once,
    sequences_hold,
    tables_equal_their_folds,
    events_and_changes_go_together,
    relays_pass_nothing,
    frozen_processes_change_nothing,
    poison_parks_its_subject_alone,
    recovery_is_quick,
    messages_go_out,
    last_records_are_newest,
)
