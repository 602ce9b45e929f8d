"""What a service asks the broker, and a broker that does not answer."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servicekit import kafka
from servicekit.settings import Settings


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a broker that takes connections and says nothing."""
    password = tmp_path / "password"
    password.write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield _settings(door.getsockname()[1], password)


def _settings(port: int, password: Path) -> Settings:
    return Settings(
        kafka_bootstrap=f"127.0.0.1:{port}",
        kafka_security="SASL_PLAINTEXT",
        kafka_username="somebody",
        kafka_password_file=password,
        database_host="127.0.0.1",
        database_name="none",
        database_worker_user="none",
        database_worker_password_file=password,
        database_api_user="none",
        database_api_password_file=password,
        http_host="127.0.0.1",
        http_port=0,
        oidc_issuer="none",
    )


def test_a_question_without_an_answer_does_not_keep_a_stopping_process(silent: Settings) -> None:
    async def asked() -> None:
        async with asyncio.timeout(0.3):
            await kafka.topic_ids(silent, {"profile.profile"})

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(asked())

    assert time.monotonic() - began < 2
