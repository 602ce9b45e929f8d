"""The rows of the work queue that matching sets: what a fact sets off, and when it is looked at."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from servicekit.tx import Tx

PROPOSE = "propose"
PROPOSE_WAITING = "propose_waiting"
RECHECK = "recheck"
ADVANCE = "advance"

PERSON, INSTITUTION, PROGRAMME = "person", "institution", "programme"
"""Whose open matches a `recheck` is about."""

COALESCING = timedelta(milliseconds=200)
"""Changes of a programme's mentors within this time are looked at together."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def schedule_proposal(tx: Tx, programme_id: str, mentee_id: UUID) -> None:
    """Have a mentor looked for now, should the mentee still want one then."""
    await tx.schedule(PROPOSE, f"{programme_id}:{mentee_id}", tx.now)


def proposal_of(key: str) -> tuple[str, UUID]:
    """Return the programme and the mentee of a `propose` row."""
    programme_id, _, mentee_id = key.partition(":")
    return programme_id, UUID(mentee_id)


async def schedule_waiting(tx: Tx, programme_ids: Iterable[str]) -> None:
    """Have every waiting mentee of these programmes looked at soon.

    The key names the slice of time as well: one timer per programme that each change moves on
    would never come due under a steady stream of changes.
    """
    ends = (tx.now - _EPOCH) // COALESCING + 1
    for programme_id in sorted(set(programme_ids)):
        await tx.schedule(PROPOSE_WAITING, f"{programme_id}@{ends}", _EPOCH + ends * COALESCING)


def waiting_of(key: str) -> str:
    """Return the programme of a `propose_waiting` row."""
    return key.partition("@")[0]


async def schedule_recheck(tx: Tx, kind: str, subject: object) -> None:
    """Have the open matches of a person, an institution or a programme judged again now."""
    await tx.schedule(RECHECK, f"{kind}:{subject}", tx.now)


def recheck_of(key: str) -> tuple[str, str]:
    """Return the kind and the id of what a `recheck` row is about."""
    kind, _, subject = key.partition(":")
    return kind, subject


async def schedule_advance(tx: Tx, match_id: UUID, due_at: datetime | None) -> None:
    """Have a match looked at when time changes something again; None: it is settled.

    The timer of a settled match is left to come due and find nothing: a job that took its own
    timer away would be taken for one that somebody else has done.
    """
    if due_at is not None:
        await tx.schedule(ADVANCE, str(match_id), due_at)
