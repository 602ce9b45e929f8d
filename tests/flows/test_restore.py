"""The operator's command after a restore, against a running network."""

import asyncio
import json
import os
import sys

from testkit.network import Network


async def reconcile(network: Network, service: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, its data and what it said besides."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "oncomentor_cli", "restore", "reconcile", service, "--json",
        env={**os.environ, "ONCOMENTOR_HOME": str(network.stack.home.root)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    data, said = await process.communicate()
    return process.returncode or 0, data.decode(), said.decode()


async def test_a_working_relay_is_left_alone_and_one_that_lost_nothing_has_nothing_to_mend(
    whole: Network,
) -> None:
    code, data, said = await reconcile(whole, "scheduling")
    assert (code, data) == (1, "")
    assert "the relay of scheduling is at work" in said

    whole.stack.kill_part("scheduling")
    code, data, said = await reconcile(whole, "scheduling")
    assert code == 0, said
    counts = {"unknown": 0, "raised": 0, "dropped": 0, "renumbered": 0}
    assert json.loads(data) == {"service": "scheduling", **counts}
