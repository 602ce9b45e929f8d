"""What the embedded stack says when it can't go on."""

import errno
from pathlib import Path


class DevstackError(Exception):
    """The stack can't go on; the message is one sentence for the person at the keyboard.

    It says what is missing and how to get it, and never holds a secret.
    """


def about_files(error: OSError, folder: Path) -> DevstackError:
    """Return what to tell a person about a file operation that failed."""
    place = error.filename or folder
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _disk_full(place)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return DevstackError(
            f"{place} is not writable for this user: give it write access, or set ONCOMENTOR_HOME "
            "to a folder of your own, then run this again"
        )
    return DevstackError(f"{place}: {error.strerror or error}")


def about_words(what: str, words: str, folder: Path) -> DevstackError:
    """Return what to tell a person about a program that failed with these last words."""
    if "No space left on device" in words or "Disk quota exceeded" in words:
        return _disk_full(folder)
    return DevstackError(f"{what}: {words[:240] or 'no reason given'}")


def _disk_full(place: Path | str) -> DevstackError:
    return DevstackError(
        f"the disk of {place} is full: free some space (a running stack needs about 500 MB), then "
        "run this again; what is there stays"
    )
