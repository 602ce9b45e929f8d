"""What takes a service out of service, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.process.health import BEHIND_SECONDS, Signs, judge

AWAY = "retrying: KafkaConnectionError"
words = st.lists(st.text(min_size=1, max_size=9), max_size=2)


@pytest.mark.parametrize(
    ("signs", "word"),
    [
        (Signs(caught_up=True), "ready"),
        (Signs(caught_up=True, relay="standing by"), "ready"),
        (Signs(caught_up=False, troubles=["x.network: not caught up"]), "not ready"),
        (Signs(caught_up=True, troubles=["x.network: partitions not assigned"]), "degraded"),
        (Signs(caught_up=True, held=["egress.x.match"]), "degraded"),
        (Signs(caught_up=True, relay="starting"), "not ready"),
        (Signs(caught_up=True, relay="failing: KeyError, see the log"), "not ready"),
        (Signs(caught_up=True, relay="stopped: the database was restored"), "not ready"),
        (Signs(caught_up=True, database="no connection"), "not ready"),
        (Signs(caught_up=True, oldest_seconds=BEHIND_SECONDS + 1), "not ready"),
        (
            Signs(caught_up=True, oldest_seconds=BEHIND_SECONDS + 1, relay="standing by"),
            "degraded",
        ),
        (Signs(caught_up=False, relay=AWAY), "not ready"),
        (Signs(caught_up=True, relay=AWAY), "degraded"),
    ],
)
def test_each_sign_has_its_weight(signs: Signs, word: str) -> None:
    assert judge(signs).word == word


@given(words, words, st.floats(0, 1e6))
def test_kafkas_absence_takes_nobody_out_of_service(
    troubles: list[str], held: list[str], oldest: float
) -> None:
    health = judge(
        Signs(caught_up=True, troubles=troubles, relay=AWAY, held=held, oldest_seconds=oldest)
    )

    assert health.word == "degraded"
    assert {*troubles, f"relay: {AWAY}"} <= set(health.complaints)
