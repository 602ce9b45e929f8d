import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from devstack.errors import DevstackError
from oncomentor_cli.app import app
from oncomentor_cli.console import command
from oncomentor_cli.demo.files import CenterFile, write_files
from oncomentor_cli.exits import Exit
from oncomentor_cli.failure import code_of
from oncomentor_cli.tail import start_of, topic_named
from oncomentor_client.errors import (
    JournalError,
    JournalLockedError,
    RefusedError,
    UnreachableError,
    UnusableFileError,
)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    names = ("aiokafka", "asyncio", "httpx")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def harbor(home: Path) -> CenterFile:
    return write_files(home / "demo")[0]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_validate_prints_each_problem_with_its_fix(harbor: CenterFile) -> None:
    result = run("validate", harbor.path)

    assert result.exit_code == Exit.FAILED
    for row, fault in harbor.faults.items():
        assert f"{harbor.path.name}:{row}  {fault.field}  {fault.rule}" in result.stdout
    assert result.stdout.count("fix: ") == len(harbor.faults)
    assert "20 good, 2 wrong" in result.stderr
    assert "\x1b" not in result.stdout + result.stderr


def test_validate_as_json_is_one_object_a_line(harbor: CenterFile) -> None:
    *rows, summary = lines(run("validate", harbor.path, "--json"))

    assert {row["row"] for row in rows} == set(harbor.faults)
    assert summary == {"summary": {"good": 20, "wrong": 2}}


def test_validate_of_a_right_file_is_silent_on_standard_output(
    harbor: CenterFile, tmp_path: Path
) -> None:
    kept = [
        line
        for number, line in enumerate(harbor.path.read_text().splitlines(), start=1)
        if number not in harbor.faults
    ]
    (tmp_path / "right.csv").write_text("\n".join(kept))

    result = run("validate", tmp_path / "right.csv")

    assert (result.exit_code, result.stdout) == (Exit.OK, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "/nobody/has/this.csv"],
        ["validate", "FILE", "--format", "xml"],
        ["publish", "FILE", "--as", "nobody-here"],
        ["publish", "FILE", "--as", "harbor-demo", "--via", "pigeon"],
        ["publish", "/nobody/has/this.csv", "--as", "harbor-demo", "--dry-run"],
        ["tail", "nothing", "--as", "harbor-demo"],
        ["tail", "match", "--as", "harbor-demo", "--from", "yesterday"],
        ["dev", "reset"],
        ["dev", "logs", "nobody"],
        ["dev", "provision", "Bad Id"],
        ["quarantine", "retry"],
        ["quarantine", "retry", "matching-1", "--reason", "bad_data"],
        ["quarantine", "discard", "--reason", "made up"],
        ["quarantine", "discard", "matching-1"],
        ["quarantine", "list"],
        ["invent"],
    ],
)
def test_a_wrong_call_is_exit_code_2_without_a_traceback(
    harbor: CenterFile, arguments: list[str]
) -> None:
    result = run(*(str(harbor.path) if one == "FILE" else one for one in arguments))

    assert result.exit_code == Exit.USAGE
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.stderr.strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", "FILE", "--as", "harbor-demo"],
        ["publish", "FILE", "--as", "harbor-demo", "--via", "http"],
        ["tail", "match", "--as", "harbor-demo"],
        ["dev", "status"],
    ],
)
def test_a_network_that_is_not_there_is_exit_code_3(
    harbor: CenterFile, arguments: list[str]
) -> None:
    result = run(*(str(harbor.path) if one == "FILE" else one for one in arguments))

    assert result.exit_code == Exit.UNREACHABLE
    assert "Traceback" not in result.stderr


def test_a_dry_run_says_what_would_be_sent_and_writes_nothing(
    harbor: CenterFile, home: Path
) -> None:
    result = run("publish", harbor.path, "--as", "harbor-demo", "--dry-run", "--json")

    outcomes = [row.get("outcome") for row in lines(result)]
    assert result.exit_code == Exit.FAILED
    assert outcomes.count("would_send") == 20
    assert outcomes.count("invalid") == 2
    assert not (home / "journal").exists()


def test_status_as_json_names_every_part(home: Path) -> None:
    parts = lines(run("dev", "status", "--json"))

    assert {one["name"] for one in parts} >= {"kafka", "postgres", "profile", "matching"}
    assert {one["state"] for one in parts} == {"down"}


def test_reset_takes_the_journals_with_the_data(home: Path) -> None:
    for folder in ("journal/harbor-demo", "demo", "secrets"):
        (home / folder).mkdir(parents=True)

    result = run("dev", "reset", "--yes")

    assert result.exit_code == Exit.OK
    assert [
        one for one in ("journal", "demo", "secrets", "credentials") if (home / one).exists()
    ] == []


def test_logs_prints_the_last_lines(home: Path) -> None:
    (home / "logs").mkdir()
    (home / "logs" / "kafka.log").write_text("one\ntwo\nthree\n")

    assert run("dev", "logs", "kafka", "-n", "2").stdout == "two\nthree\n"
    assert run("dev", "logs", "postgres").exit_code == Exit.UNREACHABLE


def test_a_center_names_its_topics_by_their_last_word() -> None:
    assert topic_named("match", "harbor-demo") == "egress.harbor-demo.match"
    assert topic_named("receipt", "harbor-demo") == "egress.harbor-demo.receipt"
    assert topic_named("match", None) == "matching.match"
    assert topic_named("scheduling.session", None) == "scheduling.session"
    with pytest.raises(typer.BadParameter, match=r"egress\.harbor-demo\.match"):
        topic_named("matches", "harbor-demo")


def test_a_start_is_a_word_or_an_instant() -> None:
    assert start_of("beginning") == "beginning"
    assert start_of("now") == "latest"
    assert str(start_of("2026-03-02T09:00Z")) == "2026-03-02 09:00:00+00:00"
    assert str(start_of("2026-03-02")) == "2026-03-02 00:00:00+00:00"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnusableFileError("x"), 2),
        (UnreachableError("x"), 3),
        (DevstackError("x"), 3),
        (RefusedError("x"), 4),
        (JournalError("x"), 6),
        (JournalLockedError("x"), 6),
        (ValueError("x"), None),
    ],
)
def test_one_failure_has_one_exit_code(error: Exception, code: int | None) -> None:
    assert code_of(error) == code


def test_a_bug_is_said_to_be_ours_and_shown_only_when_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @command
    def broken() -> None:
        raise KeyError("surprise")

    with pytest.raises(typer.Exit) as quiet:
        broken()
    said = capsys.readouterr().err
    monkeypatch.setenv("ONCOMENTOR_DEBUG", "1")
    with pytest.raises(typer.Exit):
        broken()

    assert quiet.value.exit_code == Exit.BUG
    assert "our fault" in said
    assert "Traceback" not in said
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as end:
        interrupted()

    assert end.value.exit_code == Exit.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_has_seen_enough_is_no_error(harbor: CenterFile) -> None:
    many = harbor.path.read_text().replace("Tue 13:00-16:00", "Tue 16:00-13:00")
    rows = many.splitlines()
    harbor.path.write_text("\n".join([rows[0], *(rows[1:] * 400)]))
    process = subprocess.Popen(
        [sys.executable, "-m", "oncomentor_cli", "validate", str(harbor.path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ},
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()

    _, error = process.communicate(timeout=60)

    assert process.returncode == Exit.OK
    assert b"Traceback" not in error
    assert b"BrokenPipe" not in error
