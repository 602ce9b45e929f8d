"""Set-up is quick when nothing changed, repairs itself, and fails in one sentence."""

import ast
import errno
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

WARM_SECONDS = 2.0

# A process without the power to ignore file modes, so that root meets what others meet.
AS_ANYBODY = """
import ctypes, os, sys
if os.geteuid() == 0 and sys.platform == "linux":
    drop_from_bounding_set, dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)
os.execv(sys.executable, [sys.executable, sys.argv[1]])
"""
AS_OLD_PYTHON = """
import runpy, sys
sys.version_info = (3, 9, 2)
runpy.run_path(sys.argv[1], run_name="__main__")
"""
WITHOUT_ENSUREPIP = """
import importlib.util, os, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "ensurepip" else find(name, *rest)
sys.path.insert(0, os.path.dirname(sys.argv[1]))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """What set-up reads of a fresh clone."""
    for name in (*root.glob("*/pyproject.toml"), *root.glob("*/*/pyproject.toml")):
        target = tmp_path / name.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "requirements", tmp_path / "requirements", ignore=ignored)
    return tmp_path


@pytest.fixture
def closed_index() -> Iterator[Mapping[str, str]]:
    """The environment of a machine whose package index refuses connections."""
    with socket.socket() as bound_but_deaf:
        bound_but_deaf.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound_but_deaf.getsockname()[1]}/simple"
        yield {"PIP_INDEX_URL": address, "UV_DEFAULT_INDEX": address, "PIP_NO_CACHE_DIR": "1"}


def environment(**changes: str) -> dict[str, str]:
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))
    }
    return plain | changes


def set_up(
    checkout: Path, *, wrapped_in: str = "", **changes: str
) -> subprocess.CompletedProcess[str]:
    script = str(checkout / "requirements" / "bootstrap.py")
    command = ["-c", wrapped_in, script] if wrapped_in else [script]
    return subprocess.run(
        [sys.executable, *command],
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a failed set-up ends with."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_warm_set_up_is_quick_and_silent(root: Path) -> None:
    seconds = []

    for _ in range(3):  # the best of three: a busy machine is not a slow set-up
        started = time.monotonic()
        set_up(root, PIP_INDEX_URL="http://127.0.0.1:1", UV_OFFLINE="1").check_returncode()
        seconds.append(time.monotonic() - started)
    last = set_up(root)

    assert min(seconds) < WARM_SECONDS
    assert (last.stdout, last.stderr) == ("", "")


def test_any_python_3_can_read_the_bootstrap(root: Path) -> None:
    source = (root / "requirements" / "bootstrap.py").read_text()

    ast.parse(source, feature_version=(3, 5))

    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.JoinedStr)]


def test_an_old_python_is_told_what_to_install(checkout: Path, tmp_path: Path) -> None:
    done = set_up(checkout, wrapped_in=AS_OLD_PYTHON, PATH=str(tmp_path))

    assert "Python 3.11 or newer is needed and none is on PATH: install one" in refusal(done)


def test_an_old_python_hands_over_to_a_newer_one_on_path(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "python3.12").symlink_to(sys.executable)
    (checkout / "requirements" / "dev.lock").unlink()

    done = set_up(checkout, wrapped_in=AS_OLD_PYTHON, PATH=str(tmp_path))

    assert "dev.lock" in refusal(done)  # so the newer one was at work


def test_make_without_any_python_says_so(root: Path, tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None

    done = subprocess.run(
        [make, "setup"],
        cwd=root,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "Python 3.11 or newer is needed and none is on PATH: install one" in done.stderr


def test_a_python_without_ensurepip_is_told_which_package_has_it(checkout: Path) -> None:
    done = set_up(checkout, wrapped_in=WITHOUT_ENSUREPIP)

    assert f"apt-get install python3.{sys.version_info.minor}-venv" in refusal(done)


def test_a_folder_that_is_not_writable_is_named(checkout: Path) -> None:
    checkout.chmod(0o555)

    done = set_up(checkout, wrapped_in=AS_ANYBODY)
    checkout.chmod(0o755)

    assert f"{checkout}/.venv is not writable for this user" in refusal(done)


def test_a_failed_download_says_that_the_next_run_resumes_and_so_it_does(
    checkout: Path, closed_index: Mapping[str, str]
) -> None:
    leftover = checkout / ".venv" / "half-written"
    leftover.parent.mkdir()
    leftover.touch()

    first = set_up(checkout, **closed_index)
    second = set_up(checkout, **closed_index)

    assert "a download failed" in refusal(first)
    assert "the next run resumes" in refusal(second)
    assert not leftover.exists()
    assert "(1/4)" in first.stderr
    assert "(1/4)" not in second.stderr


def test_two_set_ups_at_once_go_one_after_the_other(
    checkout: Path, closed_index: Mapping[str, str]
) -> None:
    handle = os.open(checkout / "requirements", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)

    second = subprocess.Popen(
        [sys.executable, str(checkout / "requirements" / "bootstrap.py")],
        env=environment(**closed_index),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert second.stderr is not None
    waiting = second.stderr.readline()
    waited_without_a_venv = not (checkout / ".venv").exists()
    os.close(handle)
    rest = second.communicate()[1]

    assert "another set-up is at work in this folder" in waiting
    assert waited_without_a_venv
    assert "(1/4)" in rest


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_a_full_disk(root: Path, number: int) -> None:
    words = {
        "by set-up itself": f"complaint.about_files(OSError({number}, 'x'), Path('/here'))",
        "by pip": f"complaint.about_output(['ERROR: [Errno {number}] {os.strerror(number)}'], Path('/here'))",
        "by uv": f"complaint.about_output(['  ╰─▶ {os.strerror(number)} (os error {number})'], Path('/here'))",
    }

    said = {who: evaluate(root, call) for who, call in words.items()}

    assert all("the disk is full: free about 1 GB" in sentence for sentence in said.values()), said


def test_settings_that_would_mislead_the_installers_are_dropped(root: Path) -> None:
    misleading = {
        "PIP_TARGET": "/elsewhere", "PIP_USER": "1", "PIP_CONSTRAINT": "/none", "PIP_REQUIRE_HASHES": "0",
        "UV_PYTHON": "2.7", "UV_TARGET": "/elsewhere", "UV_PROJECT_ENVIRONMENT": "/elsewhere",
        "PYTHONPATH": "/elsewhere", "PYTHONHOME": "/elsewhere", "VIRTUAL_ENV": "/elsewhere",
    }  # fmt: skip

    seen = evaluate(root, ENVIRONMENTS, **misleading)

    assert not [name for used in json.loads(seen).values() for name in misleading if name in used]


def test_pip_settings_about_the_index_reach_both_installers(root: Path) -> None:
    seen = evaluate(
        root, ENVIRONMENTS, PIP_INDEX_URL="http://127.0.0.1:1/simple", PIP_FIND_LINKS="/a /b"
    )

    used = json.loads(seen)
    assert (
        used["pip"]["PIP_INDEX_URL"]
        == used["uv"]["UV_DEFAULT_INDEX"]
        == "http://127.0.0.1:1/simple"
    )
    assert used["uv"]["UV_FIND_LINKS"] == "/a,/b"


ENVIRONMENTS = "json.dumps(vars(registry.environments(Path(sys.executable))))"


def evaluate(root: Path, expression: str, **changes: str) -> str:
    """The value of an expression over set-up's modules, in a process of its own."""
    code = f"import complaint, json, registry, sys; from pathlib import Path; print({expression})"
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path[:0] = [{str(root / 'requirements')!r}]; {code}",
        ],
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
