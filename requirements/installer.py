"""Make `.venv` hold what the locks say, and this repository's packages, no more and no less.

The last thing written is a stamp of everything that went in, so a warm run reads a few files
and returns, without the network; an interrupted run leaves no stamp, and the next one starts
afresh from the download cache.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import complaint
import registry

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "set-up.stamp"
LOCKS = ("requirements/dev.lock", "requirements/build.lock")
UNFINISHED = "unfinished"
STALE = "stale"
SEEDS = {"pip", "setuptools", "wheel"}  # what `python -m venv` itself puts there


def packages() -> list[Path]:
    """Return the folders of this repository's packages, contracts first, relative to its root."""
    found = [*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")]
    return [Path("contracts"), *sorted(path.parent.relative_to(ROOT) for path in found)]


def package_names() -> list[str]:
    """Return the distribution names of this repository's packages, in the same order."""
    declared = (ROOT / folder / "pyproject.toml" for folder in packages())
    return [str(tomllib.loads(path.read_text())["project"]["name"]) for path in declared]


def main() -> int:
    """Set `.venv` up unless it is, and return a process's exit status."""
    try:
        if stamped() == (identity(), inputs()):
            return 0
        with alone():
            if stamped() != (identity(), inputs()):
                set_up()
    except complaint.SetUpError as error:
        return refuse(str(error))
    except OSError as error:
        return refuse(complaint.about_files(error, ROOT))
    except KeyboardInterrupt:
        return refuse("interrupted; the next run repairs what is half done.", status=130)
    return 0


def refuse(sentence: str, *, status: int = 1) -> int:
    """Say why there is no set-up, and return the status to exit with."""
    sys.stderr.write(f"set-up: {sentence}\n")
    return status


def say(text: str) -> None:
    """Show progress on stderr, which make and a pipe leave alone."""
    sys.stderr.write(f"set-up: {text}\n")
    sys.stderr.flush()


def identity() -> str:
    """Return what makes this environment unusable when it changes: interpreter and place."""
    config = VENV / "pyvenv.cfg"
    made_with = config.read_text() if config.is_file() else ""
    return digest([str(ROOT), os.path.realpath(PYTHON), made_with])


def inputs() -> str:
    """Return what calls for an update when it changes: locks, declarations, and this code."""
    read = [ROOT / name for name in LOCKS]
    read += [ROOT / folder / "pyproject.toml" for folder in packages()]
    read += [Path(__file__), Path(registry.__file__)]
    return digest(part for path in read for part in (str(path), path.read_text()))


def digest(parts: Iterator[str] | Sequence[str]) -> str:
    """Return one hash of the parts in their order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def stamped() -> tuple[str, str]:
    """Return the identity and the inputs in the stamp; neither matches anything if there is none."""
    if not STAMP.is_file() or not os.access(PYTHON, os.X_OK):
        return UNFINISHED, UNFINISHED
    of_identity, _, of_inputs = STAMP.read_text().strip().partition("\n")
    return of_identity, of_inputs or UNFINISHED


def stamp(of_inputs: str) -> None:
    """Write the stamp of this environment."""
    STAMP.write_text(f"{identity()}\n{of_inputs}\n")


@contextmanager
def alone() -> Iterator[None]:
    """Hold the one lock of this checkout's set-up; a second set-up waits for the first."""
    handle = os.open(ROOT / "requirements", os.O_RDONLY)  # a folder can be locked: no file needed
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work in this folder; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def set_up() -> None:
    """Bring `.venv` from whatever it is to what the locks say, and stamp it.

    Raises:
        SetUpError: a step failed; what was installed so far is kept for the next run.
    """
    started, wanted = time.monotonic(), inputs()
    was_identity, was_inputs = stamped()
    if was_identity != identity() or was_inputs == UNFINISHED:
        make_environment()
    stamp(UNFINISHED)
    try:
        install(registry.environments(PYTHON))
    except complaint.SetUpError:
        stamp(STALE)  # a step that ended by itself leaves no half-written package behind
        raise
    stamp(wanted)
    say(f"done in {time.monotonic() - started:.0f} s")


def make_environment() -> None:
    """Make an empty `.venv`, in place of whatever stands there."""
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise complaint.SetUpError(complaint.no_venv(sys.version_info.minor))

    say(f"(1/4) making .venv with Python {sys.version.split()[0]}")
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.is_dir():
        shutil.rmtree(VENV)
    VENV.mkdir()
    bare = registry.bare_environment()
    run([base_interpreter(), "-I", "-m", "venv", "--without-pip", str(VENV)], bare)
    # venv itself would call this too, and keep what it says of a full disk to itself
    run([str(PYTHON), "-I", "-m", "ensurepip", "--default-pip"], bare)


def base_interpreter() -> str:
    """Return the interpreter outside of any environment: this one may be the one to be replaced."""
    if sys.prefix == sys.base_prefix:
        return sys.executable
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def install(environment: registry.Environments) -> None:
    """Install the locked packages, then this repository's, then drop what neither names."""
    uv = VENV / "bin" / "uv"
    pip = [str(PYTHON), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    wheels_only = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    if locked("requirements/build.lock")["uv"] != installed().get("uv"):
        say("(2/4) fetching the installer")
        only_uv = only(ROOT / "requirements/build.lock", "uv")
        run(
            [*pip, "install", "--quiet", "--retries", "2", *wheels_only, "-r", only_uv],
            environment.pip,
        )

    into = [str(uv), "pip", "install", "--no-config", "--no-progress", "--python", str(PYTHON)]
    count = sum(len(locked(lock)) for lock in LOCKS)
    say(
        f"(3/4) installing the locked packages (up to {count}; the first time takes a minute or two)"
    )
    locks = [part for lock in LOCKS for part in ("-r", lock)]
    run([*into, *wheels_only, "--no-sources", *locks], environment.uv)

    say("(4/4) installing this repository's packages")
    editables = [part for folder in packages() for part in ("-e", f"./{folder}")]
    run([*into, "--no-deps", "--no-build-isolation", *editables], environment.uv)
    drop_strangers(uv, environment.uv)


def drop_strangers(uv: Path, environment: Mapping[str, str]) -> None:
    """Uninstall what no lock names, so that a forgotten dependency is noticed here first."""
    wanted = SEEDS.union(package_names(), *(locked(lock) for lock in LOCKS))
    if strangers := sorted(installed().keys() - wanted):
        run(
            [str(uv), "pip", "uninstall", "--no-config", "--python", str(PYTHON), *strangers],
            environment,
        )


def installed() -> dict[str, str]:
    """Return the versions of what is installed in `.venv`, by normal name."""
    folders = VENV.glob("lib/python3.*/site-packages/*.dist-info")
    pairs = (folder.name.removesuffix(".dist-info").rsplit("-", 1) for folder in folders)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


def locked(lock: str) -> dict[str, str]:
    """Return the versions a lock names, by normal name."""
    text = (ROOT / lock).read_text()
    return dict(re.findall(r"^([a-z0-9][a-z0-9-]*)==([^\s;\\]+)", text, flags=re.MULTILINE))


def only(lock: Path, name: str) -> str:
    """Return the path of a lock that holds nothing of `lock` but `name`, hashes included."""
    entry = re.search(rf"^{name}==.*(?:\n    .*)*", lock.read_text(), flags=re.MULTILINE)
    assert entry is not None  # noqa: S101 - locked() has just named it
    path = VENV / f"{name}.lock"
    path.write_text(entry.group() + "\n")
    return str(path)


def run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a step, passing on what it says of its progress.

    Raises:
        SetUpError: it failed; the message says why in one sentence.
    """
    said: list[str] = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            said.append(line.rstrip())
            if re.match(r"\s*(Downloading|Prepared|Installed|Uninstalled) ", line):
                say(f"      {line.strip()}")
    if process.returncode != 0:
        raise complaint.SetUpError(complaint.about_output(said, ROOT))
