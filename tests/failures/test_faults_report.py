"""A campaign's report: what was done on other code is done again, and nothing else is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from testkit.faults import campaign
from testkit.faults.report import Done, Report, code, table


def _done(cycle: int) -> Done:
    return Done(1, cycle, "cut kafka", 2.0, 100, 300, recoveries=[("kafka", 0.5)])


def test_a_cycle_is_run_again_after_a_change_only(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    before = Report(path, "before")
    before.add(_done(0))
    before.add(_done(1))
    assert Report(path, "before").has(1, 1)
    assert not Report(path, "before").has(1, 2)
    assert not Report(path, "before").has(2, 1)

    after = Report(path, "after")
    assert not after.has(1, 1)
    assert after.of_seed(1) == []
    after.add(_done(1))

    assert after.has(1, 1)
    report = json.loads(path.read_text())
    assert report["codes"] == {"before": 1, "after": 1}
    assert report["cycles"] == 2
    assert "code before, after)" in table(report)


def test_the_code_is_what_lies_in_the_folders_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "deep" / "one.py"
    source.parent.mkdir()
    source.write_text("1")
    (tmp_path / "one.pyc").write_text("1")
    first = code([tmp_path])
    (tmp_path / "one.pyc").write_text("2")
    assert code([tmp_path]) == first

    source.write_text("2")
    changed = code([tmp_path])
    source.rename(tmp_path / "two.py")

    assert len({first, changed, code([tmp_path])}) == 3


@pytest.mark.parametrize(
    ("done", "status"),
    [
        ([_done(0), _done(1)], 0),
        ([_done(0), replace(_done(1), violations=[(1, "an event is lost")])], 1),
        ([_done(0)], 1),  # the other broke off
    ],
)
def test_the_exit_status_tells_whether_all_is_done_and_nothing_violated(
    done: list[Done], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks_off(*_: object) -> None: ...

    monkeypatch.setattr(campaign, "_run", breaks_off)
    report = Report(tmp_path / "faults.json", code())
    for one in done:
        report.add(one)

    found = campaign.main(["--cycles", "2", "--report", str(tmp_path / "faults.json")])

    assert found == status


def test_what_was_violated_on_other_code_is_no_longer_counted(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    Report(path, "before").add(replace(_done(0), violations=[(1, "an event is lost")]))

    assert Report(path, "before").violated == 1
    assert Report(path, "after").violated == 0
