from pathlib import Path

import asyncpg
import pytest

from devstack.postgres_roles import scram_verifier
from devstack.stack import Stack

SERVICES = ("profile", "matching", "scheduling", "notification")


async def connect(network: Stack, role: str, database: str) -> asyncpg.Connection:
    host, port = network.address("postgres").split(":")
    password = (network.home.folder("secrets") / "postgres" / role).read_text()
    return await asyncpg.connect(
        host=host, port=int(port), user=role, password=password, database=database
    )


@pytest.mark.parametrize("kind", ["owner", "worker", "api"])
async def test_a_role_connects_to_its_own_database_alone(network: Stack, kind: str) -> None:
    for database in ("postgres", "template1", *SERVICES):
        role = f"matching_{kind}"
        if database == "matching":
            await (await connect(network, role, database)).close()
            continue
        with pytest.raises(
            asyncpg.InsufficientPrivilegeError, match="permission denied for database"
        ):
            await connect(network, role, database)


async def test_a_wrong_password_is_refused(network: Stack) -> None:
    host, port = network.address("postgres").split(":")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host=host, port=int(port), user="profile_api", password="guess", database="profile"
        )


async def test_only_the_owner_makes_tables_and_the_others_are_no_more_than_named(
    network: Stack,
) -> None:
    owner = await connect(network, "profile_owner", "profile")
    worker = await connect(network, "profile_worker", "profile")

    await owner.execute("CREATE TABLE owned (x int); CREATE SCHEMA own")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await worker.execute("CREATE TABLE stolen (x int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await worker.fetch("SELECT * FROM owned")
    flags = await worker.fetchrow(
        "SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole AS more"
        "  FROM pg_roles WHERE rolname = current_user"
    )
    assert flags is not None
    assert flags["more"] is False
    await owner.execute("DROP TABLE owned; DROP SCHEMA own")
    await owner.close()
    await worker.close()


async def test_grants_to_the_group_reach_the_services_own_role(network: Stack) -> None:
    owner = await connect(network, "profile_owner", "profile")
    worker = await connect(network, "profile_worker", "profile")
    api = await connect(network, "profile_api", "profile")

    await owner.execute(
        "CREATE TABLE granted (x int); GRANT SELECT ON granted TO oncomentor_worker"
    )

    assert await worker.fetch("SELECT * FROM granted") == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await api.fetch("SELECT * FROM granted")
    await owner.execute("DROP TABLE granted")
    for conn in (owner, worker, api):
        await conn.close()


async def test_scheduling_can_exclude_overlapping_sessions(network: Stack) -> None:
    owner = await connect(network, "scheduling_owner", "scheduling")

    await owner.execute(
        "CREATE TABLE held (who int, at tstzrange, EXCLUDE USING gist (who WITH =, at WITH &&));"
        "DROP TABLE held"
    )

    await owner.close()


def test_a_verifier_shows_neither_the_password_nor_twice_the_same() -> None:
    first, second = scram_verifier("a password"), scram_verifier("a password")

    assert first.startswith("SCRAM-SHA-256$4096:")
    assert "a password" not in first
    assert first != second


def test_no_password_stands_in_a_log(network: Stack) -> None:
    logs = "".join(path.read_text() for path in network.home.folder("logs").iterdir())

    for path in network.home.folder("secrets").rglob("*"):
        if path.is_file() and not path.name.endswith(".public.jwk"):
            assert path.read_text() not in logs, path


def test_no_password_stands_on_a_command_line(network: Stack) -> None:
    lines = [
        Path(f"/proc/{part.pid}/cmdline").read_bytes().decode()
        for part in network.status()
        if part.pid
    ]

    assert len(lines) == 4
    for path in (network.home.folder("secrets") / "kafka").iterdir():
        assert not any(path.read_text() in line for line in lines)
