"""Waiting for something to become true, with a deadline and a useful failure."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    probe: Callable[[], Awaitable[T]], *, within: float = 20.0, every: float = 0.05
) -> T:
    """Return the first truthy result of `probe`, asked again every `every` seconds.

    An AssertionError of the probe counts as "not yet".

    Raises:
        AssertionError: `within` seconds passed; says what the probe gave last.
    """
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            result = await probe()
            if result:
                return result
            last = result
        except AssertionError as error:
            last = error
        await asyncio.sleep(every)
    raise AssertionError(f"not within {within} s; last seen: {last!r}")
