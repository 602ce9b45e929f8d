"""The topics of the network: names, kinds, and which principal writes or reads each.

`deploy/kafka/topics.toml` says the same for brokers; a repository test holds the two equal.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_VALUE_BYTES = 1_000_000
"""Of one event's data: writers refuse to say more, readers put more into quarantine."""
INSTITUTION_ID = r"[a-z0-9][a-z0-9-]{2,39}"
RESERVED_WORDS = frozenset(
    {
        "admin", "broker", "consortium", "downstream", "egress", "ingress", "institution", "kit",
        "matching", "nobody", "notification", "operator", "profile", "scheduling",
    }
)  # fmt: skip
"""Ids that would read as a service, a principal or a topic word; no institution may take one."""


class Kind(StrEnum):
    """How a topic keeps and counts its records."""

    INGRESS = "ingress"  # a center's own commands; sequence = the center's version, gaps allowed
    STATE = "state"  # whole current state per key; compacted; the greater sequence wins
    FACT = "fact"  # what happened; sequence dense per subject
    EGRESS = "egress"  # what the network says to one center; dense per subject


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, or one template with `{institution}` in its name."""

    name: str
    kind: Kind
    writers: frozenset[str]
    readers: frozenset[str]

    @property
    def is_template(self) -> bool:
        """Whether the name stands for one topic per institution."""
        return "{institution}" in self.name

    def named(self, institution_id: str | None = None) -> str:
        """Return the topic's name on the broker.

        Raises:
            ValueError: the topic is a template and no institution was given, or the reverse.
        """
        if self.is_template != (institution_id is not None):
            raise ValueError(f"{self.name}: an institution is needed for templates, and only there")

        return self.name.replace("{institution}", institution_id or "")

    @property
    def pattern(self) -> str:
        """A regular expression that matches exactly this topic's names."""
        quoted = re.escape(self.name).replace(re.escape("{institution}"), f"({INSTITUTION_ID})")
        return f"^{quoted}$"

    def institution_in(self, name: str) -> str | None:
        """Return the institution a broker topic belongs to; None where it is no template."""
        match = re.fullmatch(self.pattern, name)
        return match.group(1) if match and self.is_template else None


def _topic(name: str, kind: Kind, write: str, read: str) -> Topic:
    return Topic(name, kind, frozenset(write.split()), frozenset(read.split()))


_I, _S, _F, _E = Kind.INGRESS, Kind.STATE, Kind.FACT, Kind.EGRESS
_PUBLIC = "profile matching scheduling notification downstream"

INGRESS_PROFILE = _topic("ingress.{institution}.profile", _I, "institution", "profile")
INGRESS_RESPONSE = _topic("ingress.{institution}.response", _I, "institution", "matching")
EGRESS_RECEIPT = _topic("egress.{institution}.receipt", _E, "profile matching", "institution")
EGRESS_MATCH = _topic("egress.{institution}.match", _E, "notification", "institution")
PROFILE_INSTITUTION = _topic("profile.institution", _S, "profile", _PUBLIC)
PROFILE_PROGRAMME = _topic("profile.programme", _S, "profile", _PUBLIC)
PROFILE_PROFILE = _topic(
    "profile.profile", _S, "profile", "profile matching scheduling notification"
)
PROFILE_SURVIVOR = _topic("profile.survivor", _S, "profile", "profile matching")
PROFILE_CONTACT = _topic("profile.contact", _S, "profile", "profile notification")
PROFILE_KEY = _topic("profile.key", _S, "profile", "profile matching notification")
MATCHING_MATCH = _topic("matching.match", _F, "matching", "scheduling notification downstream")
SCHEDULING_AVAILABILITY = _topic("scheduling.availability", _S, "scheduling", "scheduling matching")
SCHEDULING_SESSION = _topic("scheduling.session", _F, "scheduling", "notification downstream")
SCHEDULING_LINK = _topic("scheduling.link", _F, "scheduling", "notification")
NOTIFICATION_DELIVERY = _topic(
    "notification.delivery", _F, "notification", "notification downstream"
)

TOPICS: tuple[Topic, ...] = (
    INGRESS_PROFILE,
    INGRESS_RESPONSE,
    EGRESS_RECEIPT,
    EGRESS_MATCH,
    PROFILE_INSTITUTION,
    PROFILE_PROGRAMME,
    PROFILE_PROFILE,
    PROFILE_SURVIVOR,
    PROFILE_CONTACT,
    PROFILE_KEY,
    MATCHING_MATCH,
    SCHEDULING_AVAILABILITY,
    SCHEDULING_SESSION,
    SCHEDULING_LINK,
    NOTIFICATION_DELIVERY,
)


def topic_of(name: str) -> Topic | None:
    """Return the topic a broker name belongs to, templates included; None where there is none."""
    for topic in TOPICS:
        if topic.name == name or topic.institution_in(name):
            return topic
    return None
