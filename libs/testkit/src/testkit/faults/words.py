"""What the load and the test services agree on: ids that say what is to become of them."""

import hashlib
from uuid import UUID

from oncomentor_contracts.identifiers import derived_id

POISON, LATER_POISON = 0xDEAD, 0xBEEF
"""The last 16 bits of a mark at which matching's handlers break, or those of the fact's readers."""
BUCKETS = 4
"""Subjects of each kind that many marks of a cycle share, so that lanes meet in them."""


def mark_of(cycle: int, nth: int, *, ending: int | None = None) -> UUID:
    """Return the nth mark of a cycle: it goes in with a command and comes out in a fact."""
    middle = derived_id("mark", str(cycle), str(nth)).int >> 48 & (1 << 80) - 1
    return UUID(int=cycle << 96 | middle << 16 | (nth % LATER_POISON if ending is None else ending))


def cycle_of(mark: UUID) -> int:
    """Return the cycle that a mark was made in."""
    return mark.int >> 96


def is_poison(mark: UUID, ending: int = POISON) -> bool:
    """Tell whether handlers are to break at this mark."""
    return mark.int & 0xFFFF == ending


def match_of(person_id: UUID) -> UUID:
    """Return the match that is proposed for a person."""
    return derived_id("match", str(person_id))


def session_of(mark: UUID) -> UUID:
    """Return the session that an accepted mark leads to."""
    return derived_id("session", str(mark))


def pledger_of(match_id: UUID) -> UUID:
    """Return the person whose pledge a match draws on."""
    return derived_id("pledger", str(match_id))


def bucket_of(kind: str, mark: UUID) -> UUID:
    """Return the subject of a kind that this mark shares with others of its cycle."""
    return derived_id("bucket", kind, str(cycle_of(mark)), str(mark.int % BUCKETS))


def chained(chain: str, *parts: object) -> str:
    """Return the chain that follows when these parts are added."""
    return hashlib.sha256("\x1f".join((chain, *map(str, parts))).encode()).hexdigest()
