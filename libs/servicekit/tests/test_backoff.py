"""Waiting before the next try: longer each time, never too long, never all together."""

from hypothesis import given
from hypothesis import strategies as st

from servicekit import backoff

SECONDS = st.floats(0.01, 10)


@given(attempt=st.integers(1, 10**6), first=SECONDS, more=st.floats(1, 1000))
def test_it_doubles_up_to_the_most_and_is_spread_over_the_upper_half(
    attempt: int, first: float, more: float
) -> None:
    most = first * more
    ceiling = min(most, first * 2.0 ** min(attempt - 1, 1000))

    waits = [backoff.delay(attempt, first=first, most=most) for _ in range(20)]

    assert all(ceiling / 2 <= seconds <= ceiling for seconds in waits)
    assert len(set(waits)) > 1
