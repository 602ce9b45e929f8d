"""What an operator does by mistake: nothing may be skipped silently, and a clear word must be said.

Each drill returns what was wrong, and leaves the ground as it found it.
"""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from testkit.eventually import eventually
from testkit.faults.cycle import run_cycle
from testkit.faults.ground import REPLICAS, Ground
from testkit.faults.processes import TestProcess

TOPIC, READER = "scheduling.link", "notification"
_SAYS_SECONDS = 40.0
_SOON_SECONDS = 10.0
_WATCH_SECONDS = 5.0
_REQUEST_SECONDS = 20.0

Drill = Callable[[Ground, int], Awaitable[list[str]]]


async def recreate_topic(ground: Ground, seed: int) -> list[str]:
    """Delete a topic and make it again while its reader runs: the partitions stop, by name."""
    await asyncio.to_thread(_delete_topic, ground)
    await asyncio.to_thread(ground.stack.start_part, "kafka")  # makes what is missing
    result = await run_cycle(ground, seed, patience_seconds=10)
    heard = {one.event_id for one in result.evidence.heard if one.topic == TOPIC}
    skipped = [
        one for one in result.evidence.log if one.topic == TOPIC and one.event_id not in heard
    ]
    problems = []
    if skipped and not await _says(_reader(ground), "made again", _SOON_SECONDS):
        problems.append(
            f"{READER} runs on and skips {len(skipped)} records of the recreated {TOPIC} "
            "without a word"
        )
    reader = _reader(ground)
    await reader.stop()
    await reader.start()
    if not await _says(reader, "made again"):
        problems.append(f"{READER} starts on a recreated {TOPIC} without a word")
    await _move_positions(ground, to_end=True, forget=True)
    return problems


async def expire_records(ground: Ground, seed: int) -> list[str]:
    """Delete records before they are read: the partitions stop and say which are missing."""
    await run_cycle(ground, seed)
    reader = _reader(ground)
    await reader.stop()
    ends = {tp: end for tp, end in (await ground.tail.ends()).items() if tp.topic == TOPIC}
    gone = [TopicPartition(tp.topic, tp.partition, end) for tp, end in ends.items()]
    await asyncio.to_thread(_delete_records, ground, gone)
    await _move_positions(ground, to_end=False)
    await reader.start()
    said = await _says(reader, "expired unread")
    await _move_positions(ground, to_end=True)
    return [] if said else [f"{READER} passes over expired records of {TOPIC} without a word"]


async def restore_database(ground: Ground, seed: int) -> list[str]:
    """Put PostgreSQL back to an earlier point: relays stop before they say one sequence twice."""
    await ground.stop()
    data = ground.stack.home.folder("postgres") / "data"
    earlier, later = data.with_name("earlier"), data.with_name("later")
    await _with_postgres_down(ground, partial(_copy, data, earlier))
    await ground.start(REPLICAS, {})
    await run_cycle(ground, seed)
    await ground.stop()
    await _with_postgres_down(ground, lambda: [data.rename(later), earlier.rename(data)])
    problems = await _runs_restored(ground)
    await ground.stop()
    await _with_postgres_down(ground, lambda: [data.rename(earlier), later.rename(data)])
    await asyncio.to_thread(shutil.rmtree, earlier)
    await ground.start(REPLICAS, {})
    return problems


async def _runs_restored(ground: Ground) -> list[str]:
    """Start the services on the old database and see what they say and send."""
    before = await ground.tail.ends()
    processes = list(ground.processes.values())
    await asyncio.gather(*(one.start() for one in processes))
    first = [ground.replicas(service)[0] for service in ("profile", "matching")]
    said = await asyncio.gather(*(_says(one, "relay") for one in first))
    await asyncio.sleep(_WATCH_SECONDS)
    after = await ground.tail.ends()
    grown = sorted({tp.topic for tp, end in after.items() if end > before.get(tp, 0)})
    problems = [
        f"{one.service} does not say that it was restored"
        for one, word in zip(first, said, strict=True)
        if not word
    ]
    return problems + [f"a restored relay wrote to {topic}" for topic in grown]


DRILLS: dict[str, Drill] = {
    "topic recreated": recreate_topic,
    "records expired": expire_records,
    "database restored": restore_database,
}
"""By the name that reports give it; the last needs a relay that knows a restored database."""


def _reader(ground: Ground) -> TestProcess:
    return ground.replicas(READER)[0]


async def _says(process: TestProcess, word: str, within: float = _SAYS_SECONDS) -> bool:
    """Tell whether the process names the trouble in its readiness."""

    async def told() -> bool:
        return any(word in reason for reason in await process.missing() or ())

    try:
        return await eventually(told, within=within, every=0.2)
    except AssertionError:
        return False


async def _move_positions(ground: Ground, *, to_end: bool, forget: bool = False) -> None:
    """Stop the reader, set its positions, and start it again where they are at the end."""
    reader = _reader(ground)
    await reader.stop()
    async with ground.access.to(READER) as conn:
        if forget:
            await conn.execute("DELETE FROM kit.consumer_offsets WHERE topic = $1", TOPIC)
        ends = await ground.tail.ends()
        for tp, end in ends.items():
            if tp.topic == TOPIC:
                await conn.execute(
                    """
                    UPDATE kit.consumer_offsets SET next_offset = $3
                     WHERE topic = $1 AND partition = $2
                    """,
                    tp.topic,
                    tp.partition,
                    end if to_end else 0,
                )
    if to_end:
        await reader.start()
        await reader.ready(60)


def _admin(ground: Ground) -> AdminClient:
    login = ground.stack.kafka_login()
    return AdminClient(
        {
            "bootstrap.servers": login["bootstrap"],
            "security.protocol": login["security"],
            "sasl.mechanism": login["mechanism"],
            "sasl.username": login["username"],
            "sasl.password": login["password"],
        }
    )


def _delete_topic(ground: Ground) -> None:
    admin = _admin(ground)
    admin.delete_topics([TOPIC])[TOPIC].result(_REQUEST_SECONDS)
    deadline = time.monotonic() + _REQUEST_SECONDS
    while TOPIC in admin.list_topics(timeout=_REQUEST_SECONDS).topics:
        assert time.monotonic() < deadline, f"{TOPIC} is not deleted"
        time.sleep(0.1)


def _delete_records(ground: Ground, gone: list[TopicPartition]) -> None:
    admin = _admin(ground)  # kept: its requests end with it
    for future in admin.delete_records(gone).values():
        future.result(_REQUEST_SECONDS)


def _copy(data: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", str(data), str(to)], check=True)  # with its owners


async def _with_postgres_down(ground: Ground, work: Callable[[], object]) -> None:
    ground.access.close()
    await asyncio.to_thread(ground.stack.stop_part, "postgres")
    await asyncio.to_thread(work)
    await asyncio.to_thread(ground.stack.start_part, "postgres")
