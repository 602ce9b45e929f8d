"""docker-compose.yml and its image say what the embedded stack says, and give nothing away."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack import kafka, postgres
from devstack.containers import PORTS
from devstack.paths import Home
from devstack.postgres_roles import PostgresRoles
from devstack.secret_store import SecretStore
from devstack.service import SERVICE_NAMES, SERVICES, Service, ServiceSettings
from devstack.state import State
from notification_service.gateways.letter import LANGUAGES

Compose = dict[str, Any]
FILES = "${ONCOMENTOR_FILES:?run make secrets first}/secrets/"
WHERE = {  # what only says where something is
    "ONCOMENTOR_KAFKA_BOOTSTRAP", "ONCOMENTOR_DATABASE_HOST", "ONCOMENTOR_DATABASE_PORT",
    "ONCOMENTOR_HTTP_HOST", "ONCOMENTOR_HTTP_PORT", "ONCOMENTOR_OIDC_ISSUER",
    "ONCOMENTOR_OIDC_JWKS_URL", "ONCOMENTOR_SMTP_HOST", "ONCOMENTOR_SMTP_PORT",
}  # fmt: skip
# Kafka: listeners are named otherwise, since clients come from inside and from this machine.
LISTENERS = re.compile(r"listener|advertised|sasl|config\.providers|quorum\.voters")


@pytest.fixture(scope="module")
def compose(root: Path) -> Compose:
    loaded: Compose = yaml.safe_load((root / "docker-compose.yml").read_text())
    return loaded


def mounted(compose: Compose, part: str) -> dict[str, str]:
    """Return a part's secrets: target in /run/secrets to file below the secrets folder."""
    return {
        secret["target"]: compose["secrets"][secret["source"]]["file"].removeprefix(FILES)
        for secret in compose["services"][part].get("secrets", [])
    }


def environment(compose: Compose, part: str) -> dict[str, str]:
    """Return a part's settings; paths of secrets as the files that are mounted there."""
    secrets = mounted(compose, part)
    return {
        name: secrets[value.removeprefix("/run/secrets/")] if name.endswith("_FILE") else value
        for name, value in compose["services"][part]["environment"].items()
    }


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
@pytest.mark.parametrize("owner", [False, True], ids=["runs", "migrates"])
def test_a_service_gets_the_settings_and_secrets_of_the_embedded_stack(
    compose: Compose, tmp_path: Path, service: Service, owner: bool
) -> None:
    secrets = SecretStore(tmp_path / "secrets")
    roles = PostgresRoles(tmp_path, secrets)
    state = State(tmp_path / "state.json")
    embedded = ServiceSettings(Home(tmp_path), state, secrets, roles).environment(
        service, owner=owner
    )
    wanted = {
        name: str(Path(value).relative_to(secrets.folder)) if name.endswith("_FILE") else value
        for name, value in embedded.items()
    }
    part = f"{service.name}-migrations" if owner else service.name

    given = environment(compose, part)

    assert given.keys() - {"ONCOMENTOR_OIDC_JWKS_URL"} == wanted.keys()
    assert {n: v for n, v in given.items() if n not in WHERE} == {
        n: v for n, v in wanted.items() if n not in WHERE
    }
    assert set(mounted(compose, part).values()) == {
        value for name, value in given.items() if name.endswith("_FILE")
    }, "a secret that it has no setting for"


def test_kafka_is_configured_as_the_embedded_one(compose: Compose) -> None:
    given = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in compose["services"]["kafka"]["environment"].items()
    }

    def same(settings: dict[str, str]) -> dict[str, str]:
        return {n: v for n, v in settings.items() if not LISTENERS.search(n)}

    assert same(given) == same(kafka._SETTINGS) | {
        "heap.opts": "-Xms128m -Xmx512m",
        "log.dirs": "/var/lib/kafka/data",
    }


def test_postgresql_is_configured_as_the_embedded_one(compose: Compose) -> None:
    flags = compose["services"]["postgres"]["command"][1:]
    given = dict(flag.removeprefix("-c").split("=", 1) for flag in flags)
    own = {"listen_addresses", "unix_socket_directories", "logging_collector"}

    wanted = {n: v.strip() for n, v in postgres._SETTINGS.items() if n not in own}
    assert given == wanted


def test_every_part_is_confined_and_bounded(compose: Compose) -> None:
    for name, part in compose["services"].items():
        assert part["read_only"], name
        assert part["cap_drop"] == ["ALL"], name
        assert part["security_opt"] == ["no-new-privileges:true"], name
        assert part["mem_limit"], name
        assert part["cpus"], name
        assert part["logging"]["options"]["max-size"], name
        assert part["restart"], name
        is_job = name.endswith(("-set-up", "-migrations"))
        assert is_job or part["healthcheck"], name


def test_only_loopback_is_published_and_every_port_is_known(compose: Compose) -> None:
    published = [port for part in compose["services"].values() for port in part.get("ports", [])]
    found = {re.match(r"127\.0\.0\.1:\$\{ONCOMENTOR_(\w+)_PORT:\?", port) for port in published}

    assert None not in found
    assert {match[1].lower() for match in found if match} == PORTS.keys()


def test_no_secret_has_a_default_and_each_is_used(compose: Compose) -> None:
    assert all(one["file"].startswith(FILES) for one in compose["secrets"].values())
    used = {
        secret["source"]
        for part in compose["services"].values()
        for secret in part.get("secrets", [])
    }
    assert used == compose["secrets"].keys()


def test_a_service_starts_after_what_it_needs(compose: Compose) -> None:
    for name in SERVICE_NAMES:
        needs = compose["services"][name]["depends_on"]
        for job in ("kafka-set-up", f"{name}-migrations"):
            assert needs[job] == {"condition": "service_completed_successfully"}


def test_the_image_keeps_the_locales_that_letters_are_written_in(root: Path) -> None:
    dockerfile = (root / "deploy/Dockerfile").read_text()

    assert set(re.findall(r"! -name '(\w\w)\*'", dockerfile)) == set(LANGUAGES)
