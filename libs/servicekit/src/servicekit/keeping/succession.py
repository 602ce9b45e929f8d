"""What a subject of a fact topic may do next with what it has in quarantine: no I/O, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass

_FIRST = {"parked": 0, "quarantined": 1, "discarded": 2}
# Of several records of one sequence: apply one rather than wait, wait rather than pass over it.


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record of the subject that was not applied, and its state."""

    quarantine_id: int
    sequence: int
    state: str


@dataclass(frozen=True, slots=True)
class Advance:
    """Pass over a sequence: the discarded record that has it, or one whose place can't be read."""

    sequence: int
    quarantine_id: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """Apply these, in this order: their sequences follow each other."""

    quarantine_ids: tuple[int, ...]


Step = Advance | Run


def next_step(applied: int, waiting: Iterable[Waiting]) -> Step | None:
    """Return how the subject goes on after sequence `applied`; None where it has to wait.

    It never passes over a record that could still be applied.
    """
    ahead = sorted(
        (one for one in waiting if one.sequence > applied),
        key=lambda one: (one.sequence, _FIRST[one.state], one.quarantine_id),
    )
    if not ahead:
        return None
    first = ahead[0]
    if first.sequence > applied + 1:
        return Advance(applied + 1, None)
    if first.state == "discarded":
        return Advance(first.sequence, first.quarantine_id)
    run, last = [], applied
    for one in ahead:
        if one.state == "parked" and one.sequence == last + 1:
            run.append(one.quarantine_id)
            last = one.sequence
        elif one.sequence > last:
            break
    return Run(tuple(run)) if run else None
