"""The topics and who may do what on them, read from `deploy/kafka/topics.toml`."""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTITUTION = "institution"
DOWNSTREAM = "downstream"
_TEMPLATE = "{institution}"
_DAY_MS = 24 * 60 * 60 * 1000

# Values may reach our consumers that are larger than the contracts allow: they are refused there,
# kept in quarantine and answered, instead of being lost at the sender.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

_KIND_CONFIG: dict[str, dict[str, str]] = {
    "ingress": {
        "cleanup.policy": "delete",
        "retention.ms": str(7 * _DAY_MS),
        # The broker unpacks what a center compressed and checks its size again, so a few
        # kilobytes can't become gigabytes in the service that reads them.
        "compression.type": "uncompressed",
    },
    "egress": {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY_MS)},
    "fact": {"cleanup.policy": "delete", "retention.ms": "-1"},
    "state": {
        "cleanup.policy": "compact",
        # Compaction touches closed segments only. Without small, short-lived segments an erased
        # person's last state would stay in the open one for a week.
        "segment.bytes": str(16 * 1024 * 1024),
        "segment.ms": str(_DAY_MS),
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": str(_DAY_MS),
        # How long a reader may be away and still see every deletion.
        "delete.retention.ms": str(7 * _DAY_MS),
    },
}


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, or a template of which every institution has its own."""

    name: str
    kind: str
    partitions: int
    replication: int
    writers: tuple[str, ...]
    readers: tuple[str, ...]

    @property
    def is_template(self) -> bool:
        """Whether there is one per institution."""
        return _TEMPLATE in self.name

    @property
    def config(self) -> dict[str, str]:
        """What the topic's kind means to a broker."""
        return {**_KIND_CONFIG[self.kind], "max.message.bytes": str(MAX_MESSAGE_BYTES)}

    def of(self, institution_id: str) -> "Topic":
        """Return the institution's own topic, its rights given to the institution's principal."""

        def named(principals: Iterable[str]) -> tuple[str, ...]:
            own = institution_user(institution_id)
            return tuple(own if name == INSTITUTION else name for name in principals)

        name = self.name.replace(_TEMPLATE, institution_id)
        return Topic(
            name,
            self.kind,
            self.partitions,
            self.replication,
            named(self.writers),
            named(self.readers),
        )


def read_topics(path: Path) -> tuple[Topic, ...]:
    """Return the topics of the file, in its order, templates as templates."""
    content = tomllib.loads(path.read_text())
    return tuple(_topic(entry, content["defaults"]) for entry in content["topic"])


def topics_for(topics: Iterable[Topic], institution_ids: Iterable[str]) -> Iterator[Topic]:
    """Yield the topics that exist once these institutions are there."""
    ids = tuple(institution_ids)
    for topic in topics:
        if topic.is_template:
            yield from (topic.of(institution_id) for institution_id in ids)
        else:
            yield topic


def institution_user(institution_id: str) -> str:
    """Return the Kafka user of a member center."""
    return f"inst-{institution_id}"


def is_institution(user: str) -> bool:
    """Whether this is the Kafka user of a member center."""
    return user.startswith("inst-")


def group_prefix(user: str) -> str:
    """Return what the names of a user's consumer groups begin with."""
    return f"{user.removeprefix('inst-')}."


def _topic(entry: dict[str, Any], defaults: dict[str, Any]) -> Topic:
    return Topic(
        name=entry["name"],
        kind=entry["kind"],
        partitions=entry.get("partitions", defaults["partitions"]),
        replication=entry.get("replication", defaults["replication"]),
        writers=tuple(entry["write"]),
        readers=tuple(entry["read"]),
    )
