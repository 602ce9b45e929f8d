"""The judges are judged: a kernel with one mistake is found out, each mistake by its invariant."""

import pytest

from testkit.faults.cycle import Fault, no_fault, run_cycle
from testkit.faults.draw import Size
from testkit.faults.ground import Ground
from testkit.faults.harm import at
from testkit.faults.mutations import MUTATIONS

_CASES: dict[str, tuple[Fault, set[int]]] = {
    "offset before the work": (at("slice.applied", "kill"), {1, 2}),
    "outbox outside the transaction": (at("slice.moved", "raise"), {1, 4}),
    "cursor before the acks": (at("relay.page_read", "kill"), {1, 6}),
    "no inbox": (no_fault, {1, 2}),
    "sequence without the lock": (no_fault, {3}),
}
_CYCLES = 3
TIME = 12  # a busy machine is no fault of the kernel


@pytest.mark.asyncio(loop_scope="session")
async def test_the_kernel_without_a_mistake_passes_the_same_cycles(clean: Ground) -> None:
    await clean.start({"matching": 1}, {})

    for seed, name in enumerate(("offset before the work", "cursor before the acks"), start=100):
        fault, _ = _CASES[name]
        result = await run_cycle(clean, seed, fault, size=Size(people=0), patience_seconds=10)
        assert [v for v in result.violations if v.invariant != TIME] == []


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_a_kernel_with_one_mistake_is_caught(clean: Ground, mutation: str) -> None:
    fault, invariants = _CASES[mutation]
    await clean.start({"matching": 1}, {"FAULTS_MUTATION": mutation})

    found: set[int] = set()
    first = 10 * list(MUTATIONS).index(mutation)  # a seed brings its own subjects: once each
    for seed in range(first, first + _CYCLES):
        result = await run_cycle(clean, seed, fault, size=Size(people=0), patience_seconds=4)
        found |= {violation.invariant for violation in result.violations}
        if found & invariants:
            break

    assert found & invariants, f"{mutation} went unnoticed for {_CYCLES} cycles"
