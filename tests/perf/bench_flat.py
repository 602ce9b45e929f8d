"""Whether an event costs the same when there are many, and when they lie in one partition."""

from bench_consume import EVENTS, SCRIPT, TABLES, TOPIC, profiles, take_seed
from frame import Goal, Pair, bench
from surroundings import (
    PARTITIONS,
    Drain,
    Message,
    Surroundings,
    by_partition,
    drained,
    offsets_since,
    resident_bytes,
)

LONG = 1_000_000
SHORT = 10_000
_STEP = 100_000


async def consumed(around: Surroundings, steps: list[int], *, skip: int = 0) -> list[Drain]:
    """Let the kernel drain what waits in steps that end at these counts; return each step.

    The first `skip` events are in none: a process that has just begun is not yet at its pace.
    """
    conn = await around.connect("scheduling")
    ends = await around.ends(TOPIC)
    before = sum(ends.values()) - steps[-1]
    await conn.execute("TRUNCATE people, limit_offsets, kit.applied_subjects, kit.outbox")
    passed = offsets_since(conn, "kit.consumer_offsets", TOPIC, before)
    async with around.process(SCRIPT, "scheduling", "kernel", "bulk") as process:
        found = [await drained(passed, end, skip=skip) for end in steps]
        around.resident = resident_bytes(process.pid)
    await conn.close()
    return found


async def _filled(around: Surroundings, count: int) -> None:
    await around.migrate("scheduling", TABLES)
    for _ in range(0, count, _STEP):
        await around.fill(TOPIC, profiles(min(count, _STEP), take_seed()))


@bench(
    "kernel.flat_over_events",
    unit="times the cost of an event among 10^4, at 10^6",
    goal=Goal(1.3, "at_most"),
    limit_is="none: the same run's first events",
)
async def flat_over_events(around: Surroundings) -> Pair:
    """The tables grow to half a million people."""
    await _filled(around, LONG)
    steps = await consumed(around, [SHORT + _STEP, LONG - _STEP, LONG], skip=SHORT)
    return Pair(steps[0].rate / steps[2].rate)


@bench(
    "kernel.flat_memory",
    unit="times the resident memory after 10^5 events, after 10^6",
    goal=Goal(1.2, "at_most"),
    limit_is="none",
)
async def flat_memory(around: Surroundings) -> Pair:
    """A process that has consumed ten times as much is no larger."""
    await _filled(around, _STEP)
    await consumed(around, [_STEP])
    small = around.resident
    await _filled(around, LONG)
    await consumed(around, [LONG])
    return Pair(around.resident / small)


@bench(
    "kernel.flat_over_partitions",
    unit="times the cost of an event in 4 partitions, in 1",
    goal=Goal(1.3, "at_most"),
    limit_is="none: the same events spread over 4",
)
async def flat_over_partitions(around: Surroundings) -> Pair:
    """The same number of events, all of one partition."""
    await _filled(around, EVENTS)
    spread = (await consumed(around, [EVENTS]))[0]
    one: list[Message] = []
    while len(one) < EVENTS:
        one += by_partition(profiles(EVENTS, take_seed()))[0]
    await around.fill(TOPIC, one[:EVENTS])
    alone = (await consumed(around, [EVENTS]))[0]
    assert PARTITIONS > 1
    return Pair(spread.rate / alone.rate)
