"""Checks of what the centers sent: rows and answers."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from oncomentor_cli.demo.cast import Fault
from oncomentor_cli.demo.world import World
from oncomentor_client.publisher import RowOutcome, RowResult

_TAKEN: Final = frozenset({RowOutcome.ACCEPTED, RowOutcome.UNCHANGED})


def invalid_failures(world: World) -> Iterator[str]:
    """Yield differences between the rows that are wrong on purpose and those found at home."""
    return _fault_failures(world, RowOutcome.INVALID)


def rejected_failures(world: World) -> Iterator[str]:
    """Yield differences between the rows that the hub had to reject and those it did."""
    return _fault_failures(world, RowOutcome.REJECTED)


def _fault_failures(world: World, outcome: RowOutcome) -> Iterator[str]:
    by_hub = outcome is RowOutcome.REJECTED
    for file in world.files:
        planned = {row: f for row, f in file.faults.items() if f.found_by_hub is by_hub}
        found = {one.row: one for one in world.results[file.center.id] if one.outcome is outcome}
        for row in sorted(planned.keys() | found.keys()):
            yield from _compared(f"{file.path.name}:{row}", planned.get(row), found.get(row))


def _compared(where: str, planned: Fault | None, found: RowResult | None) -> Iterator[str]:
    if found is None:
        assert planned is not None  # noqa: S101 - one of the two is there
        yield f"{where} {planned.field} {planned.rule} was not found"
        return
    told = Counter((one.field, one.rule) for one in found.problems)
    if planned is None:
        yield f"{where} is right, and was told {dict(told)}"
    elif (planned.field, planned.rule) not in told:
        yield f"{where} should have been told {planned.field} {planned.rule}, was told {dict(told)}"


def row_failures(world: World) -> Iterator[str]:
    """Yield right rows that were not taken in."""
    for file in world.files:
        results = {one.local_id: one for one in world.results[file.center.id]}
        for person in file.good:
            result = results.get(person.local_id)
            if result is None or result.outcome not in _TAKEN:
                outcome = "not in the results" if result is None else result.outcome.value
                yield f"{file.path.name} {person.local_id}: {outcome}"


def answer_failures(world: World) -> Iterator[str]:
    """Yield the centers' answers that the network refused."""
    for agent in world.agents:
        for one in agent.refused:
            told = "; ".join(f"{p.field} {p.rule}: {p.message}" for p in one.problems)
            yield f"{agent.center.id} {one.event_id}: {told}"


def repetition_failures(world: World) -> Iterator[str]:
    """Yield what there is more of after a run that had nothing new to say."""
    if not world.is_repetition():
        return
    after = world.counts()
    for name, number in world.before.items():
        if after[name] != number:
            yield f"{name}: {number} before, {after[name]} after"
