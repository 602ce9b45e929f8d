"""A pool that was written and read goes on like the one that was written."""

import io
import pickle
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.matching.tests.people import People, a_pool_of

from matching_service.domain.pool import Pair
from matching_service.engine import snapshot
from matching_service.engine.columns import OutgrownError
from matching_service.engine.explain import explain
from matching_service.engine.hold import Asked, hold_round
from matching_service.engine.pool import Pool
from matching_service.engine.snapshot import SnapshotError

SEEDS = st.integers(0, 10**9)


def read_again(pool: Pool, folder: Path) -> Pool:
    snapshot.write(folder / "pool", pool)
    return snapshot.read(folder / "pool")


def answers(pool: Pool) -> object:
    """Return what both sides are told, to the last bit, and what each pair breaks."""
    mentees, mentors = sorted(pool.mentee_ids), sorted(pool.mentor_ids)
    return (
        pool.best_mentors(mentees, 5),
        [pool.best_mentees(one, 5) for one in mentors],
        [[rule.name for rule in pool.broken(j, i)] for j in mentees for i in mentors],
        pool.centers,
    )


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, kind=st.sampled_from(["research", "survivorship"]))
def test_people_come_change_and_go_alike_in_both(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    people = People(seed, kind=kind)
    context = people.context()
    pool = Pool(
        context,
        [people.mentee(f"e{n}") for n in range(6)],
        [people.mentor(f"o{n}") for n in range(6)],
    )
    other = read_again(pool, tmp_path_factory.mktemp("snapshot"))
    assert answers(other) == answers(pool)

    for n in range(8):
        name = f"{people.random.randrange(9)}"
        mentee, mentor = people.mentee(f"e{name}"), people.mentor(f"o{name}")
        for one in (pool, other):
            try:
                one.put_mentee(mentee)
                one.put_mentor(mentor)
            except OutgrownError:
                continue
            if n % 3 == 0:
                one.drop_mentee(mentee.person.person_id)
                one.drop_mentor(mentor.person.person_id)
        assert answers(other) == answers(pool)


def test_a_round_of_what_was_read_is_the_round_of_what_was_written(tmp_path: Path) -> None:
    _, (mentees, mentors), _ = a_pool_of(5, 30, 12)
    context, *_ = a_pool_of(5)
    context = replace(context, programme=replace(context.programme, participants=None))
    pool = Pool(context, mentees, mentors)
    other = read_again(pool, tmp_path)

    rounds = [hold_round(one, Asked(floor=0.5)) for one in (pool, other)]

    assert rounds[0].matches
    assert rounds[0].matches == rounds[1].matches
    pair = Pair(mentees[0], mentors[0])
    assert explain(pool, rounds[0], pair) == explain(other, rounds[1], pair)


def test_only_its_owner_can_read_it_and_the_last_one_stays_until_the_next_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pool"
    snapshot.write(path, Pool(a_pool_of(1)[0]))
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space left"):
        snapshot.write(path, Pool(a_pool_of(2)[0]))
    assert path.read_bytes() == before


def test_what_is_no_whole_snapshot_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    snapshot.write(path, Pool(*a_pool_of(1)[:1]))
    whole = path.read_bytes()

    with pytest.raises(FileNotFoundError):
        snapshot.read(tmp_path / "nothing")
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(
            SnapshotError, match=r"pool is no whole snapshot .* lay the people out anew"
        ):
            snapshot.read(path)


def test_a_snapshot_of_other_sources_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot.write(tmp_path / "pool", Pool(a_pool_of(1)[0]))
    monkeypatch.setattr(snapshot, "_sources", lambda: "tomorrow's")

    with pytest.raises(SnapshotError, match="is of another version: lay the people out anew"):
        snapshot.read(tmp_path / "pool")


def test_a_file_can_name_nothing_but_a_pool_s_own_classes(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    file = io.BytesIO()
    pickle.dump(_Run(marker), file)
    graph = np.frombuffer(file.getvalue(), np.uint8)
    np.savez(tmp_path / "pool.npz", sources=np.array(snapshot._sources()), graph=graph)

    with pytest.raises(SnapshotError, match="is no whole snapshot"):
        snapshot.read(tmp_path / "pool.npz")
    assert not marker.exists()


class _Run:
    """What an attacker would put into a pickle."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._marker,)
