"""Exporting on and off, twice in one process, and to a collector that never answers."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servicekit.observing import metrics, telemetry, trace
from servicekit.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    secret = tmp_path / "secret"
    secret.write_text("x")
    return Settings(
        kafka_bootstrap="127.0.0.1:1",
        kafka_username="x",
        kafka_password_file=secret,
        database_host="127.0.0.1",
        database_name="x",
        database_worker_user="x",
        database_worker_password_file=secret,
        database_api_user="x",
        database_api_password_file=secret,
        http_host="127.0.0.1",
        http_port=0,
        oidc_issuer="http://127.0.0.1:1",
    )


@pytest.fixture
def deaf() -> Iterator[str]:
    """A collector that takes connections and says nothing."""
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    # Exporters that were left behind end late, and say so in whatever log there is by then.
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()


def test_what_is_counted_is_exposed_and_a_second_start_begins_at_nothing(
    settings: Settings,
) -> None:
    for amount in (2, 3):
        with telemetry.exporting("x", settings):
            metrics.add("slice_records", amount, topic="a.b", outcome="applied")
            metrics.record("slice_duration", 0.02, topic="a.b")
            metrics.show("consumer_lag", [(7, {"group": "x.network", "topic": "a.b"})])
            metrics.show("timers_due", [(1, {"kind": "gone"})])
            metrics.show("timers_due", [])
            text = telemetry.exposition().decode()

        lines = text.splitlines()
        assert (
            f'oncomentor_slice_records_total{{outcome="applied",topic="a.b"}} {amount}.0' in lines
        )
        assert 'oncomentor_consumer_lag{group="x.network",topic="a.b"} 7.0' in lines
        assert 'oncomentor_slice_duration_seconds_count{topic="a.b"} 1.0' in lines
        assert "gone" not in text
    assert telemetry.exposition() == b""


def test_a_collector_that_never_answers_holds_up_no_stop(settings: Settings, deaf: str) -> None:
    told = settings.model_copy(update={"otlp_endpoint": deaf})

    with telemetry.exporting("x", told):
        for _ in range(5_000):
            trace.child(None, "x.said.v1")
        began = time.monotonic()

    assert time.monotonic() - began < 5
