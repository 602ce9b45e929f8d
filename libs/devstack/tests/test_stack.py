import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL
from uuid import uuid4

import asyncpg
import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from devstack.errors import DevstackError
from devstack.stack import Stack


def pids(network: Stack) -> dict[str, int | None]:
    return {part.name: part.pid for part in network.status() if part.state == "up"}


def kafka_config(network: Stack, user: str) -> dict[str, str | int | float | bool]:
    login = network.kafka_login(user)
    return {
        "bootstrap.servers": login["bootstrap"],
        "security.protocol": login["security"],
        "sasl.mechanism": login["mechanism"],
        "sasl.username": login["username"],
        "sasl.password": login["password"],
        "log_level": 0,
    }


def test_up_again_starts_nothing(network: Stack) -> None:
    before = pids(network)

    network.up(services=())

    assert set(before) == {"kafka", "postgres", "idp", "mail"}
    assert pids(network) == before


def test_two_ups_at_once_start_each_part_once(network: Stack) -> None:
    network.kill_part("mail")
    network.kill_part("idp")
    said: list[str] = []
    others = [Stack(network.home.root, progress=said.append) for _ in range(3)]

    threads = [threading.Thread(target=one.up, kwargs={"services": ()}) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([line for line in said if "mail catcher is up" in line]) == 1
    assert len([line for line in said if "identity provider is up" in line]) == 1


def test_a_killed_kafka_comes_back_with_every_acknowledged_record(network: Stack) -> None:
    value = str(uuid4()).encode()
    producer = Producer(kafka_config(network, "profile"))
    producer.produce("profile.programme", value, b"key", partition=0)
    assert producer.flush(10) == 0
    before = pids(network)

    network.kill_part("kafka")
    network.up(services=())

    assert value in values(network, "profile.programme")
    assert pids(network)["kafka"] != before["kafka"]
    assert pids(network)["postgres"] == before["postgres"]


def values(network: Stack, topic: str) -> set[bytes | None]:
    consumer = Consumer(
        {
            **kafka_config(network, "profile"),
            "group.id": f"profile.{uuid4()}",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = set()
    while (message := consumer.poll(10)) is not None and message.error() is None:
        found.add(message.value())
    consumer.close()
    return found


async def test_a_killed_postgres_comes_back_with_every_commit(network: Stack) -> None:
    name = f"kept_{uuid4().hex}"
    conn = await asyncpg.connect(network.superuser_dsn("profile"))
    await conn.execute(f"CREATE TABLE {name} (x int)")

    network.kill_part("postgres")
    network.up(services=())

    conn.terminate()
    again = await asyncpg.connect(network.superuser_dsn("profile"))
    assert await again.fetchval("SELECT to_regclass($1) IS NOT NULL", name)
    await again.execute(f"DROP TABLE {name}")
    await again.close()


def test_a_lock_file_of_postgres_with_a_strangers_pid_is_no_hindrance(network: Stack) -> None:
    network.kill_part("postgres")
    lock = network.home.folder("postgres") / "data" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    network.up(services=())

    assert "postgres" in pids(network)


def test_a_part_that_was_started_but_not_written_down_is_found_again(network: Stack) -> None:
    record = network.home.folder("run") / "mail.json"
    known = json.loads(record.read_text())
    record.unlink()

    found = pids(network)
    record.write_text(json.dumps(known))
    assert found["mail"] == known["pid"]


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    yield psutil.Process(started.pid)
    started.kill()
    started.wait()


def test_down_leaves_a_process_alone_that_took_over_a_pid(
    tmp_path: Path, stranger: psutil.Process
) -> None:
    mine = Stack(tmp_path)
    mine.up(services=(), infrastructure=("mail",))
    record = tmp_path / "run" / "mail.json"
    known = json.loads(record.read_text())
    os.kill(known["pid"], SIGKILL)
    record.write_text(json.dumps({**known, "pid": stranger.pid}))

    assert mine.status()[3].state == "down"
    mine.down()

    assert stranger.is_running()
    assert stranger.status() != psutil.STATUS_ZOMBIE


def test_a_part_whose_port_was_taken_moves_and_everybody_is_told(tmp_path: Path) -> None:
    mine = Stack(tmp_path)
    mine.up(services=(), infrastructure=("idp",))
    before = mine.credentials("operator").oidc["issuer"]
    mine.down()

    host, port = mine.address("idp").split(":")
    with socket.socket() as somebody:
        somebody.bind((host, int(port)))
        somebody.listen()
        mine.up(services=(), infrastructure=("idp",))

    after = mine.credentials("operator").oidc["issuer"]
    mine.down()
    assert after != before
    assert after == f"http://{mine.address('idp')}"


def test_down_ends_everything_and_reset_leaves_no_data(tmp_path: Path) -> None:
    mine = Stack(tmp_path)
    mine.up(services=(), infrastructure=("mail", "idp", "postgres"))
    started = [part.pid for part in mine.status() if part.pid]

    mine.down()
    mine.down()

    assert len(started) == 3
    assert not any(is_running(pid) for pid in started)
    assert not mine.reset()
    assert not mine.reset(ask=lambda question: False)
    assert (tmp_path / "secrets").exists()
    assert mine.reset(yes=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "lock"]


def is_running(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_first_start_killed_at_any_moment_is_mended_by_the_next(tmp_path: Path) -> None:
    script = f"from pathlib import Path; from devstack.stack import Stack; Stack(Path({str(tmp_path)!r})).up(services=(), infrastructure=('postgres', 'mail'))"
    for seconds in (0.5, 0.8, 1.1, 1.4):
        starter = subprocess.Popen([sys.executable, "-c", script])
        with contextlib.suppress(subprocess.TimeoutExpired):
            starter.wait(seconds)
        starter.kill()
        starter.wait()
    mine = Stack(tmp_path)

    mine.up(services=(), infrastructure=("postgres", "mail"))

    assert set(pids(mine)) == {"postgres", "mail"}
    mine.down()


def test_a_stack_that_never_ran_is_down_and_asking_leaves_no_trace(tmp_path: Path) -> None:
    fresh = Stack(tmp_path / "home")

    assert {part.state for part in fresh.status()} == {"down"}
    assert len(fresh.status()) == 8
    assert not (tmp_path / "home").exists()


def test_signals_to_what_does_not_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DevstackError, match="does not run"):
        Stack(tmp_path).kill_part("kafka")
    with pytest.raises(DevstackError, match="there is no part 'zookeeper'"):
        Stack(tmp_path).start_part("zookeeper")


def test_a_service_gets_its_own_secrets_alone(network: Stack) -> None:
    environment = network.service_environment("matching")

    files = {Path(value).name for name, value in environment.items() if name.endswith("_FILE")}
    assert files == {"matching", "matching_worker", "matching_api", "reader-matching.jwk"}
    assert all(
        Path(value).is_file() for name, value in environment.items() if name.endswith("_FILE")
    )
    as_owner = network.service_environment("matching", owner=True)
    assert as_owner["ONCOMENTOR_DATABASE_OWNER_USER"] == "matching_owner"


def test_status_says_where_and_how_large_each_part_is(network: Stack) -> None:
    kafka = network.status()[0]

    assert kafka.name == "kafka"
    assert kafka.address == network.address("kafka")
    assert 100 < kafka.memory_mb < 900
    assert kafka.log.is_file()
