"""Turn what went wrong in set-up into one sentence: what is missing, and how to get it."""

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

DISK_FULL = (
    "the disk is full: free about 1 GB on the disk of {root} or of the download cache, "
    "then run this again; it goes on where it stopped."
)
NOT_WRITABLE = (
    "{path} is not writable for this user: give it write access, or clone the repository into "
    "a folder of its own, then run this again."
)
DOWNLOAD_FAILED = (
    "a download failed ({reason}): check the network, or the package index that pip is configured "
    "with, then run this again; what has arrived is kept and the next run resumes."
)
WRONG_HASH = (
    "a downloaded file is not the one that was locked ({reason}) and was not installed: run this "
    "again, and if it stays so, the package index serves other files than the lock was made from."
)
NO_WHEEL = (
    "a package has no build for this machine and Python ({reason}): use CPython 3.11 to 3.13 "
    "on Linux or macOS, x86-64 or arm64."
)
UNKNOWN = "the installer failed and its last words are: {reason}"

LONGEST_REASON = 160  # characters of the installer's own words

# The first that matches wins: a full disk or a dead network makes many other complaints follow.
_PATTERNS = (
    (DISK_FULL, r"No space left on device|os error 28|Errno 28|Disk quota exceeded"),
    (NOT_WRITABLE, r"Permission denied|Read-only file system|os error (13|30)|Errno (13|30)"),
    (WRONG_HASH, r"[Hh]ash mismatch|DO NOT MATCH THE HASHES"),
    (
        DOWNLOAD_FAILED,
        r"[Ff]ailed to (fetch|download)|error sending request|Could not fetch|Max retries"
        r"|ConnectionError|Connection (refused|reset|broken)|[Tt]imed? ?out|dns error"
        r"|Temporary failure|CERTIFICATE_VERIFY|certificate|HTTP error|status (client|server)"
        r"|ReadTimeout|IncompleteRead|Network connectivity is disabled",
    ),
    (NO_WHEEL, r"no wheels? |No matching distribution|no compatible|not supported wheel"),
)


class SetUpError(Exception):
    """Set-up cannot go on; the message is a sentence for the person at the keyboard."""


def no_venv(minor: int) -> str:
    """Return what to do where Python comes without its `venv` and `ensurepip`."""
    return (
        "this Python cannot make virtual environments (its venv or ensurepip is missing): "
        f"install it (Debian, Ubuntu: apt-get install python3.{minor}-venv) and run this again."
    )


def about_files(error: OSError, root: Path) -> str:
    """Return the sentence for a file operation of set-up itself that failed."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DISK_FULL.format(root=root)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return NOT_WRITABLE.format(path=os.fspath(error.filename or root))
    return UNKNOWN.format(reason=error)


def about_output(said: Sequence[str], root: Path) -> str:
    """Return the sentence for a step that failed after saying these lines."""
    for sentence, pattern in _PATTERNS:
        if telling := [line for line in said if re.search(pattern, line)]:
            return sentence.format(root=root, path=root, reason=_short(telling[-1]))
    spoken = [line for line in said if line.strip()]
    return UNKNOWN.format(reason=_short(spoken[-1]) if spoken else "none")


def _short(line: str) -> str:
    bare = re.sub(r"^[\s×╰├│─▶•]*(?:(?:error|ERROR|WARNING|Caused by)[: ]+)?", "", line).strip()
    return bare.rstrip(".") if len(bare) <= LONGEST_REASON else f"{bare[:LONGEST_REASON]}..."
