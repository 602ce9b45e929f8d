"""A service that holds a round goes on hearing and stays a member of its group."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from confluent_kafka.admin import AdminClient

from devstack.kafka_admin import client_config
from testkit.eventually import eventually
from testkit.network import Network
from testkit.world import a_mentee

HERE = Path(__file__).parent
SECONDS = 15.0  # longer than Kafka waits for a member that says nothing
HEARTBEAT_SECONDS = 3.0  # a member says so often that it lives


@asynccontextmanager
async def matching_that_holds_rounds(network: Network, folder: Path) -> AsyncIterator[None]:
    """Run it in place of the stack's own, until the block ends."""
    environment = os.environ | network.stack.service_environment("matching")
    environment["PYTHONPATH"] = str(HERE.parent / "perf")
    await asyncio.to_thread(network.stack.stop_part, "matching")
    try:
        with (folder / "log").open("wb") as log:
            running = await asyncio.create_subprocess_exec(
                sys.executable, str(HERE / "matching_and_rounds.py"), str(folder / "held"),
                env=environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            yield
        finally:
            running.kill()
            await running.wait()
    finally:
        await asyncio.to_thread(network.stack.start_part, "matching")


def rounds(folder: Path) -> int:
    """Return how many were held; the market is made before the first."""
    told = folder / "held"
    return int(told.read_text() or 0) if told.is_file() else 0


def logged(folder: Path, event: str) -> list[dict[str, Any]]:
    lines = (folder / "log").read_text().splitlines()
    return [one for line in lines if line[:1] == "{" if (one := json.loads(line))["event"] == event]


def members(network: Network, groups: list[str]) -> dict[str, list[str]]:
    login = network.stack.kafka_login("admin")
    admin = AdminClient(client_config(login["bootstrap"], login["username"], login["password"]))
    described = admin.describe_consumer_groups(groups)
    return {
        group: [member.member_id for member in future.result(10).members]
        for group, future in described.items()
    }


async def test_rounds_in_a_service_delay_no_heartbeat_and_no_event(
    whole: Network, tmp_path: Path
) -> None:
    center, programme = await whole.center(), await whole.programme()
    conn = await asyncpg.connect(whole.stack.superuser_dsn("matching"))
    late: list[float] = []

    async def heard(number: int) -> bool:
        who = center.person_id(f"rounds-{number}")
        found: bool = await conn.fetchval(
            "SELECT EXISTS (SELECT FROM people WHERE person_id = $1)", who
        )
        return found

    async with (
        matching_that_holds_rounds(whole, tmp_path),
        httpx.AsyncClient(base_url=whole.url("matching")) as http,
    ):

        async def ready() -> bool:
            try:
                return (await http.get("/health/ready")).is_success
            except httpx.HTTPError:
                return False

        async def held_one() -> bool:
            return rounds(tmp_path) > 0

        await eventually(ready, within=60, every=0.2)
        await eventually(held_one, within=60, every=0.2)
        groups = [one["group"] for one in logged(tmp_path, "partitions_assigned")]
        before, began = members(whole, groups), time.monotonic()
        held = rounds(tmp_path)
        while time.monotonic() < began + SECONDS or rounds(tmp_path) < held + 2:
            number = len(late)
            await center.publish(a_mentee(f"rounds-{number}", programme))
            published = time.monotonic()
            await eventually(partial(heard, number), within=30, every=0.02)
            late.append(time.monotonic() - published)
        after = members(whole, groups)

    await conn.close()
    assert max(late) < HEARTBEAT_SECONDS
    assert groups
    assert all(len(one) == 1 for one in before.values())
    assert before == after
    assert len(logged(tmp_path, "partitions_assigned")) == len(groups)
    assert not logged(tmp_path, "group_joined_anew")
