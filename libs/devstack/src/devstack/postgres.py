"""A real PostgreSQL 18: first initialisation, command, readiness."""

import secrets
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT, Signals

from devstack import paths, postgres_user, process
from devstack.files import PRIVATE_FILE, make_folder, remove
from devstack.part import PROBE_SECONDS, Progress
from devstack.paths import Home
from devstack.postgres_roles import PostgresRoles, programs
from devstack.process import Command
from devstack.secret_store import SecretStore
from devstack.state import LOOPBACK, State
from devstack.tool import run_tool

SUPERUSER = "postgres"
_ORPHAN_SECONDS = 5.0
_PROTOCOL_3 = 3 << 16

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a path in a deep folder would be too long for a socket
    "max_connections": "200",
    "logging_collector": "off",
    # A detail or a statement may hold what a row holds, and rows hold people.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_line_prefix": "%m %q%u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class PostgresPart:
    """A real PostgreSQL on loopback, password (SCRAM) asked of everybody.

    Runs as an unprivileged user when the stack is started by root, whom PostgreSQL refuses.
    """

    home: Home
    state: State
    store: SecretStore
    roles: PostgresRoles
    name: str = "postgres"
    title: str = "PostgreSQL"
    ports: tuple[str, ...] = ("postgres",)
    # SIGINT ends sessions and stops; SIGTERM would wait for clients to leave by themselves.
    # Source: PostgreSQL manual, 18.5 "Shutting Down the Server".
    stop_steps: tuple[tuple[Signals, float], ...] = ((SIGINT, 15.0), (SIGQUIT, 5.0), (SIGKILL, 5.0))
    start_seconds: float = 60.0
    says_where_it_hangs: Signals | None = None

    @property
    def folder(self) -> Path:
        """The folder of everything PostgreSQL has on disk."""
        return self.home.folder("postgres")

    @property
    def data(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.folder / "data"

    def prepare(self, progress: Progress) -> None:
        """Initialise the data directory unless that is done, and clear what a crash left."""
        user = postgres_user.unprivileged()
        make_folder(self.folder)
        if user:
            postgres_user.give(self.folder, user)
            postgres_user.open_way(self.folder, programs(), progress)
        for leftover in self.folder.glob("draft-*"):
            remove(leftover)
        if not (self.data / "PG_VERSION").exists():
            progress("initialising PostgreSQL")
            self._initialise(user)
        self._clear_after_crash()

    def command(self) -> Command:
        """Return the server's command line, which holds no secret."""
        settings = {**_SETTINGS, "port": str(self.state.port("postgres"))}
        flags = [f"--{name}={value}" for name, value in settings.items()]
        argv = (str(programs() / "postgres"), "-D", str(self.data), *flags)
        environment = {**paths.inherited_environment(), "LC_ALL": "C"}
        return Command(argv, environment, self.folder, postgres_user.unprivileged())

    def is_ready(self) -> bool:
        """Return whether the server asks for a password, so takes sessions.

        Source: PostgreSQL manual, 54.2.1 "Start-up": 'R' asks to authenticate, 'E' is a refusal
        (starting, stopping, recovering).
        """
        words = b"user\0" + SUPERUSER.encode() + b"\0database\0" + SUPERUSER.encode() + b"\0\0"
        message = struct.pack(">ii", 8 + len(words), _PROTOCOL_3) + words
        address = (LOOPBACK, self.state.port("postgres"))
        try:
            with socket.create_connection(address, timeout=PROBE_SECONDS) as connection:
                connection.sendall(message)
                # All of it is read: the server would log a connection that is cut in its answer.
                return connection.recv(1024)[:1] == b"R"
        except OSError:
            return False

    def settle(self, progress: Progress) -> None:
        """Make databases and roles, or bring them to what they should be."""
        self.roles.ensure(self.state.port("postgres"), self.superuser_password())

    def superuser_password(self) -> str:
        """Return the password of the role `postgres`."""
        return self.store.password("postgres", SUPERUSER).read_text()

    def _initialise(self, user: tuple[int, int] | None) -> None:
        """Make the data directory beside its place and move it there whole."""
        remove(self.data)
        # A name of its own: an initdb that outlives its killed starter may still write to its.
        draft = self.folder / f"draft-{secrets.token_hex(8)}"
        password = self.folder / f"{draft.name}.password"
        password.touch(PRIVATE_FILE)
        if user:
            postgres_user.give(password, user)
        password.write_text(self.superuser_password())
        argv = [
            str(programs() / "initdb"), "-D", str(draft), f"--username={SUPERUSER}",
            f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
        ]  # fmt: skip
        environment = {**paths.inherited_environment(), "LC_ALL": "C"}
        try:
            run_tool(
                Command(tuple(argv), environment, self.folder, user),
                f"PostgreSQL could not be initialised in {self.folder}",
            )
        finally:
            remove(password)
        draft.rename(self.data)

    def _clear_after_crash(self) -> None:
        """Clear the lock file of a server that is gone, and wait for what is left of it.

        PostgreSQL itself believes its lock file when the pid in it is any living process, which
        after a crash is now and then a stranger's. Sessions of a killed server end by themselves;
        one that is stuck would keep the next server from its shared memory.
        """
        for orphan in process.running_in(self.data, "postgres"):
            if not process.wait_gone(orphan, _ORPHAN_SECONDS):
                process.end(orphan, ((SIGKILL, _ORPHAN_SECONDS),))
        (self.data / "postmaster.pid").unlink(missing_ok=True)
