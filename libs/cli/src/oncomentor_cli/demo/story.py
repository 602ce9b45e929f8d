"""The story, step by step: register, let in, publish, answer, and wait until all is said."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from oncomentor_cli.console import Counter
from oncomentor_cli.demo.agents import Agent, watch
from oncomentor_cli.demo.cast import CENTERS, PROGRAMMES
from oncomentor_cli.demo.files import CenterFile, write_files
from oncomentor_cli.demo.inbox import Inbox
from oncomentor_cli.demo.operator import Operator
from oncomentor_cli.demo.rules import Known, known
from oncomentor_cli.demo.world import World
from oncomentor_cli.home import journal_folder
from oncomentor_cli.network import Network
from oncomentor_cli.render import counted
from oncomentor_client.credentials import Credentials
from oncomentor_client.people import read_people
from oncomentor_client.session import SessionOptions, publishing
from oncomentor_contracts import topics
from oncomentor_contracts.identifiers import pseudonym

DOWNSTREAM = "downstream"
_QUIET_SECONDS = 1.5  # nothing new for so long, and nothing left to do: the story is told
_PATIENCE_SECONDS = 25.0  # nothing new for so long, though something is missing: it never comes
_POLL_SECONDS = 0.25

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story plays: a network that is up, and how to speak to the audience."""

    network: Network
    say: Say


async def play(stage: Stage) -> World:
    """Play the story and return what was seen; what is missing in it is for the checks to say.

    Raises:
        ClientError: the network can't be reached, or refuses what the story needs.
    """
    home = stage.network.home.root
    world = World(home=home, began_at=datetime.now(UTC))
    world.files = write_files(home / "demo")
    stage.say(f"{sum(len(one.good) + len(one.faults) for one in world.files)} rows of synthetic "
              f"people in {home / 'demo'}")  # fmt: skip
    await _register(stage)
    await asyncio.to_thread(stage.network.provision, [center.id for center in CENTERS])
    world.credentials = {
        name: Credentials.load(home / "credentials" / f"{name}.toml")
        for name in (DOWNSTREAM, *(center.id for center in CENTERS))
    }
    world.people = _people(world.files, world.credentials)
    async with _watching(world) as background:
        inbox = Inbox(stage.network.address("mail"))
        world.mails = await inbox.mails()
        world.before = world.counts()
        background.start(*(agent.run() for agent in _agents(world)))
        await asyncio.gather(*(_publish(one, world, stage.say) for one in world.files))
        await _wait(world, inbox, background)
    return world


async def _register(stage: Stage) -> None:
    path = stage.network.home.root / "credentials" / "operator.toml"
    async with Operator(Credentials.load(path)) as operator:
        new = await operator.register([center.entry for center in CENTERS], PROGRAMMES)
    stage.say(f"registered {len(CENTERS)} centers and {len(PROGRAMMES)} programmes ({new} new)")


def _people(
    files: tuple[CenterFile, ...], credentials: Mapping[str, Credentials]
) -> dict[UUID, Known]:
    found = {}
    for file in files:
        key = credentials[file.center.id].center_key
        for plan in file.good:
            person_id = pseudonym(key, file.center.id, plan.local_id)
            found[person_id] = known(plan, person_id)
    return found


def _agents(world: World) -> list[Agent]:
    world.agents = [
        Agent(center, world.credentials[center.id], world.observation) for center in CENTERS
    ]
    return world.agents


class Background:
    """Tasks that run beside the story; the first that fails ends it."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *work: Coroutine[Any, Any, None]) -> None:
        """Start these beside the story."""
        self._tasks += [asyncio.create_task(one) for one in work]

    def check(self) -> None:
        """Raise what a task failed with."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def _watching(world: World) -> AsyncIterator[Background]:
    """Read what there is of every topic, then go on reading beside the story."""
    downstream = world.credentials[DOWNSTREAM]
    sources = [
        (downstream, topics.MATCHING_MATCH.named()),
        (downstream, topics.SCHEDULING_SESSION.named()),
        (downstream, topics.NOTIFICATION_DELIVERY.named()),
        *((world.credentials[one.id], topics.EGRESS_RECEIPT.named(one.id)) for one in CENTERS),
    ]
    background = Background()
    caught_up = [asyncio.Event() for _ in sources]
    background.start(
        *(
            watch(holder, topic, world.observation, done)
            for (holder, topic), done in zip(sources, caught_up, strict=True)
        )
    )
    try:
        while not all(done.is_set() for done in caught_up):
            background.check()
            await asyncio.sleep(_POLL_SECONDS / 5)
        yield background
    finally:
        await background.stop()


async def _publish(file: CenterFile, world: World, say: Say) -> None:
    center = file.center
    credentials = world.credentials[center.id]
    rows = world.results.setdefault(center.id, [])
    options = SessionOptions(via=center.publishes_via)
    async with publishing(credentials, journal_folder(credentials, None), options) as publisher:
        async for result in publisher.publish(read_people(file.path)):
            rows.append(result)
    outcomes = [one.outcome.value for one in rows]
    told = counted({name: outcomes.count(name) for name in sorted(set(outcomes))})
    say(f"{center.id} published {file.path.name} over {center.publishes_via.value}: {told}")


async def _wait(world: World, inbox: Inbox, background: Background) -> None:
    """Return when the story is told, or nothing has happened for so long that it never will be."""
    observation, counter = world.observation, Counter()
    since = time.monotonic()
    while True:
        background.check()
        now = time.monotonic()
        quiet_seconds = now - max(since, observation.last_news_at)
        counter.show(_progress(world))
        if quiet_seconds > _QUIET_SECONDS:
            world.mails = await inbox.mails()
            is_told = not any(world.loose_ends()) and not world.unserved()
            if is_told or quiet_seconds > _PATIENCE_SECONDS:
                break
        await asyncio.sleep(_POLL_SECONDS)
    counter.clear()


def _progress(world: World) -> str:
    counts = world.observation.counts()
    told = ", ".join(f"{number} {name}" for name, number in counts.items())
    return f"the centers answer: {told}"
