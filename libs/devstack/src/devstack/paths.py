"""Where everything is: the repository, the stack's one folder, the download cache.

The only module that reads this process's environment.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import DevstackError

TOPICS = Path("deploy/kafka/topics.toml")

# What a part inherits besides its own settings. A developer's shell may hold credentials of other
# things, so this is a list of what is let through, not of what is kept out.
_INHERITED = frozenset(
    {
        "HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "SSL_CERT_FILE", "SYSTEMROOT",
        "TMPDIR", "TZ", "USER", "VIRTUAL_ENV",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Home:
    """The stack's one folder; whatever runs keeps everything it has in here."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by whoever changes what runs."""
        return self.root / "lock"

    @property
    def state(self) -> Path:
        """Remembered ports, institutions, fingerprints."""
        return self.root / "state.json"

    def folder(self, name: str) -> Path:
        """Return the folder of a part or of one kind of thing (`logs`, `run`, `secrets`, ...)."""
        return self.root / name

    def log(self, part: str) -> Path:
        """Return the log file of a part."""
        return self.root / "logs" / f"{part}.log"


def find_repository(start: Path | None = None) -> Path:
    """Return the root of the repository: the nearest folder upwards that holds `deploy/`.

    Looks from `start` (the current directory), then from this package, which an editable install
    leaves in the repository.

    Raises:
        DevstackError: neither is inside the repository.
    """
    for origin in (start or Path.cwd(), Path(__file__)):
        for folder in (origin.resolve(), *origin.resolve().parents):
            if (folder / TOPICS).is_file():
                return folder

    raise DevstackError(
        f"this is not inside the OncoMentor repository ({TOPICS} was not found upwards from "
        f"{start or Path.cwd()}): change into it and run this again"
    )


def default_home(repository: Path) -> Path:
    """Return `ONCOMENTOR_HOME`, or the git-ignored folder at the root of the repository."""
    return Path(os.environ.get("ONCOMENTOR_HOME") or repository / ".oncomentor")


def compose_home(repository: Path) -> Path:
    """Return `ONCOMENTOR_COMPOSE_HOME`, or the git-ignored folder of what containers are given."""
    chosen = os.environ.get("ONCOMENTOR_COMPOSE_HOME")
    return Path(chosen) if chosen else repository / ".oncomentor" / "compose"


def default_cache() -> Path:
    """Return the download cache that all checkouts of this user share."""
    if chosen := os.environ.get("ONCOMENTOR_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "oncomentor"


def java_home() -> Path | None:
    """Return `JAVA_HOME` where it is set."""
    chosen = os.environ.get("JAVA_HOME")
    return Path(chosen) if chosen else None


def inherited_environment() -> Mapping[str, str]:
    """Return what every part gets from the environment that started it."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(("LC_", "OTEL_", "COVERAGE_"))
    }
