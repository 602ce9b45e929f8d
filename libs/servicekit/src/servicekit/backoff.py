"""How long to wait before the next try."""

import random


def delay(attempt: int, *, first: float = 0.1, most: float = 10.0) -> float:
    """Return seconds to wait after failed attempt 1, 2, ...: doubling, with full jitter above half.

    Jitter keeps services that failed together from coming back together.
    """
    ceiling = min(most, first * 2.0 ** min(attempt - 1, 30))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
