"""Kafka's jars: fetched once, each checked against the committed list before it is used."""

import errno
import hashlib
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import certifi
import httpx

from devstack.errors import DevstackError
from devstack.files import make_folder
from devstack.maven import repositories

LOCK = "kafka_jars.lock"
THREADS = 16
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0
_ATTEMPTS = 3
_STALE_SECONDS = 3600.0
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar by its Maven coordinates and the only content we accept for it."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name it has in any Maven repository."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Where it is in a Maven repository, below the repository's address."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


def locked_jars(text: str | None = None) -> tuple[Jar, ...]:
    """Return the jars of the committed list (or of the text of one), in its order."""
    lines = (text or resources.files("devstack").joinpath(LOCK).read_text()).splitlines()
    return tuple(_parsed(line) for line in lines if line.strip() and not line.startswith("#"))


def fetch_jars(
    cache: Path,
    progress: Callable[[str], None],
    *,
    jars: Sequence[Jar] | None = None,
    addresses: Sequence[str] | None = None,
) -> tuple[Path, ...]:
    """Return the paths of all jars, fetching what is not in the cache or not right there.

    Every file returned has the listed content, checked now. What has arrived stays, so an
    interrupted fetch goes on where it stopped. Several processes may do this at once. With a full
    cache no network is needed.

    Raises:
        DevstackError: a jar can't be fetched, is not what the list says, or the disk is full.
    """
    wanted = locked_jars() if jars is None else jars
    folder = make_folder(cache / "jars", 0o755)
    with ThreadPoolExecutor(THREADS) as pool:
        right = list(pool.map(lambda jar: _digest(folder / jar.file_name) == jar.sha256, wanted))
        missing = [jar for jar, is_right in zip(wanted, right, strict=True) if not is_right]
        if missing:
            _sweep(folder)
            progress(
                f"fetching {len(missing)} of Kafka's {len(wanted)} jars (once, for all checkouts)"
            )
            _fetch_all(missing, folder, pool, addresses or repositories())
    return tuple(folder / jar.file_name for jar in wanted)


def _fetch_all(
    missing: Sequence[Jar], folder: Path, pool: ThreadPoolExecutor, addresses: Sequence[str]
) -> None:
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    with httpx.Client(verify=_trusted(), timeout=timeout, follow_redirects=True) as client:
        jobs = [pool.submit(_fetch, jar, folder, client, addresses) for jar in missing]
        failures = [error for job in jobs if (error := job.exception()) is not None]
    if failures:
        raise failures[0]


def _trusted() -> ssl.SSLContext:
    """Trust the system's certificates (a company's own among them) and the usual ones."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _fetch(jar: Jar, folder: Path, client: httpx.Client, addresses: Sequence[str]) -> None:
    reason: Exception | None = None
    for attempt in range(_ATTEMPTS):
        for address in addresses:
            try:
                return _fetch_once(jar, folder, client, f"{address.rstrip('/')}/{jar.path}")
            except (httpx.HTTPError, _WrongContentError) as error:
                reason = error
        if attempt + 1 < _ATTEMPTS:
            time.sleep(0.3 * (attempt + 1))

    raise DevstackError(
        f"{jar.file_name} could not be fetched ({_short(reason)}): check the network, or the mirror "
        "in Maven's settings, then run this again; what has arrived is kept"
    ) from reason


def _fetch_once(jar: Jar, folder: Path, client: httpx.Client, address: str) -> None:
    target = folder / jar.file_name
    # A name of its own for each try: two checkouts may fetch the same jar at the same moment.
    draft = folder / f"{jar.file_name}.{time.monotonic_ns()}.part"
    try:
        digest = hashlib.sha256()
        with client.stream("GET", address) as response, draft.open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_bytes(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != jar.sha256:
            raise _WrongContentError("its content is not the one that was listed")
        draft.replace(target)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DevstackError(
            f"the disk of {folder} is full: free about 100 MB there, or set ONCOMENTOR_CACHE to a "
            "folder on another disk, then run this again; what has arrived is kept"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _sweep(folder: Path) -> None:
    """Delete the drafts of fetches that were killed long ago."""
    for draft in folder.glob("*.part"):
        if time.time() - draft.stat().st_mtime > _STALE_SECONDS:
            draft.unlink(missing_ok=True)


def _parsed(line: str) -> Jar:
    coordinates, digest = line.split()
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, digest.removeprefix("sha256:"))


def _short(error: Exception | None) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"the repository answered {error.response.status_code}"
    return str(error).splitlines()[0][:160] if error and str(error) else type(error).__name__


class _WrongContentError(Exception):
    """What came is not what the list says; try again, then another repository."""
