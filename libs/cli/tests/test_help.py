import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oncomentor_cli.app import app
from oncomentor_cli.exits import Exit

COMMANDS = [
    [], ["validate"], ["publish"], ["tail"], ["demo"], ["doctor"], ["dev"], ["dev", "up"], ["dev", "down"],
    ["dev", "status"], ["dev", "logs"], ["dev", "reset"], ["dev", "provision"],
    ["quarantine"], ["quarantine", "list"], ["quarantine", "show"], ["quarantine", "retry"],
    ["quarantine", "discard"],
    ["restore"], ["restore", "reconcile"],
]  # fmt: skip
HELP_CPU_SECONDS = 0.25
HEAVY = ("aiokafka", "devstack", "httpx", "joserfc", "oncomentor_client", "pydantic", "rich")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(path: list[str]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])

    assert result.exit_code == 0
    assert "Usage: " in result.output


@pytest.mark.parametrize(
    "path",
    [
        ["validate"], ["publish"], ["tail"], ["demo"], ["doctor"], ["dev", "logs"], ["quarantine", "list"],
        ["quarantine", "show"], ["quarantine", "retry"], ["quarantine", "discard"],
        ["restore", "reconcile"],
    ],
)  # fmt: skip
def test_help_shows_an_example(path: list[str]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])

    assert f"oncomentor {' '.join(path)}" in result.output.split("Example", 1)[1]


def test_the_exit_codes_are_documented() -> None:
    text = CliRunner().invoke(app, ["--help"]).output

    for code in Exit:
        assert f"{code.value} " in text.partition("Exit codes: ")[2]


def test_help_answers_at_once() -> None:
    # Processor time, not the clock's; what shares its caches still makes it slower, so once will do.
    tries = (_cpu_seconds("--help") for _ in range(20))

    assert any(seconds < HELP_CPU_SECONDS for seconds in tries)


def test_help_imports_no_library_but_its_own() -> None:
    program = (
        "import sys; from oncomentor_cli.app import app\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    output = subprocess.check_output([sys.executable, "-c", program], text=True)

    assert output.strip() == "[]"


def _cpu_seconds(*arguments: str) -> float:
    command = [str(Path(sys.executable).parent / "oncomentor"), *arguments]
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime


def test_the_readme_names_every_command_and_exit_code() -> None:
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")

    for path in COMMANDS:
        assert all(word in readme for word in path)
    for code in Exit:
        assert f"| {code.value} | " in readme
