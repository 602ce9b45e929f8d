"""Named places between the kernel's steps where a test may kill, hold or fail the process.

In a running service nothing is hooked, and reaching a place costs one call and one comparison per
slice, page or timer. `tests/failures` hooks them in the processes it starts.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

FailPoint = Literal[
    # a slice of a partition, and the advice that Kafka gets of it
    "slice.begin",  # the records are judged, no transaction is open
    "slice.locked",  # the offset row is ours
    "slice.applied",  # handlers have run, the outbox has their events, the row has not moved
    "slice.moved",  # everything is written, nothing is committed
    "slice.committed",  # committed, not yet known to the lane
    "offsets.commit",  # before Kafka is told
    "offsets.committed",  # after
    # the relay
    "relay.took_over",  # the epoch is ours
    "relay.window_opened",
    "relay.page_read",  # before the first row of the page is sent
    "relay.page_acked",  # Kafka has all of it, the cursor has not moved
    "relay.cursor_moved",
    "relay.window_closed",
    # timers, jobs and effects
    "timer.claimed",  # the lease is committed, work has not begun
    "timer.worked",  # the job's transaction is complete and not committed
    "timer.done",  # committed
    "effect.perform",  # before the outside world is touched
    "effect.performed",  # it was touched, nothing is recorded
    "effect.recorded",  # the record is complete and not committed
]

hook: Callable[[FailPoint], Awaitable[None]] | None = None
"""What a test wants to happen at each place; None in every running service."""


async def reach(place: FailPoint) -> None:
    """Pass a place: at once, unless a test has hooked it."""
    if hook is not None:
        await hook(place)
