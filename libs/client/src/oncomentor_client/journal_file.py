"""An append-only file of JSON lines that a crash can shorten and never falsify."""

import fcntl
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from oncomentor_client.errors import JournalError, JournalLockedError

Line = Mapping[str, Any]


class JournalFile:
    """The open file and its lock; one process holds it at a time.

    A line is `<crc32> <json>`. What a crash left torn at the end is cut off when the file is
    opened: such lines were never synced, so nothing was sent on their account.
    """

    def __init__(self, path: Path) -> None:
        """Open and lock the file; it is made if it is not there.

        Raises:
            JournalLockedError: another process holds it.
            JournalError: it can't be written.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._lock()
            _sync_folder(path.parent)
        except OSError as error:
            raise JournalError(
                f"the journal {path} can't be written ({error.strerror}): make its folder "
                "writable for this user or choose another with --journal"
            ) from error

    def read(self) -> list[Line]:
        """Return every whole line, oldest first, and cut off a torn end.

        Raises:
            JournalError: a line in the middle is damaged; the message says which.
        """
        text = self._path.read_bytes()
        lines: list[Line] = []
        whole = 0  # bytes
        for number, raw in enumerate(text.splitlines(keepends=True), start=1):
            line = _decoded(raw)
            if line is None:
                self._cut(whole, text, number)
                break
            lines.append(line)
            whole += len(raw)
        return lines

    def append(self, lines: Iterable[Line], *, synced: bool) -> None:
        """Add the lines; when `synced` they are on disk before this returns.

        Raises:
            JournalError: the disk refuses; treat the lines as not written and send nothing.
        """
        data = memoryview(b"".join(map(_encoded, lines)))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            if synced:
                os.fsync(self._fd)
        except OSError as error:
            raise JournalError(
                f"the journal {self._path} can't be written ({error.strerror}): nothing of this "
                "batch was sent; make room on the disk and run the same command again"
            ) from error

    def close(self) -> None:
        """Put everything on disk and let go of the lock. Closing twice is harmless."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise JournalLockedError(
                f"another publisher is using the journal {self._path}: wait until it has finished, "
                "then run this again"
            ) from None

    def _cut(self, whole: int, text: bytes, number: int) -> None:
        if any(_decoded(raw) is not None for raw in _after_first(text[whole:])):
            raise JournalError(
                f"line {number} of the journal {self._path} is damaged though later ones are whole: "
                "restore the file from a backup, or move it away to publish everybody afresh"
            )
        os.ftruncate(self._fd, whole)
        os.fsync(self._fd)


def _encoded(line: Line) -> bytes:
    body = json.dumps(line, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _decoded(raw: bytes) -> Line | None:
    crc, _, body = raw.removesuffix(b"\n").partition(b" ")
    if not raw.endswith(b"\n") or crc != b"%08x" % zlib.crc32(body):
        return None
    line: Line = json.loads(body)
    return line


def _after_first(text: bytes) -> Iterator[bytes]:
    lines = iter(text.splitlines(keepends=True))
    next(lines, None)
    return lines


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
