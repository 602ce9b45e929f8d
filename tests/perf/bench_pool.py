"""A programme's people in memory, from profiles: what a change and what building it anew take.

Nobody is real: words of the project's vocabularies, drawn from a seed.
"""

import gc
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from frame import Goal, Pair, bench

from matching_service.app import taxonomy
from matching_service.domain.pool import Center, Context, Mentee, Mentor, Person, Programme
from matching_service.engine import snapshot
from matching_service.engine.certificate import certificate, sheet
from matching_service.engine.hold import Asked, hold_round
from matching_service.engine.pool import Pool
from matching_service.engine.verify import verify
from oncomentor_contracts import vocabulary

NEEDS_STACK = False
PEOPLE, CHANGES = 10_000, 2_000
_NOW = datetime(2026, 3, 2, tzinfo=UTC)
_WEIGHTS = (
    ("goals", 0.3), ("topics", 0.3), ("methods", 0.1), ("career_stage", 0.1), ("availability", 0.2),
)  # fmt: skip


class _People:
    """People of one seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - synthetic people
        self._words = {name: sorted(vocabulary.known(name)) for name in ("goal", "topic", "method")}
        self._stages = sorted(vocabulary.known("career_stage"))
        self._centers = [Center(f"c{number}", "PT") for number in range(60)]

    def some(self, name: str, most: int) -> frozenset[str]:
        return frozenset(self._dice.sample(self._words[name], self._dice.randint(1, most)))

    def person(self, number: int) -> Person:
        dice = self._dice
        begins = [(dice.randint(1, 5), 60 * dice.randint(8, 17)) for _ in range(4)]
        return Person(
            UUID(int=number),
            dice.choice(self._centers),
            version=1,
            changed_at=_NOW,
            time_zone=dice.choice(("Europe/Lisbon", "Europe/Athens", "Asia/Kolkata")),
            languages=("en",),
            hours=tuple((day, begin, begin + 120) for day, begin in begins),
            career_stage=dice.choice(self._stages),
            topics=self.some("topic", 4),
            methods=self.some("method", 4),
            consents=frozenset({"matching"}),
        )

    def mentor(self, number: int) -> Mentor:
        return Mentor(self.person(number), offers=self.some("goal", 4), seats=3)

    def mentee(self, number: int) -> Mentee:
        return Mentee(self.person(number), goals=self.some("goal", 3))


@cache
def _programme() -> tuple[Context, list[Mentee], list[Mentor], _People]:
    people = _People(1)
    context = Context(Programme("bench", weights=_WEIGHTS), _NOW, taxonomy())
    mentees = [people.mentee(1 + n) for n in range(PEOPLE)]
    return context, mentees, [people.mentor(1 + PEOPLE + n) for n in range(PEOPLE)], people


@bench(
    "engine.rebuild",
    unit="s: a pool of 10k mentors and 10k mentees from their profiles",
    goal=Goal(10, "at_most"),
    limit_is="none",
)
async def rebuild(_: object) -> Pair:
    """Everybody laid out anew."""
    context, mentees, mentors, _people = _programme()
    began = time.perf_counter()
    Pool(context, mentees, mentors)
    return Pair(time.perf_counter() - began)


@bench(
    "engine.verify",
    unit="M pairs/s: an auditor's check of a round of 1k mentors x 4k mentees, floors at 0.9",
    goal=Goal(0.5, "at_least"),
    limit_is="none; numpy alone, one process",
)
async def checked(_: object) -> Pair:
    """Every pair worked out again, by other means."""
    people = _People(3)
    context = Context(Programme("bench", weights=_WEIGHTS), _NOW, taxonomy())
    mentors = [people.mentor(1 + n) for n in range(1_000)]
    pool = Pool(context, [people.mentee(1_001 + n) for n in range(4_000)], mentors)
    held = hold_round(pool, Asked(floor=0.9))
    of = sheet(pool, held.cohort)
    made = json.loads(json.dumps(certificate(pool, held, of)))
    began = time.perf_counter()
    found = verify(made, of)
    took = time.perf_counter() - began
    assert found["served"] == len({match.mentee_id for match in held.matches})
    sys.stderr.write(f"  gap {found['gap']:.6f} of {found['points']:.2f} points\n")
    return Pair(found["pairs"] / took / 1e6)


@bench(
    "engine.restore",
    unit="s: that pool from a snapshot of it",
    goal=Goal(0.2, "at_most_ratio"),
    limit_is="the same pool from profiles, in seconds",
)
async def restore(_: object) -> Pair:
    """Everybody laid out as they were."""
    context, mentees, mentors, _people = _programme()
    began = time.perf_counter()
    made = Pool(context, mentees, mentors)
    anew = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool"
        snapshot.write(path, made)
        began = time.perf_counter()
        again = snapshot.read(path)
        took = time.perf_counter() - began
    assert again.mentee_ids == made.mentee_ids
    return Pair(took, anew)


@bench(
    "engine.warm_start",
    unit="s: a process from nothing to a proved round, what is compiled being on disk",
    goal=Goal(3, "at_most"),
    limit_is="none",
)
async def warm_start(_: object) -> Pair:
    """What a process that starts waits for."""
    _start()  # compiled, if it was not
    return Pair(_start())


def _start() -> float:
    """Return the seconds that a process takes that does everything once."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "matching_service.engine.warm", "rounds"], check=True)
    return time.perf_counter() - began


@bench(
    "engine.upsert_mentee",
    unit="us, median: a mentee of 10k has changed, and the pool has them as they are now",
    goal=Goal(200, "at_most"),
    limit_is="none",
)
async def upsert_mentee(_: object) -> Pair:
    """A changed profile of the other side."""
    context, mentees, mentors, people = _programme()
    put = Pool(context, mentees, mentors).put_mentee
    return _changed(mentees, put, lambda: {"goals": people.some("goal", 3)})


def _changed(side: list[Any], put: Callable[[Any], None], codes: Callable[[], Any]) -> Pair:
    """Return the median us of putting changed people of one side into the pool that they are in."""
    took, people = [], _programme()[-1]
    for one in random.Random(2).sample(side, CHANGES):  # noqa: S311 - synthetic people
        person = replace(one.person, topics=people.some("topic", 4), version=2)
        changed = replace(one, person=person, **codes())
        began = time.perf_counter()
        put(changed)
        took.append(time.perf_counter() - began)
    sys.stderr.write(f"  p99 {np.percentile(took, 99) * 1e6:.0f} us\n")
    return Pair(float(np.median(took)) * 1e6)


def _resident() -> float:
    """Return the MB that this process has in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _grown() -> float:
    """Return the MB by which this process grows when a pool is built of profiles it has already."""
    context, mentees, mentors, _people = _programme()
    small = Pool(context, mentees[:10], mentors[:10])  # whatever is loaded at first use is there
    before = _resident()
    pool = Pool(context, mentees, mentors)
    grown = _resident() - before
    assert len(pool.mentee_ids) + len(pool.mentor_ids) == 2 * PEOPLE > len(small.mentee_ids)
    return grown


@bench(
    "engine.pool_memory",
    unit="MB for 1,000 people of a pool of 10k mentors and 10k mentees: what the process grows by",
    goal=Goal(10, "at_most"),
    limit_is="none; arrays, ids, tables and what allocating them leaves, in a process of its own",
)
async def pool_memory(_: object) -> Pair:
    """What a pool takes with all there is to it."""
    return Pair(_grown_elsewhere() / (2 * PEOPLE) * 1000)


def _grown_elsewhere() -> float:
    code = "import bench_pool; print(bench_pool._grown())"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, check=True, capture_output=True
    )
    return float(ran.stdout)


@bench(
    "engine.upsert",
    unit="us, median: a mentor of 10k has changed, and the pool has them as they are now",
    goal=Goal(200, "at_most"),
    limit_is="none",
)
async def upsert(_: object) -> Pair:
    """A changed profile."""
    context, mentees, mentors, people = _programme()
    put = Pool(context, mentees, mentors).put_mentor
    return _changed(mentors, put, lambda: {"offers": people.some("goal", 4)})
