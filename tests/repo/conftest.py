"""What the tests of the repository itself share: its root, its files, its tools."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

_SKIPPED = {".git", ".venv", ".oncomentor", "build", "dist", "__pycache__"}


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of this checkout."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def files(root: Path) -> list[Path]:
    """Every file that is or may be committed; without git, every file that set-up did not make."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        named = (root / name for name in listed.stdout.split("\0") if name)
        return sorted(path for path in set(named) if path.is_file())
    walked = (path for path in root.rglob("*") if path.is_file())
    return sorted(path for path in walked if not _SKIPPED & set(path.relative_to(root).parts))


@pytest.fixture(scope="session")
def packages(root: Path) -> list[Path]:
    """The folders of all packages, as set-up finds them."""
    found = [*root.glob("libs/*/pyproject.toml"), *root.glob("services/*/pyproject.toml")]
    return [root / "contracts", *sorted(path.parent for path in found)]


Tool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def tool() -> Tool:
    """Run one of the locked tools in a folder; its output, both streams together."""

    def run(name: str, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).parent / name), *arguments],
            cwd=folder,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(folder),
                "NO_COLOR": "1",
                "COLUMNS": "200",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run
