"""What the network decides about a center's people and the programmes they join."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CONSORTIUM: Final = "consortium"
"""The owner of programmes that no one center owns."""


class Refused(StrEnum):
    """Why a center's event about a person cannot be taken; the value is the rule's name."""

    FOREIGN = "foreign_person"
    STALE = "stale_version"
    UNKNOWN = "unknown_person"


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """A person id: the center it belongs to and the counters that outlive the person's data.

    `version` counts accepted changes, 0 before the first. `sequence` is the greatest that the
    center sent with an accepted event, None where it counts none.
    """

    institution_id: str
    version: int
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Content:
    """What a center says of a person, as digests: equal digests, equal content."""

    profile: bytes
    contact: bytes
    survivor: bytes | None


class SurvivorStep(StrEnum):
    """What a submission does to a person's survivor block."""

    KEPT = "kept"
    SET = "set"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """What a submission changes; `version` is the person's next."""

    version: int
    contact: bool
    survivor: SurvivorStep


@dataclass(frozen=True, slots=True)
class Offer:
    """A programme as far as joining it goes; `participants` None means every member."""

    active: bool
    participants: frozenset[str] | None

    def is_open_to(self, institution_id: str) -> bool:
        """Whether the center's people can join it now."""
        return self.active and self.admits(institution_id)

    def admits(self, institution_id: str) -> bool:
        """Whether the center takes part in it, active or not."""
        return self.participants is None or institution_id in self.participants


class RoleRule(StrEnum):
    """What a role of a person can break."""

    UNKNOWN = "unknown_programme"
    CLOSED = "inactive_programme"
    NOT_OPEN = "programme_not_open"


def refusal(pseudonym: Pseudonym, institution_id: str, sequence: int | None) -> Refused | None:
    """Return why this center's event about this person cannot be taken, None where it can.

    A lower sequence than the last is an older word that came late. An equal one is taken: a
    center that does not count says the same number each time.
    """
    if pseudonym.institution_id != institution_id:
        return Refused.FOREIGN
    return Refused.STALE if is_stale(sequence, pseudonym.sequence) else None


def is_stale(sequence: int | None, last: int | None) -> bool:
    """Tell whether a sequence is lower than the last one; one that is not counted never is."""
    return sequence is not None and last is not None and sequence < last


def latest(sequence: int | None, last: int | None) -> int | None:
    """Return the greater sequence, or the only one there is."""
    return max((s for s in (sequence, last) if s is not None), default=None)


def change(pseudonym: Pseudonym, held: Content | None, said: Content) -> Change | None:
    """Return what the submission changes, None where it says what is held already.

    `held` is None for a person the network does not hold, whether never or no longer.
    """
    if held == said:
        return None
    return Change(
        version=pseudonym.version + 1,
        contact=held is None or held.contact != said.contact,
        survivor=_survivor_step(held.survivor if held else None, said.survivor),
    )


def broken_role_rules(
    programme_ids: Sequence[str], offers: Mapping[str, Offer], institution_id: str
) -> list[tuple[int, RoleRule]]:
    """Return (position, rule) of each programme that a center's person cannot join."""
    found = ((i, _role_rule(offers.get(p), institution_id)) for i, p in enumerate(programme_ids))
    return [(position, rule) for position, rule in found if rule is not None]


def joinable(offers: Mapping[str, Offer], institution_id: str) -> tuple[str, ...]:
    """Return the programmes that a center's people can join, sorted."""
    return tuple(sorted(p for p, offer in offers.items() if offer.is_open_to(institution_id)))


def _role_rule(offer: Offer | None, institution_id: str) -> RoleRule | None:
    if offer is None:
        return RoleRule.UNKNOWN
    if not offer.admits(institution_id):
        return RoleRule.NOT_OPEN
    return None if offer.active else RoleRule.CLOSED


def _survivor_step(held: bytes | None, said: bytes | None) -> SurvivorStep:
    if held == said:
        return SurvivorStep.KEPT
    return SurvivorStep.SET if said is not None else SurvivorStep.REMOVED
