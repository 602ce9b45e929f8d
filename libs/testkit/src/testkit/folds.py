"""What every table must hold, folded from the finished log alone, without a database."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from testkit.faults.words import chained
from testkit.history import Evidence, Logged, Reader
from testkit.model import expected_of

Tables = dict[tuple[str, str], dict[str, str]]
_CHAINED = {"match.proposed.v1", "match.accepted.v1"}
_LOGGED = {*_CHAINED, "match.declined.v1"}


def folds(evidence: Evidence) -> Tables:
    """Return the rows, key to value as text, of every table of the services that ran."""
    readers = {reader.database: reader for reader in evidence.readers}
    own = list(_first_copies(evidence))
    makers: dict[str, Callable[[Reader], dict[str, dict[str, str]]]] = {
        "profile": lambda _: {"members": _members(own)},
        "matching": lambda reader: {
            "people": _people(_applied(evidence, reader, "profile.profile")),
            "hours": _hours(_applied(evidence, reader, "scheduling.availability")),
            "matches": _chains(own, _CHAINED),
            "declines": _marks(own, "match.declined.v1"),
        },
        "scheduling": lambda reader: {
            "people": _people(_applied(evidence, reader, "profile.profile")),
            "match_logs": _chains(_applied(evidence, reader, "matching.match"), _LOGGED),
            "pledges": _hours([r for r in own if r.topic == "scheduling.availability"]),
            "links": _links(own),
            "sessions": {
                str(r.subject): str((r.data or {})["match_id"])
                for r in own
                if r.type == "session.booked.v1"
            },
        },
        "notification": lambda reader: {
            "match_logs": _chains(_applied(evidence, reader, "matching.match"), _LOGGED),
            "links": _links(_applied(evidence, reader, "scheduling.link")),
            "deliveries": {str(r.subject): "1" for r in own if r.type == "delivery.sent.v1"},
        },
    }
    return {
        (database, name): rows
        for database, reader in readers.items()
        for name, rows in makers[database](reader).items()
    }


def _applied(evidence: Evidence, reader: Reader, topic: str) -> list[Logged]:
    return expected_of(evidence, reader).applied[topic]


def _first_copies(evidence: Evidence) -> Iterator[Logged]:
    """Yield what services said themselves, once each, every subject in its order."""
    injected = {(i.topic, i.partition, i.offset) for i in evidence.injected}
    seen: set[tuple[str, str | None, int | None]] = set()
    for record in sorted(evidence.log, key=lambda r: (r.topic, r.subject or "", r.sequence or 0)):
        key = record.topic, record.subject, record.sequence
        if (record.topic, record.partition, record.offset) in injected or key in seen:
            continue
        seen.add(key)
        yield record


def _members(records: Iterable[Logged]) -> dict[str, str]:
    return _people(r for r in records if r.topic == "profile.profile")


def _people(records: Iterable[Logged]) -> dict[str, str]:
    rows: dict[str, str] = {}
    for record in records:
        rows.pop(str(record.subject), None)
        if record.data is not None:
            profile = record.data["profile"]
            rows[str(record.subject)] = f"{record.data['version']} {profile['unit_key']}"
    return rows


def _hours(records: Iterable[Logged]) -> dict[str, str]:
    rows: dict[str, str] = {}
    for record in records:
        rows.pop(str(record.subject), None)
        if record.data is not None:
            rows[str(record.subject)] = str(record.data["minutes_left_month"])
    return rows


def _chains(records: Iterable[Logged], types: set[str]) -> dict[str, str]:
    chains: dict[str, str] = defaultdict(str)
    facts: dict[str, int] = defaultdict(int)
    for record in records:
        if record.type not in types:
            continue
        match_id, data = str(record.subject), record.data or {}
        last = data["mentor"]["profile_version"] if "mentor" in data else data["person_id"]
        chains[match_id] = chained(chains[match_id], record.type, last)
        facts[match_id] += 1
    return {match_id: f"{facts[match_id]} {chain}" for match_id, chain in chains.items()}


def _marks(records: Iterable[Logged], wanted: str) -> dict[str, str]:
    found: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.type == wanted:
            found[str(record.subject)].append(str((record.data or {})["person_id"]))
    return {subject: " ".join(sorted(marks)) for subject, marks in found.items()}


def _links(records: Iterable[Logged]) -> dict[str, str]:
    found: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.type == "link.issued.v1":
            found[str(record.subject)].append(str((record.data or {})["url"]).rpartition("/")[2])
    return {subject: " ".join(sorted(marks)) for subject, marks in found.items()}
