import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL, SIGSTOP, SIGTERM

import pytest

from devstack import process
from devstack.process import Command, Mark

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
STEPS = ((SIGTERM, 5.0), (SIGKILL, 5.0))


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Mark]:
    command = Command(SLEEP, {process.MARK: f"{tmp_path}#sleeper"}, tmp_path)
    mark = process.spawn(command, tmp_path / "log")
    yield mark
    process.end(mark, ((SIGKILL, 5.0),))


def test_a_started_process_is_told_from_one_that_took_over_its_pid(sleeper: Mark) -> None:
    recycled = replace(sleeper, born="another time")

    assert process.is_alive(sleeper)
    assert not process.is_alive(recycled)


def test_a_process_that_took_over_a_pid_gets_no_signal(sleeper: Mark) -> None:
    recycled = replace(sleeper, born="another time")

    process.end(recycled, STEPS)

    assert not process.send(recycled, SIGKILL)
    assert process.is_alive(sleeper)


def test_an_ended_process_is_gone_and_leaves_no_zombie(sleeper: Mark) -> None:
    process.end(sleeper, STEPS)

    assert not process.is_alive(sleeper)
    assert process.mark(sleeper.pid) is None


def test_a_process_that_does_not_answer_is_killed_after_its_time(sleeper: Mark) -> None:
    process.send(sleeper, SIGSTOP)

    process.end(sleeper, ((SIGTERM, 5.0), (SIGKILL, 5.0)))

    assert not process.is_alive(sleeper)


def test_a_process_nobody_wrote_down_is_found_by_its_mark(sleeper: Mark, tmp_path: Path) -> None:
    assert process.find(f"{tmp_path}#sleeper") == sleeper
    assert process.find(f"{tmp_path}#another") is None
