"""The network in containers is the same network, and keeps what it has through what happens.

The tests follow each other: one network goes through all of it.
"""

import csv
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.containers.conftest import Network, run

from devstack.service import SERVICE_NAMES
from devstack.stack import Stack
from testkit.eventually import eventually
from testkit.plugin import running_stack
from testkit.standing import kafka_standing, postgres_standing

CENTERS = ("harbor-demo", "ridge-demo", "delta-demo")
PEOPLE = 300
STOP_SECONDS = 10  # the grace period is 15
BASE_MB = 119  # of the public python:3.13-slim-trixie; a stand-in for it may be larger


@pytest.fixture(scope="module")
def embedded() -> Iterator[Stack]:
    with running_stack() as stack:
        yield stack


def told(network: Network) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(
        network.oncomentor("demo", "--against", "compose", "--json")
    )
    assert summary["checks"]
    assert [check for check in summary["checks"] if not check["ok"]] == []
    return summary


async def test_both_systems_have_the_same_topics_rights_databases_and_roles(
    network: Network, embedded: Stack
) -> None:
    network.containers.provision(CENTERS)
    embedded.provision(CENTERS)

    inside = kafka_standing(network.containers.broker())
    assert inside == kafka_standing(embedded.broker())
    assert len(inside["topics"]) > 20
    assert len(inside["rights"]) > 60
    for database in ("postgres", *SERVICE_NAMES):
        theirs = await postgres_standing(network.containers.superuser_dsn(database))
        assert theirs == await postgres_standing(embedded.superuser_dsn(database))


def test_containers_killed_in_the_middle_change_nothing_in_the_end(network: Network) -> None:
    parts = [
        "matching",
        "kafka",
        "idp",
        "profile",
        "postgres",
        "mail",
        "scheduling",
        "notification",
    ]
    with killing(network, parts, every=4.0):
        command = ["demo", "--against", "compose", "--json"]
        # A center whose hub or identity provider is away is told to say the same again.
        for _ in range(len(parts)):
            if network.tries(*command):
                break
    network.up()

    summary = told(network)

    assert summary["counts"]["active"] > 20
    assert summary["counts"]["sent"] == summary["counts"]["mails"]


@contextmanager
def killing(network: Network, parts: list[str], *, every: float) -> Iterator[None]:
    """Kill one container after the other and start it again, beside what goes on."""

    def kill() -> None:
        for part in parts:
            time.sleep(every)
            network.compose("kill", part)
            network.compose("start", part)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_service_that_is_asked_to_end_while_it_starts_does_so_at_once(network: Network) -> None:
    network.up()
    network.compose("restart", "matching")  # returns before the process hears signals
    began = time.monotonic()
    network.compose("stop", "matching")
    seconds = time.monotonic() - began
    network.up()

    assert seconds < STOP_SECONDS


def test_what_was_there_is_there_after_down_and_up(network: Network) -> None:
    before = told(network)

    network.compose("down", "--timeout", "15")
    network.up()

    assert told(network)["counts"] == before["counts"]


@pytest.mark.parametrize("service", ["profile", "matching"])
async def test_a_service_made_anew_under_load_loses_nothing(
    network: Network, tmp_path: Path, service: str
) -> None:
    file = tmp_path / f"{service}.csv"
    with (network.containers.home.root / "demo" / "harbor-demo.csv").open() as source:
        rows = csv.DictReader(source)
        row = next(rows)
        with file.open("w") as target:
            writer = csv.DictWriter(target, rows.fieldnames or ())
            writer.writeheader()
            for nth in range(PEOPLE):
                writer.writerow({**row, "local_id": f"{service}-{nth:04}"})
    anew = threading.Thread(
        target=network.compose,
        args=("up", "--detach", "--no-deps", "--force-recreate", service),
    )
    anew.start()
    said = network.publish(file, "harbor-demo")
    anew.join()
    network.up()

    results = [json.loads(line) for line in said.splitlines()]
    people = [one["person_id"] for one in results if one.get("outcome") == "accepted"]
    assert len(people) == PEOPLE

    async def heard() -> bool:
        conn = await asyncpg.connect(network.containers.superuser_dsn("matching"))
        sql = "SELECT count(*) FROM people WHERE person_id = ANY($1::uuid[])"
        found: int = await conn.fetchval(sql, people)
        await conn.close()
        return found == PEOPLE

    await eventually(heard)


def test_secrets_are_in_no_environment_and_no_command(network: Network) -> None:
    secrets = [
        path.read_text()
        for path in network.containers.home.folder("secrets").rglob("*")
        if path.is_file() and not path.name.endswith(".public.jwk")
    ]
    ids = network.compose("ps", "--all", "--quiet").split()
    inspected = run("docker", "inspect", *ids)

    assert len(secrets) > 20
    assert not [secret for secret in secrets if secret in inspected]


@pytest.mark.parametrize(
    ("image", "module", "most_mb"),
    [
        ("service", "profile_service", 250),
        ("matching", "matching_service", 700),
        ("tools", "devstack.idp", 350),
    ],
)
def test_an_image_is_small_and_starts_at_once(
    network: Network, image: str, module: str, most_mb: int
) -> None:
    def size_of(name: str) -> float:
        return int(run("docker", "image", "inspect", name, "--format", "{{.Size}}")) / 1e6

    name = f"oncomentor/{image}:0.1.0"
    ours = size_of(name) - size_of("python:3.13-slim-trixie")
    began = time.monotonic()
    subprocess.run(
        ["docker", "run", "--rm", "--read-only", "--network", "none", name, module, "--help"],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    seconds = time.monotonic() - began

    assert BASE_MB + ours < most_mb
    assert seconds < 10  # against a hang: the goal is 3 s on a machine with nothing else to do


_UNCOMPILED = """
import importlib, os, sys
importlib.import_module(sys.argv[1])
specs = [getattr(module, "__spec__", None) for module in sys.modules.values()]
compiled = [(s.name, s.cached) for s in specs if s and s.cached and s.cached.endswith(".pyc")]
assert len(compiled) > 100
print([name for name, path in compiled if not os.path.exists(path)])
"""


@pytest.mark.parametrize(
    ("image", "module"),
    [
        ("service", "profile_service.app"),
        ("service", "scheduling_service.app"),
        ("service", "notification_service.app"),
        ("matching", "matching_service.app"),
        ("tools", "devstack.set_up"),
        ("tools", "devstack.idp"),
        ("tools", "devstack.mail"),
    ],
)
def test_nothing_is_compiled_at_a_start(network: Network, image: str, module: str) -> None:
    python = ("docker", "run", "--rm", "--entrypoint", "python", f"oncomentor/{image}:0.1.0")

    uncompiled = run(*python, "-c", _UNCOMPILED, module)

    assert uncompiled.strip() == "[]"
