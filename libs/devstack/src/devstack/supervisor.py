"""Starts, asks and ends parts; knows what runs from files, never from memory."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Protocol

from devstack import process
from devstack.errors import DevstackError, about_words
from devstack.files import last_line, make_folder, rotate, write_whole
from devstack.part import Part, PartState, PartStatus, Progress
from devstack.paths import Home
from devstack.process import Command, Mark
from devstack.state import LOOPBACK, State, is_free

_POLL_SECONDS = 0.05
_LET_GO_SECONDS = 2.0
_TELLING = 6000  # bytes of where something hangs: the main thread comes first


@dataclass(frozen=True, slots=True)
class _Record:
    """What is written down about a part that was started."""

    pid: int
    born: str
    fingerprint: str

    @property
    def mark(self) -> Mark:
        return Mark(self.pid, self.born)


class Runner(Protocol):
    """What a stack asks of whatever runs its parts."""

    def start(self, part: Part, progress: Progress) -> bool:
        """Have the part run and be ready; return whether it was started."""

    def stop(self, part: Part) -> None:
        """End the part and wait until it is gone."""

    def send(self, part: Part, number: Signals, *, wait: float) -> None:
        """Send a signal, then wait until the part is gone, at most so long."""

    def status(self, part: Part) -> PartStatus:
        """Return how the part is now."""


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Runs parts under one home. Its caller holds the stack's lock for all but `status`."""

    home: Home
    state: State

    def start(self, part: Part, progress: Progress) -> bool:
        """Have the part run with its present settings and be ready; return whether it was started.

        One that runs already is left alone, unless its command or settings have changed since:
        then it is ended and started anew. One that is not ready in time is started once more,
        where it says that it may hang.

        Raises:
            DevstackError: it ended by itself, or is not ready in time; its log says more.
        """
        running = self._running(part)
        if running is not None and self._is_current(part, running):
            if self._becomes_ready(part, running.mark):
                return False
        elif running is not None:
            progress(f"{part.title} has new settings")
            self.stop(part)
        begun = time.monotonic()
        if not self._starts(part, progress):
            # Did somebody take the port between our look and its start? Once more, elsewhere.
            moved = not all(self._is_free(name) for name in part.ports)
            if not moved or not self._becomes_ready(part, self._launch(part, progress)):
                log = self.home.log(part.name)
                what = f"{part.title} ended while starting (see {log})"
                raise about_words(what, last_line(log), self.home.root)
        progress(f"{part.title} is up ({time.monotonic() - begun:.1f} s)")
        return True

    def stop(self, part: Part) -> None:
        """End the part, if it is the process we started; wait until it is gone."""
        record = self._running(part)
        if record is not None:
            process.end(record.mark, part.stop_steps)
            if process.is_alive(record.mark):
                raise DevstackError(
                    f"{part.title} (process {record.pid}) does not end even when killed: see what "
                    "the system says about that process, then run this again"
                )
        self._record_file(part).unlink(missing_ok=True)

    def send(self, part: Part, number: Signals, *, wait: float) -> None:
        """Send a signal to the part's process, then wait until it is gone, at most so long.

        Raises:
            DevstackError: it does not run.
        """
        record = self._running(part)
        if record is None or not process.send(record.mark, number):
            raise DevstackError(f"{part.title} does not run: start it first")
        process.wait_gone(record.mark, wait)

    def status(self, part: Part) -> PartStatus:
        """Return how the part is now. Changes nothing, so it needs no lock."""
        record = self._running(part)
        state: PartState = "down"
        port = self.state.known_port(part.ports[0])
        if record is not None:
            state = "up" if self._is_ready(part, record.mark) else "not ready"
        return PartStatus(
            name=part.name,
            state=state,
            address=f"{LOOPBACK}:{port}" if port else "",
            pid=record.pid if record else None,
            memory_mb=process.resident_mb(record.mark) if record else 0.0,
            age_seconds=max(0.0, time.time() - process.started_at(record.mark)) if record else 0.0,
            log=self.home.log(part.name),
        )

    def _starts(self, part: Part, progress: Progress) -> bool:
        """Launch it and wait until it is ready, once more where it hangs; False when it ended.

        Raises:
            DevstackError: it is not ready in time; where it hung is in the text.
        """
        try:
            return self._becomes_ready(part, self._launch(part, progress))
        except DevstackError as late:
            if part.says_where_it_hangs is None:
                raise
            progress(f"{late}; started once more")
        self._where_it_hangs(part, part.says_where_it_hangs)
        self.stop(part)
        try:
            return self._becomes_ready(part, self._launch(part, progress))
        except DevstackError as late:
            where = self._where_it_hangs(part, part.says_where_it_hangs)
            raise DevstackError(f"{late}, twice. {where}") from late

    def _where_it_hangs(self, part: Part, question: Signals) -> str:
        """Have the process write into its log where it is; return how that begins."""
        log = self.home.log(part.name)
        before = log.stat().st_size
        self.send(part, question, wait=_LET_GO_SECONDS)
        return log.read_bytes()[before:][:_TELLING].decode(errors="replace")

    def _launch(self, part: Part, progress: Progress) -> Mark:
        for name in part.ports:
            if not self._is_free(name):
                taken = self.state.port(name)
                progress(
                    f"port {taken} is taken by somebody else, {part.title} moves to "
                    f"{self.state.change_port(name)}"
                )
        part.prepare(progress)
        log = self.home.log(part.name)
        make_folder(log.parent)
        rotate(log)
        command = part.command()
        marked = {**command.environment, process.MARK: self._token(part)}
        started = process.spawn(dataclasses.replace(command, environment=marked), log)
        self._write(part, _Record(started.pid, started.born, _fingerprint(command)))
        return started

    def _becomes_ready(self, part: Part, mark: Mark) -> bool:
        """Wait until the process is ready; return False when it ended instead.

        Raises:
            DevstackError: it still runs and is not ready after its time.
        """
        deadline = time.monotonic() + part.start_seconds
        while not self._is_ready(part, mark):
            if not process.is_alive(mark):
                self._record_file(part).unlink(missing_ok=True)
                return False
            if time.monotonic() > deadline:
                log = self.home.log(part.name)
                raise DevstackError(
                    f"{part.title} runs but is not ready after {part.start_seconds:.0f} s: "
                    f"{last_line(log)} (see {log})"
                )
            time.sleep(_POLL_SECONDS)
        return True

    def _is_ready(self, part: Part, mark: Mark) -> bool:
        """Return whether this very process serves; another one on its port does not count."""
        return part.is_ready() and process.listens(mark, self.state.port(part.ports[0]))

    def _is_free(self, port_name: str) -> bool:
        """Tell whether the part's port is free now, or soon: its last process may still let go."""
        deadline = time.monotonic() + _LET_GO_SECONDS
        while not (free := is_free(self.state.port(port_name))) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return free

    def _running(self, part: Part) -> _Record | None:
        """Return the record of the part if its very process lives, written down or not."""
        try:
            record = _Record(**json.loads(self._record_file(part).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            record = None
        if record is not None and process.is_alive(record.mark):
            return record
        # Whoever started it may have been killed before it could write it down.
        found = process.find(self._token(part))
        return _Record(found.pid, found.born, "unknown") if found else None

    def _is_current(self, part: Part, record: _Record) -> bool:
        return record.fingerprint == _fingerprint(part.command())

    def _write(self, part: Part, record: _Record) -> None:
        make_folder(self._record_file(part).parent)
        write_whole(self._record_file(part), json.dumps(dataclasses.asdict(record)))

    def _record_file(self, part: Part) -> Path:
        return self.home.folder("run") / f"{part.name}.json"

    def _token(self, part: Part) -> str:
        return f"{self.home.root.resolve()}#{part.name}"


def _fingerprint(command: Command) -> str:
    """Return what changes when a running part would have to be started anew.

    What it inherits counts only where it is its own setting: another terminal is no reason.
    """
    own = {
        name: value for name, value in command.environment.items() if name.startswith("ONCOMENTOR_")
    }
    deciding = json.dumps([command.argv, own, command.configuration], sort_keys=True)
    return hashlib.sha256(deciding.encode()).hexdigest()


def at_once(jobs: Iterable[Callable[[], object]]) -> None:
    """Run the jobs side by side, wait for all, then raise the first failure if there is one."""
    todo = list(jobs)
    if not todo:
        return
    with ThreadPoolExecutor(len(todo)) as pool:
        running = [pool.submit(job) for job in todo]
        failures = [error for job in running if (error := job.exception()) is not None]
    if failures:
        raise failures[0]
