"""Whom PostgreSQL runs as when root starts the stack, and how that user reaches its files.

PostgreSQL refuses to run as root. `nobody` is on every system, so no account is made; what it
needs of the file system is the right to pass through folders, and nothing more is opened.
"""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from devstack.errors import DevstackError
from devstack.part import Progress

_NAME = "nobody"
_PASS = stat.S_IXOTH


def unprivileged() -> tuple[int, int] | None:
    """Return uid and gid to run PostgreSQL as; None where this process is not root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_NAME)
    except KeyError:
        raise DevstackError(
            f"PostgreSQL does not run as root and this system has no user {_NAME}: start the stack "
            f"as an ordinary user, or add that one (useradd --system {_NAME})"
        ) from None
    return entry.pw_uid, entry.pw_gid


def give(path: Path, user: tuple[int, int]) -> None:
    """Make the user own the file or folder (not what is in it)."""
    if path.stat().st_uid != user[0]:
        os.chown(path, *user)


def open_way(data: Path, programs: Path, progress: Progress) -> None:
    """Let others pass through the folders above the data and the programs, and run those.

    Passing through is not listing or reading. What is changed is said.
    """
    for folder in dict.fromkeys([*data.resolve().parents, *programs.resolve().parents, programs]):
        if not folder.stat().st_mode & _PASS:
            progress(f"letting others pass through {folder}, so that PostgreSQL reaches its files")
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | _PASS)
    for path in _unreadable(programs.parent):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | stat.S_IROTH | (_PASS if mode & stat.S_IXUSR else 0))


def _unreadable(installation: Path) -> Iterator[Path]:
    """Yield what an installation under a strict umask left to its owner alone."""
    if (installation / "bin" / "postgres").stat().st_mode & _PASS:
        return
    yield from (path for path in installation.rglob("*") if not path.is_symlink())
