"""Processes that outlive whoever started them, and are never mistaken for another."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MEGABYTE = 1_000_000
POLL_SECONDS = 0.05
_SHOWN_SECONDS = 2.0
MARK = "ONCOMENTOR_PART"


@dataclass(frozen=True, slots=True)
class Mark:
    """One process for good: its pid, and when it was born, since pids are used again."""

    pid: int
    born: str


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and as whom. `environment` is complete: nothing is inherited."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    user: tuple[int, int] | None = None
    """Uid and gid to run as; None for one's own."""
    configuration: str = ""
    """What it reads from files: when that changes, it has to be started anew."""


class _Detached(subprocess.Popen[bytes]):
    def __del__(self) -> None:
        """Say nothing: that a part outlives this object is what it is for."""


def spawn(command: Command, log: Path) -> Mark:
    """Start the command in a session of its own, output appended to the log; `find` finds it then."""
    uid, gid = command.user or (None, None)
    with log.open("ab") as output:
        started = _Detached(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=command.folder,
            env=dict(command.environment),
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            umask=0o077,
        )
    _wait_shown(started, command.environment)
    return mark(started.pid) or Mark(started.pid, "gone")


def _wait_shown(started: _Detached, environment: Mapping[str, str]) -> None:
    """Wait until a process shows its environment: for some ms after its program has begun it has none.

    Measured: one in nine right after the start, 12 ms on busy processors.
    """
    deadline = time.monotonic() + _SHOWN_SECONDS
    while environment and started.poll() is None and time.monotonic() < deadline:
        try:
            if psutil.Process(started.pid).environ():
                return
        except (psutil.Error, OSError):
            return  # another user's
        time.sleep(0.001)


def mark(pid: int) -> Mark | None:
    """Return the mark of the process that has this pid now; None when there is none."""
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            _reap(pid)
            return None
        return Mark(pid, _born(pid))
    except (psutil.Error, OSError):
        return None


def is_alive(wanted: Mark) -> bool:
    """Return whether this very process still runs; a process that took over its pid is not it."""
    return mark(wanted.pid) == wanted


def send(wanted: Mark, number: signal.Signals) -> bool:
    """Send the signal to this very process; return False when it is gone.

    Where the system has process descriptors there is no moment in which the pid could pass to
    another process between the look and the signal.
    """
    try:
        if not hasattr(os, "pidfd_open"):
            if not is_alive(wanted):
                return False
            os.kill(wanted.pid, number)
            return True
        descriptor = os.pidfd_open(wanted.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(wanted):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_gone(wanted: Mark, seconds: float) -> bool:
    """Wait until the process is gone, at most so long; return whether it is."""
    deadline = time.monotonic() + seconds
    while is_alive(wanted):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end(wanted: Mark, steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn until the process is gone, waiting the given seconds after each."""
    for number, seconds in steps:
        if not send(wanted, number):
            return
        # A stopped process (SIGSTOP) would keep SIGTERM for later.
        send(wanted, signal.SIGCONT)
        if wait_gone(wanted, seconds):
            return


def find(token: str) -> Mark | None:
    """Return the process that was started with this mark in its environment, if it runs.

    For the one that was started a moment before its starter was killed, so that nobody wrote its
    pid down. Its children carry the mark too; the parent is the one that counts.
    """
    carriers = {
        candidate.pid: candidate
        for candidate in psutil.process_iter()
        if _carries(candidate, token)
    }
    for pid, candidate in carriers.items():
        if candidate.ppid() not in carriers:
            return mark(pid)
    return None


def running_in(folder: Path, name: str) -> list[Mark]:
    """Return the processes of that program name whose working directory is the folder."""
    found = []
    for candidate in psutil.process_iter():
        try:
            if candidate.name() == name and Path(candidate.cwd()) == folder:
                found.append(mark(candidate.pid))
        except (psutil.Error, OSError):
            continue
    return [one for one in found if one is not None]


def listens(wanted: Mark, port: int) -> bool:
    """Return whether this very process listens on the TCP port."""
    try:
        connections = psutil.Process(wanted.pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


def resident_mb(wanted: Mark) -> float:
    """Return the memory of the process and its children in MB, shared pages counted once."""
    try:
        parent = psutil.Process(wanted.pid)
        own = parent.memory_info().rss
        children = parent.children(recursive=True)
    except psutil.Error:
        return 0.0
    return float(own + sum(_unshared(child) for child in children)) / MEGABYTE


def started_at(wanted: Mark) -> float:
    """Return when the process was born, in seconds since the epoch; 0 when it is gone."""
    try:
        return psutil.Process(wanted.pid).create_time()
    except psutil.Error:
        return 0.0


def _unshared(process: psutil.Process) -> int:
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss) - int(getattr(memory, "shared", 0))


def _carries(candidate: psutil.Process, token: str) -> bool:
    try:
        return candidate.environ().get(MARK) == token
    except (psutil.Error, OSError):
        return False


def _born(pid: int) -> str:
    """Return when the process was born, such that a set clock or a restart doesn't change it.

    On Linux that is ticks since the boot, with the boot's id (proc(5), /proc/pid/stat, field 22).
    """
    if not sys.platform.startswith("linux"):
        return repr(psutil.Process(pid).create_time())
    # The second field is the program's name in brackets, which may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{fields[19]}"


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # somebody else's child: its parent, or init, will
