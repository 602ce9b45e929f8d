"""Kafka is away for an hour: what is said meanwhile lies on disk and not in memory."""

import asyncio
import sys
from pathlib import Path

import httpx
from bench_consume import TABLES
from frame import Goal, Pair, bench
from surroundings import Surroundings, resident_bytes

from oncomentor_contracts.topics import PROFILE_PROFILE

AN_HOUR = 1_800_000
"""Events, 500 a second."""
WARM_UP = 100_000
PER_COMMIT = 2_000
_TALKER = Path(__file__).with_name("talker.py")
_PATIENCE_SECONDS = 600


class _Service:
    """A service that says things, and the most it held in memory since the last look."""

    def __init__(self, around: Surroundings, http: httpx.AsyncClient, pid: int) -> None:
        self._around, self._http, self._pid = around, http, pid
        self._most = 0

    def most(self) -> int:
        """Return the most bytes since the last time this was asked."""
        found, self._most = self._most, 0
        sys.stderr.write(f"  {found / 1e6:.0f} MB at most\n")
        return found

    async def say(self, count: int) -> None:
        for _ in range(0, count, PER_COMMIT):
            (await self._http.post("/say", params={"count": PER_COMMIT})).raise_for_status()
            self._look()

    async def sent(self, end: int) -> None:
        """Wait until so many events are on the topic."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await self.end() < end:
                self._look()
                await asyncio.sleep(0.2)

    async def end(self) -> int:
        return sum((await self._around.ends(PROFILE_PROFILE.named())).values())

    def _look(self) -> None:
        self._most = max(self._most, resident_bytes(self._pid))


@bench(
    "relay.an_hour_away",
    unit="times a service's memory before, at most, while Kafka is away for 1.8M events and until they are sent",
    goal=Goal(1.2, "at_most"),
    limit_is="none; an hour of 500 events/s, said as fast as they can be",
    runs=1,
)
async def an_hour_away(around: Surroundings) -> Pair:
    """The outbox grows, the service does not."""
    await around.migrate("profile", TABLES)
    address = f"http://{around.stack.address('profile')}"
    async with (
        around.process(_TALKER, "profile") as process,
        httpx.AsyncClient(base_url=address, timeout=60) as http,
    ):
        await around.ready("profile")
        service = _Service(around, http, process.pid)
        begin = await service.end()
        await service.say(WARM_UP)
        await service.sent(begin + WARM_UP)
        before = service.most()
        await asyncio.to_thread(around.stack.stop_part, "kafka")
        await service.say(AN_HOUR)
        meanwhile = service.most()
        await asyncio.to_thread(around.stack.start_part, "kafka")
        await service.sent(begin + WARM_UP + AN_HOUR)
        return Pair(max(meanwhile, service.most()) / before)
