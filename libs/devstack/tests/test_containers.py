"""What containers are given; the containers themselves are in tests/containers."""

import socket
import stat
from pathlib import Path

import pytest

from devstack.containers import PORTS, Containers
from devstack.errors import DevstackError
from devstack.paths import find_repository


@pytest.fixture
def containers(tmp_path: Path) -> Containers:
    return Containers(find_repository(), home=tmp_path / "compose")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_made_once_stays(containers: Containers) -> None:
    containers.prepare()
    before = content(containers.home.root)

    containers.prepare()

    assert content(containers.home.root) == before


def test_secrets_can_be_read_by_whom_they_are_given_to_and_by_nobody_else_here(
    containers: Containers,
) -> None:
    containers.prepare()

    secrets = [path for path in containers.home.folder("secrets").rglob("*") if path.is_file()]
    assert len(secrets) > 25
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o644}
    assert stat.S_IMODE(containers.home.root.stat().st_mode) == 0o700
    clients = containers.home.folder("idp")
    assert stat.S_IMODE(clients.stat().st_mode) == 0o755
    assert stat.S_IMODE((clients / "clients.json").stat().st_mode) == 0o644
    operator = containers.credentials("operator").path
    assert stat.S_IMODE(operator.stat().st_mode) == 0o600


def test_a_port_that_is_taken_is_replaced_and_compose_is_told(containers: Containers) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", PORTS["mail"]))
        except OSError:
            pass  # somebody else has it: as good
        else:
            taken.listen()
        containers.prepare()

    told = dict(
        line.split("=", 1)
        for line in containers.environment_file.read_text().splitlines()
        if not line.startswith("#")
    )
    assert told.keys() == {f"ONCOMENTOR_{name.upper()}_PORT" for name in PORTS} | {
        "ONCOMENTOR_FILES",
        "COMPOSE_PROJECT_NAME",
    }
    assert containers.address("mail") == f"127.0.0.1:{told['ONCOMENTOR_MAIL_PORT']}"
    assert int(told["ONCOMENTOR_MAIL_PORT"]) != PORTS["mail"]
    assert containers.credentials("operator").http["profile"] == (
        f"http://127.0.0.1:{told['ONCOMENTOR_PROFILE_PORT']}"
    )


def test_what_is_missing_is_said_with_what_to_do(containers: Containers) -> None:
    with pytest.raises(DevstackError, match="no secrets yet: make secrets"):
        containers.require_ready()
    containers.prepare()
    containers._state._write(
        {"ports": dict.fromkeys(PORTS, 1), "institutions": [], "done": {}}
    )  # where nothing listens
    with pytest.raises(DevstackError, match=r"idp, mail, .*notification not ready: docker compose"):
        containers.require_ready()
