"""The whole embedded stack: `Stack` starts it, asks it, ends it, and lets institutions in."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from signal import SIGKILL, Signals

from confluent_kafka import KafkaException

from devstack import paths
from devstack.broker import ADMIN, Broker
from devstack.credentials import Credentials
from devstack.errors import DevstackError, about_files
from devstack.files import PRIVATE_FOLDER, locked, make_folder, remove, write_whole
from devstack.part import Part, PartStatus, Progress
from devstack.parts import INFRASTRUCTURE, Builder, Environments
from devstack.paths import Home
from devstack.postgres import SUPERUSER
from devstack.postgres_user import unprivileged
from devstack.python_part import require_installed
from devstack.registry import check_id
from devstack.secret_store import SecretStore
from devstack.service import SERVICE_NAMES, SERVICES
from devstack.state import LOOPBACK, State
from devstack.supervisor import Runner, Supervisor, at_once

_OWN_FOLDERS = (*INFRASTRUCTURE, "secrets", "credentials", "logs", "run")
_KILL_SECONDS = 10.0


def silent(text: str) -> None:
    """Show no progress."""


class Stack:
    """A real Kafka, PostgreSQL, identity provider, mail catcher and the services, on loopback.

    Everything it makes is under `home`. What runs is known from files there, so any process may
    make a `Stack` of the same home and go on with it; calls that change something wait for each
    other, between processes too. All methods block: from async code, call them in a thread.

    Every method raises `DevstackError` with one sentence for the person at the keyboard.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        repository: Path | None = None,
        progress: Progress = silent,
        environment: Environments | None = None,
        kafka_behind: int | None = None,
        runner: Callable[[Home, Runner], Runner] = lambda _, supervisor: supervisor,
    ) -> None:
        """Make a handle; nothing is started or written.

        Args:
            home: the folder; by default `ONCOMENTOR_HOME`, else `.oncomentor` in the repository.
            repository: where `deploy/` is; by default found upwards from the current directory.
            progress: called with what happens, one call at a time, from whichever thread.
            environment: more settings for services, by name of the service.
            kafka_behind: the port of a proxy that tests put between services and Kafka; it has to
                pass on to the address `kafka-behind`.
            runner: is given the home and what runs processes; returns what runs the parts.
        """
        root = repository or paths.find_repository()
        self.home = Home((home or paths.default_home(root)).absolute())
        self._progress = _one_at_a_time(progress)
        self._state = State(self.home.state)
        build = Builder(
            self.home,
            root,
            paths.default_cache(),
            self._progress,
            environment or {},
            self._state,
            SecretStore(self.home.folder("secrets")),
            kafka_behind,
        )
        self._postgres = build.postgres()
        self._settings = build.settings()
        self._provisioner = build.provisioner()
        self._supervisor = runner(self.home, Supervisor(self.home, self._state))
        self._parts: Mapping[str, Part] = {part.name: part for part in build.parts()}
        self._port_names = tuple(name for part in self._parts.values() for name in part.ports)

    def up(
        self,
        *,
        services: Collection[str] | None = None,
        infrastructure: Collection[str] = INFRASTRUCTURE,
    ) -> None:
        """Have the stack run and be ready; what runs already is left alone.

        Starts what is missing or was killed, with its data; starts anew what has new settings;
        mends a first start that was interrupted.

        Args:
            services: which services; None for all, () for none. Others that run are left alone.
            infrastructure: which of Kafka, PostgreSQL, identity provider and mail.
        """
        wanted = SERVICE_NAMES if services is None else tuple(services)
        for name in wanted:
            require_installed(f"{name}_service", f"the service {name}")
        with self._changing():
            at_once(partial(self._start, name) for name in infrastructure)
            self._provisioner.write_clients()
            at_once(partial(self._start, name) for name in wanted)
            self._provisioner.write_credentials()

    def down(self) -> None:
        """End what this home's stack started, services first, and nothing else; keep the data."""
        if not self.home.root.exists():
            return
        with self._changing():
            self._down()

    def status(self) -> tuple[PartStatus, ...]:
        """Return how each part is now, infrastructure first; waits for nobody, changes nothing."""
        return tuple(self._supervisor.status(part) for part in self._parts.values())

    def reset(self, *, yes: bool = False, ask: Callable[[str], bool] | None = None) -> bool:
        """End the stack and delete everything it has; return whether that was done.

        Args:
            yes: do it without asking.
            ask: is given the question and returns the answer; without it, the answer is no.
        """
        question = f"Delete all data, secrets and credentials in {self.home.root}?"
        if not yes and (ask is None or not ask(question)):
            return False
        if not self.home.root.exists():
            return True
        with self._changing():
            self._down()
            remove(self.home.state)
            for name in _OWN_FOLDERS:
                remove(self.home.folder(name))
        return True

    def provision(self, institution_ids: Sequence[str]) -> tuple[Credentials, ...]:
        """Let institutions in: topics, Kafka user and rights, client, credentials file.

        Idempotent: one that is in already keeps all its keys. Kafka must be up.
        """
        ids = [check_id(institution_id) for institution_id in institution_ids]
        with self._changing():
            if self._supervisor.status(self._part("kafka")).state == "down":
                raise DevstackError("Kafka does not run: start the stack, then run this again")
            self._provisioner.provision(ids)
        return tuple(self.credentials(institution_id) for institution_id in ids)

    def credentials(self, holder: str) -> Credentials:
        """Return the credentials of an institution, of `downstream` or of `operator`."""
        return self._provisioner.files.read(holder)

    def start_part(self, name: str) -> bool:
        """Start one part and wait until it is ready; return False when it was up already.

        What it needs must be up.
        """
        with self._changing():
            return self._start(name)

    def stop_part(self, name: str) -> None:
        """End one part, gently first, and wait until it is gone."""
        with self._changing():
            self._supervisor.stop(self._part(name))

    def kill_part(self, name: str, number: Signals = SIGKILL) -> None:
        """Send one part a signal; after SIGKILL, wait until it is gone."""
        part = self._part(name)
        with self._changing():
            self._supervisor.send(part, number, wait=_KILL_SECONDS if number == SIGKILL else 0.0)

    def address(self, name: str) -> str:
        """Return host and port of a part (`mail` is its inbox), or of `mail-smtp`.

        It stays the same for the life of the home, unless somebody else takes the port while the
        part is down.
        """
        if name not in self._port_names:
            raise DevstackError(f"there is no {name!r}: there are {', '.join(self._port_names)}")
        self._know_ports()
        return f"{LOOPBACK}:{self._state.port(name)}"

    def service_environment(self, name: str, *, owner: bool = False) -> dict[str, str]:
        """Return the settings with which the service runs, `owner=True`: with which it migrates.

        Secrets are paths of files, and only the service's own.
        """
        service = next((one for one in SERVICES if one.name == name), None)
        if service is None:
            raise DevstackError(f"there is no service {name!r}: {', '.join(SERVICE_NAMES)} are")
        self._know_ports()
        return self._settings.environment(service, owner=owner)

    def broker(self) -> Broker:
        """Return Kafka, as its superuser reaches it."""
        self._know_ports()
        return self._provisioner.broker()

    def superuser_dsn(self, database: str = SUPERUSER) -> str:
        """Return PostgreSQL's address as its superuser; it holds the password, so never log it."""
        address = self.address("postgres")
        return (
            f"postgresql://{SUPERUSER}:{self._postgres.superuser_password()}@{address}/{database}"
        )

    def kafka_login(self, user: str = ADMIN) -> Mapping[str, str]:
        """Return what a Kafka user (a service, `downstream`, by default the superuser) logs in with.

        Never log it. Keys: bootstrap, security, mechanism, username, password, group_prefix.
        """
        self._know_ports()
        return self._provisioner.kafka_login(user)

    def _start(self, name: str) -> bool:
        part = self._part(name)
        started = self._supervisor.start(part, self._progress)
        part.settle(self._progress)
        if name == "kafka":
            self._provisioner.settle_kafka()
        return started

    def _down(self) -> None:
        services = [name for name in self._parts if name not in INFRASTRUCTURE]
        for group in (services, INFRASTRUCTURE):
            at_once(partial(self._supervisor.stop, self._parts[name]) for name in group)

    def _part(self, name: str) -> Part:
        if name not in self._parts:
            raise DevstackError(f"there is no part {name!r}: there are {', '.join(self._parts)}")
        return self._parts[name]

    def _know_ports(self) -> None:
        """Have every port chosen: only the lock's holder may write that down."""
        if any(self._state.known_port(name) is None for name in self._port_names):
            with self._changing():
                pass

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the stack's lock over a home that is prepared; tell failures in a sentence."""
        try:
            _make_home(self.home)
            with locked(self.home.lock, lambda: self._progress("waiting for another to finish")):
                for name in self._port_names:
                    self._state.port(name)
                self._settings.make_keys()
                yield
        except OSError as error:
            raise about_files(error, self.home.root) from error
        except KafkaException as error:
            raise DevstackError(f"Kafka refused: {error.args[0].str()}") from error


def _make_home(home: Home) -> None:
    """Make the folder, and have git ignore all of it wherever it is."""
    # Root's PostgreSQL runs as another user, who must pass through to its own folder.
    make_folder(home.root, 0o711 if unprivileged() else PRIVATE_FOLDER)
    ignore = home.root / ".gitignore"
    if not ignore.exists():
        write_whole(ignore, "*\n")


def _one_at_a_time(progress: Progress) -> Progress:
    guard = threading.Lock()

    def guarded(text: str) -> None:
        with guard:
            progress(text)

    return guarded
