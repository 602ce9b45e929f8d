"""The faults: each does harm in the midst of a load and has everything run again at its end."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGQUIT, SIGSTOP, Signals

import httpx

from testkit.eventually import eventually
from testkit.faults import inject
from testkit.faults.cycle import Fault, Scene
from testkit.faults.disk import fill_disk
from testkit.faults.plan import PLACES, Action, Order
from testkit.faults.processes import TestProcess
from testkit.faults.service import LEASE, SESSION_MS
from testkit.history import Frozen
from testkit.proxy import Cut, Proxy

NEW_TYPE = "match.noted.v1"
_REACHED_SECONDS = 5.0
_HOUR = 3600
_MANY = 200


def _owners(place: str) -> tuple[str, ...]:
    """Return the services that pass this failpoint often."""
    if place.startswith("effect."):
        return ("notification",)
    if place.startswith("timer."):
        return "scheduling", "notification"
    if place.startswith("relay."):
        return "profile", "notification"  # of the others one replica alone has the relay
    return "profile", "matching", "scheduling", "notification"


def _one_of(scene: Scene, services: tuple[str, ...]) -> TestProcess:
    there = [s for s in services if scene.ground.replicas(s)] or scene.ground.services
    return scene.chance.choice(scene.ground.replicas(scene.chance.choice(there)))


async def _restarted(process: TestProcess, **more: str) -> None:
    process.more = dict(more)
    await process.start()
    await process.ready(40)


def at(place: str, action: Action) -> Fault:
    """Return the fault that does something to one process at a failpoint."""

    async def strike(scene: Scene) -> None:
        process = _one_of(scene, _owners(place))
        seconds = scene.chance.uniform(0.5, 2.0)
        nth = scene.chance.randint(1, 3)
        if place.startswith("relay."):
            nth = 1  # where all is slow all goes out in one page, and there is no second one
        order = Order(place, nth, action, seconds)
        if place == "relay.took_over":
            await process.kill()
            order = Order(place, 1, action, seconds)
            process.more = {"FAULTS_ORDERS": json.dumps([asdict(order)])}
            await process.start()
        else:
            await process.arm([order])
        await _happens(scene, process, order)

    return strike


async def _happens(scene: Scene, process: TestProcess, order: Order) -> None:
    """Wait until the order is carried out, then have the process run as before."""

    async def carried_out() -> bool:
        return (order.place, order.action) in process.notes

    with suppress(AssertionError):
        await eventually(carried_out, within=_REACHED_SECONDS)
    if not await carried_out() and process.runs:
        with suppress(httpx.ConnectError):  # the place is reached, and it is gone, just now
            await process.arm([])
    if not await carried_out():
        scene.notes.left_undone.append(f"{order.place} was not reached by {process.name}")
        return
    scene.notes.places.append(order.place)
    match order.action:
        case "kill":
            scene.interrupted("service")
            await process.ended(_REACHED_SECONDS)
            await _restarted(process)
        case "stop":
            await _thawed(scene, process)
        case _:
            scene.interrupted()


async def _thawed(scene: Scene, process: TestProcess) -> None:
    """Keep a stopped process beyond its session, then let it go on."""
    since = time.time()
    scene.interrupted()
    await asyncio.sleep(SESSION_MS / 1000 + scene.chance.uniform(1.0, 3.0))
    scene.notes.frozen.append(Frozen(f"{process.name}.{process.starts}", since, time.time()))
    process.send(SIGCONT)


async def kill_service(scene: Scene) -> None:
    """Kill a service wherever it is."""
    process = _one_of(scene, ("profile", "matching", "scheduling", "notification"))
    scene.interrupted("service")
    await process.kill()
    await _restarted(process)


async def freeze_service(scene: Scene) -> None:
    """Freeze a service wherever it is, beyond its session."""
    process = _one_of(scene, ("matching", "scheduling"))
    process.send(SIGSTOP)
    await _thawed(scene, process)


async def stop_service(scene: Scene) -> None:
    """Stop a service gently in the midst of its work."""
    process = _one_of(scene, ("profile", "matching", "scheduling", "notification"))
    scene.notes.stops.append(await process.stop())
    await _restarted(process)


def kill_part(part: str, number: Signals) -> Fault:
    """Return the fault that ends the broker or the database and starts it again."""

    async def strike(scene: Scene) -> None:
        stack = scene.ground.stack
        await asyncio.to_thread(stack.kill_part, part, number)
        if number is not SIGKILL:
            await asyncio.sleep(1)
        await asyncio.to_thread(stack.start_part, part)
        # Counted from here: how fast a broker starts is the machine's business.
        scene.interrupted("kafka" if part == "kafka" else "postgres")

    return strike


def pause_part(part: str) -> Fault:
    """Return the fault that stops every process of a part for some seconds."""

    async def strike(scene: Scene) -> None:
        scene.interrupted()
        status = next(one for one in scene.ground.stack.status() if one.name == part)
        assert status.pid is not None
        pids = [status.pid, *_children(status.pid)]
        for pid in pids:
            _signal(pid, SIGSTOP)
        await asyncio.sleep(scene.chance.uniform(2.0, 5.0))
        for pid in pids:
            _signal(pid, SIGCONT)

    return strike


def _children(pid: int) -> list[int]:
    """Return the processes that this one started.

    Source: proc(5), /proc/pid/task/tid/children.
    """
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _signal(pid: int, number: Signals) -> None:
    with suppress(ProcessLookupError):  # a session of the database that has ended by itself
        os.kill(pid, number)


def through(which: str, harm: Callable[[Scene, Proxy], None]) -> Fault:
    """Return the fault that does something to a proxy for a second or more."""

    async def strike(scene: Scene) -> None:
        proxy: Proxy = getattr(scene.ground, which)
        scene.interrupted()
        harm(scene, proxy)
        await asyncio.sleep(scene.chance.uniform(1.0, 3.0))
        proxy.heal()

    return strike


def _cut(_: Scene, proxy: Proxy) -> None:
    proxy.refuses = True
    proxy.cut()


def _slow(scene: Scene, proxy: Proxy) -> None:
    proxy.delay_seconds = scene.chance.uniform(0.01, 0.06)


def lose_commits(when: Cut) -> Fault:
    """Return the fault that cuts connections around COMMIT, so that its outcome is unknown."""

    async def strike(scene: Scene) -> None:
        proxy = scene.ground.postgres
        before = proxy.commits_cut
        proxy.cut_when, proxy.cut_commits = when, scene.chance.randint(2, 8)
        await asyncio.sleep(1.5)
        proxy.heal()
        scene.interrupted()
        scene.notes.interruptions += proxy.commits_cut - before

    return strike


async def record_late(scene: Scene) -> None:
    """Keep what went out from being recorded until its lease is over and our own claim renews it.

    PostgreSQL is slow then, so that the record and the answer to that claim overtake each other.
    """
    process = _one_of(scene, ("notification",))
    await process.arm([Order("effect.recorded", nth, "raise") for nth in range(1, _MANY)])
    scene.interrupted()
    await asyncio.sleep(LEASE.total_seconds() + scene.chance.uniform(0.2, 2.0))
    scene.ground.postgres.delay_seconds = scene.chance.uniform(0.05, 0.3)
    await asyncio.sleep(2)
    await process.arm([])
    await asyncio.sleep(2)
    scene.ground.postgres.heal()


def skew_clock(seconds: int) -> Fault:
    """Return the fault that gives one replica a clock that is an hour off."""

    async def strike(scene: Scene) -> None:
        process = _one_of(scene, ("matching", "scheduling"))
        scene.notes.stops.append(await process.stop())
        await _restarted(process, FAULTS_SKEW=str(seconds))
        scene.notes.afterwards.append(partial(_as_usual, process))

    return strike


async def roll_contracts(scene: Scene) -> None:
    """Bring the next release's contracts to one replica of each service after the other."""
    scene.notes.newer_types.add(NEW_TYPE)
    for name in ("scheduling-b", "matching-b"):
        process = scene.ground.processes[name]
        scene.notes.stops.append(await process.stop())
        await _restarted(process, FAULTS_CONTRACT="new")
        scene.notes.afterwards.append(partial(_as_usual, process))


async def _as_usual(process: TestProcess) -> None:
    """Start a process again as it usually is."""
    await process.stop()
    await _restarted(process)


FAULTS: dict[str, Fault] = {
    **{f"kill at {place}": at(place, "kill") for place in PLACES},
    **{f"freeze at {p}": at(p, "stop") for p in ("slice.begin", "slice.moved", "relay.page_read",
                                               "relay.page_acked", "effect.performed")},
    **{f"fail at {p}": at(p, "raise") for p in ("slice.locked", "slice.moved", "slice.committed",
                                              "offsets.commit", "relay.page_acked", "timer.worked",
                                              "effect.performed", "effect.recorded")},
    **{f"delay at {p}": at(p, "delay") for p in ("slice.locked", "slice.moved", "relay.page_read",
                                               "relay.page_acked", "timer.claimed")},
    "kill a service": kill_service,
    "freeze a service": freeze_service,
    "stop a service": stop_service,
    "kill kafka": kill_part("kafka", SIGKILL),
    "kill postgres": kill_part("postgres", SIGKILL),
    "end postgres at once": kill_part("postgres", SIGQUIT),
    "pause kafka": pause_part("kafka"),
    "pause postgres": pause_part("postgres"),
    "cut kafka": through("kafka", _cut),
    "cut postgres": through("postgres", _cut),
    "slow kafka": through("kafka", _slow),
    "slow postgres": through("postgres", _slow),
    "lose the answer of commits": lose_commits("after"),
    "lose commits": lose_commits("before"),
    "record late": record_late,
    "clock an hour ahead": skew_clock(_HOUR),
    "clock an hour behind": skew_clock(-_HOUR),
    "roll to new contracts": roll_contracts,
    "repeat records": inject.repeat,
    "bad records": inject.write_bad,
    "full disk of kafka": fill_disk("kafka"),
    "full disk of postgres": fill_disk("postgres"),
}  # fmt: skip
"""Every fault by the name that reports give it."""
