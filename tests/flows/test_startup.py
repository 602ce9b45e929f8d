"""A service that cannot work says so in one sentence and does not start."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it forgets to say what it exports
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from devstack.stack import Stack
from testkit.eventually import eventually
from testkit.plugin import running_stack

SERVICE = "scheduling"
NEWER = "service/9999_beyond.sql"
Ended = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of these tests' own: they take away what others need."""
    with running_stack(services=()) as made:
        assert run(made, "--migrate").returncode == 0
        yield made


def run(stack: Stack, *arguments: str, **changes: str) -> Ended:
    environment = {**stack.service_environment(SERVICE, owner=True), **changes}
    return subprocess.run(
        [sys.executable, "-P", "-m", f"{SERVICE}_service", *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        cwd=stack.home.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def started(stack: Stack) -> Iterator[subprocess.Popen[str]]:
    """Have the service running, for a test that ends it; killed if it does not end."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", f"{SERVICE}_service"],
        env={"PATH": "/usr/bin:/bin", **stack.service_environment(SERVICE)},
        cwd=stack.home.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def refusal(ended: Ended) -> str:
    """Return the one line on stderr."""
    assert ended.returncode == 1, ended.stdout
    (line,) = ended.stderr.splitlines()
    return line


@pytest.fixture(scope="module")
def admin(stack: Stack) -> AdminClient:
    login = stack.kafka_login()
    return AdminClient(
        {
            "bootstrap.servers": login["bootstrap"],
            "security.protocol": login["security"],
            "sasl.mechanism": login["mechanism"],
            "sasl.username": login["username"],
            "sasl.password": login["password"],
        }
    )


async def as_superuser(stack: Stack, sql: str, *arguments: object) -> None:
    conn = await asyncpg.connect(stack.superuser_dsn(SERVICE))
    try:
        await conn.execute(sql, *arguments)
    finally:
        await conn.close()


def test_one_that_can_work_says_nothing_on_stderr(stack: Stack) -> None:
    ended = run(stack, "--check")

    assert (ended.returncode, ended.stderr) == (0, "")


def test_another_services_database_is_refused_by_name(stack: Stack) -> None:
    foreign = {
        name: value
        for name, value in stack.service_environment("profile", owner=True).items()
        if "_DATABASE_" in name
    }
    profile = stack.service_environment("profile", owner=True)
    migrating = subprocess.run(
        [sys.executable, "-P", "-m", "profile_service", "--migrate"],
        env={"PATH": "/usr/bin:/bin", **profile},
        cwd=stack.home.root,
        capture_output=True,
        check=False,
    )
    assert migrating.returncode == 0

    for arguments in (["--check"], ["--migrate"]):
        said = refusal(run(stack, *arguments, **foreign))
        assert "belongs to the service profile, not to scheduling" in said
        assert "ONCOMENTOR_DATABASE_NAME" in said


def test_a_database_that_is_not_there_or_not_ours_is_refused(stack: Stack, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("wrong")

    absent = refusal(run(stack, "--check", ONCOMENTOR_DATABASE_NAME="nowhere"))
    locked = refusal(run(stack, "--check", ONCOMENTOR_DATABASE_WORKER_PASSWORD_FILE=str(wrong)))
    silent = refusal(run(stack, "--check", ONCOMENTOR_DATABASE_PORT="1"))

    for said in (absent, locked, silent):
        assert said.startswith("cannot start: PostgreSQL refused us")
        assert "check ONCOMENTOR_DATABASE_HOST" in said


async def test_an_old_schema_is_refused_with_the_command_that_mends_it(stack: Stack) -> None:
    last = "kernel/0005_pre_service.sql"
    await as_superuser(
        stack, "UPDATE public.migrations SET name = 'kernel/9000_pre_x.sql' WHERE name = $1", last
    )
    try:
        said = refusal(run(stack, "--check"))
    finally:
        await as_superuser(
            stack,
            "UPDATE public.migrations SET name = $1 WHERE name = 'kernel/9000_pre_x.sql'",
            last,
        )

    assert said == (
        f"cannot start: database scheduling lacks migration {last}: "
        "run python -m scheduling_service --migrate"
    )


@pytest.mark.parametrize(
    ("name", "starts"), [(NEWER, False), ("service/9999_pre_beyond.sql", True)]
)
async def test_a_newer_schema_is_refused_unless_it_was_made_for_a_rolling_upgrade(
    stack: Stack, name: str, starts: bool
) -> None:
    await as_superuser(
        stack, "INSERT INTO public.migrations (name, checksum) VALUES ($1, 'x')", name
    )
    try:
        ended = run(stack, "--check")
    finally:
        await as_superuser(stack, "DELETE FROM public.migrations WHERE name = $1", name)

    if starts:
        assert ended.returncode == 0
    else:
        assert f"has migration {name} that this code does not know: deploy" in refusal(ended)


def test_a_missing_topic_is_refused(stack: Stack, admin: AdminClient) -> None:
    for topic in ("scheduling.link", "matching.match"):  # said and heard
        admin.delete_topics([topic])[topic].result()
        try:
            said = refusal(run(stack, "--check"))
        finally:
            stack.provision([])

        assert f"topics {topic} are missing or scheduling may not see them: create them" in said


TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
LITERAL, PREFIXED = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
READ, WRITE, DESCRIBE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE
RIGHTS = {
    "READ on topic profile.profile": (TOPIC, "profile.profile", LITERAL, READ),
    "READ on topic scheduling.session": (TOPIC, "scheduling.session", LITERAL, READ),
    "WRITE on topic scheduling.session": (TOPIC, "scheduling.session", LITERAL, WRITE),
    "READ on group prefix scheduling.": (GROUP, "scheduling.", PREFIXED, READ),
}


@pytest.mark.parametrize("lacking", RIGHTS)
def test_a_missing_right_is_refused_by_name(stack: Stack, admin: AdminClient, lacking: str) -> None:
    kind, name, pattern, operation = RIGHTS[lacking]
    place = (kind, name, pattern, f"User:{SERVICE}", "*")
    seeing = AclBinding(*place, DESCRIBE, AclPermissionType.ALLOW)  # or it would be a missing topic
    right = AclBindingFilter(*place, operation, AclPermissionType.ALLOW)
    if kind is TOPIC:
        admin.create_acls([seeing])[seeing].result()
    (deleted,) = admin.delete_acls([right]).values()
    assert len(deleted.result()) == 1
    try:
        said = refusal(run(stack, "--check"))
    finally:
        stack.provision([])

    assert lacking in said
    assert "deploy/kafka/topics.toml" in said


def test_a_wrong_kafka_password_is_refused_and_a_silent_kafka_only_by_check(
    stack: Stack, tmp_path: Path
) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("wrong")

    refused = refusal(run(stack, "--check", ONCOMENTOR_KAFKA_PASSWORD_FILE=str(wrong)))
    silent = refusal(run(stack, "--check", ONCOMENTOR_KAFKA_BOOTSTRAP="127.0.0.1:1"))

    assert "Kafka refused the password of user scheduling: check" in refused
    assert silent.startswith("cannot start: Kafka")


def test_a_setting_that_is_wrong_is_named(stack: Stack) -> None:
    said = refusal(run(stack, "--check", ONCOMENTOR_HTTP_PORT="many"))

    assert said.startswith("settings: ONCOMENTOR_HTTP_PORT: ")


def test_one_that_cannot_start_waits_before_it_ends_so_that_its_restarts_do_not_hammer(
    stack: Stack,
) -> None:
    began = time.monotonic()
    checked = run(stack, "--check", ONCOMENTOR_DATABASE_PORT="1")
    at_once = time.monotonic() - began

    began = time.monotonic()
    started = run(stack, ONCOMENTOR_DATABASE_PORT="1")
    waited = time.monotonic() - began

    assert refusal(started) == refusal(checked)
    assert waited > at_once + 2


async def test_a_part_that_ends_by_itself_stops_the_service_and_says_which(stack: Stack) -> None:
    url = f"http://{stack.address(SERVICE)}/health/ready"
    with started(stack) as process:

        async def is_ready() -> bool:
            try:
                async with httpx.AsyncClient() as http:
                    return (await http.get(url)).is_success
            except httpx.TransportError:
                return False

        await eventually(is_ready, within=40)
        await as_superuser(stack, "REVOKE UPDATE ON kit.timers FROM oncomentor_worker")
        try:
            _, said = await asyncio.to_thread(process.communicate, timeout=40)
        finally:
            await as_superuser(stack, "GRANT UPDATE ON kit.timers TO oncomentor_worker")

    assert process.returncode == 1
    assert said == (
        "stopped: timers ended by itself (InsufficientPrivilegeError): start the service again, "
        "and report the log line part_ended\n"
    )


def test_a_port_that_is_taken_is_refused(stack: Stack) -> None:
    taken = stack.address("kafka").rpartition(":")[2]

    said = refusal(run(stack, ONCOMENTOR_HTTP_PORT=taken))

    assert f"cannot listen on 127.0.0.1:{taken} (Address already in use): end what" in said
