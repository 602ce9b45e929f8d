"""Files that are whole or not there, folders of one's own, and the lock between processes."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE_FILE = 0o600
MOUNTED_FILE = 0o644  # in a private folder: nobody reaches it there, but a container it is given to
PRIVATE_FOLDER = 0o700

LOG_LIMIT_BYTES = 5_000_000


def write_whole(path: Path, content: str | bytes, mode: int = PRIVATE_FILE) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, nothing between.

    The content is on disk when this returns.
    """
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_once(path: Path, content: str, mode: int = PRIVATE_FILE) -> None:
    """Write a file unless it is there; of several at the same time one wins, whole."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_whole(draft, content, mode)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the folder's entries on disk: a rename is only then sure to survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int = PRIVATE_FOLDER) -> Path:
    """Make the folder if it is not there, give it the mode, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o777 != mode:
        folder.chmod(mode)
    return folder


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file; call `waiting` once if somebody else holds it, then wait.

    The operating system drops the lock when its holder dies, so there are no stale locks. Two
    threads of one process exclude each other too. Not reentrant.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file or a folder with all that is in it; fine when there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def rotate(log: Path) -> None:
    """Move a log that has grown too large to `<name>.1`, in place of the one before."""
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def last_line(log: Path, default: str = "nothing") -> str:
    """Return the last telling line of a log, shortened."""
    if not log.exists():
        return default
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    told = [line for line in lines if line and not line.startswith("at ")]
    return told[-1][:240] if told else default
