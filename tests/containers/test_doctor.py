"""What `oncomentor doctor --against compose` says when something is off."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.containers.conftest import ROOT, Network, run


def findings(network: Network) -> dict[str, tuple[str, str]]:
    """Return what is wrong: about what to (problem, fix)."""
    done = subprocess.run(
        [ROOT / ".venv/bin/oncomentor", "doctor", "--against", "compose", "--json"],
        cwd=ROOT, env=network.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = {one["about"]: (one["problem"], one["fix"]) for one in found if one["problem"]}
    assert len(found) > 10, done.stderr
    assert done.returncode == bool(wrong)
    return wrong


@contextmanager
def changed(path: Path, content: str | None) -> Iterator[None]:
    before = path.read_text()
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    try:
        yield
    finally:
        path.write_text(before)


def test_a_network_that_is_well_is_told_to_be(network: Network) -> None:
    network.up()
    assert findings(network) == {}


def test_a_lost_secret_is_named(network: Network) -> None:
    with changed(network.containers.home.folder("secrets") / "kek.key", None):
        problem, fix = findings(network)["secrets"]
    assert problem == "missing or empty: secrets/kek.key"
    assert "backup" in fix


def test_secrets_of_another_volume_are_told(network: Network) -> None:
    with changed(network.containers.home.folder("secrets") / "kafka" / "admin", "another"):
        problem, fix = findings(network)["kafka's volume"]
    assert problem == "Kafka refuses the stored password"
    assert "put those back" in fix


def test_a_stopped_service_and_a_port_that_was_taken_meanwhile_are_told(network: Network) -> None:
    network.compose("stop", "mail")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host, port = network.containers.address("mail").split(":")
        taken.bind((host, int(port)))
        taken.listen()
        wrong = findings(network)
    network.up()

    assert wrong[f"port {host}:{port} of mail"][0] == "is taken by somebody else"
    problem, fix = wrong["mail"]
    assert problem.startswith("exited")
    assert "docker compose logs mail" in fix


def test_an_image_of_another_version_is_told(network: Network) -> None:
    build = ["docker", "build", "--quiet", "--file", "deploy/Dockerfile", "--target", "service"]
    run(*build, "--tag", "oncomentor/service:0.1.0", "--build-arg", "VERSION=9.9.9", ".")
    try:
        network.compose("up", "--detach", "--no-deps", "--force-recreate", "scheduling")
        wrong = findings(network)
    finally:
        network.compose("build", "--quiet")
        network.up()

    problem, fix = wrong["scheduling"]
    assert problem == "its image is of 9.9.9, this checkout is 0.1.0"
    assert fix.startswith("docker compose up --build")
    assert findings(network) == {}
