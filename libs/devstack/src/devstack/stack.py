"""The whole embedded stack: `Stack` starts it, asks it, ends it, and lets institutions in."""

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from signal import SIGKILL, Signals

from devstack import paths
from devstack.credentials import CredentialFiles, Credentials
from devstack.errors import DevstackError
from devstack.files import PRIVATE_FOLDER, locked, make_folder, write_whole
from devstack.idp import Clients
from devstack.kafka import KafkaPart
from devstack.part import Part, PartStatus, Progress
from devstack.paths import Home
from devstack.postgres import SUPERUSER, PostgresPart
from devstack.postgres_roles import PostgresRoles
from devstack.postgres_user import unprivileged
from devstack.provision import Provisioner
from devstack.python_part import PythonPart, require_installed
from devstack.registry import check_id
from devstack.secret_store import SecretStore
from devstack.service import SERVICE_NAMES, SERVICES, Migration, Service, ServiceSettings
from devstack.state import LOOPBACK, State
from devstack.supervisor import Supervisor, at_once

INFRASTRUCTURE = ("kafka", "postgres", "idp", "mail")
_SOUGHT_DATA = ("kafka", "postgres", "idp", "mail", "secrets", "credentials", "logs", "run")
_KILL_SECONDS = 10.0


def silent(text: str) -> None:
    """Show no progress."""


class Stack:
    """A real Kafka, PostgreSQL, identity provider, mail catcher and the services, on loopback.

    Everything it makes is under `home`. What runs is known from files there, so any process may
    make a `Stack` of the same home and go on with it; calls that change something wait for each
    other between processes. All methods block; from async code call them in a thread.

    Every method raises `DevstackError` with one sentence for the person at the keyboard.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        repository: Path | None = None,
        cache: Path | None = None,
        progress: Progress = silent,
    ) -> None:
        """Make a handle; nothing is started or written.

        Args:
            home: the folder; `ONCOMENTOR_HOME`, else `.oncomentor` in the repository.
            repository: where `deploy/` is; found upwards from the current directory.
            cache: where downloads are shared; `ONCOMENTOR_CACHE`, else the user's cache folder.
            progress: called with what happens, from several threads, one call at a time or not.
        """
        deploy = (repository or paths.find_repository()) / "deploy"
        root = (home or paths.default_home(deploy.parent)).absolute()
        self.home = Home(root)
        self._progress = progress
        self._state = State(self.home.state)
        self._secrets = SecretStore(self.home.folder("secrets"))
        self._roles = PostgresRoles(deploy / "postgres", self._secrets)
        self._supervisor = Supervisor(self.home, self._state)
        self._kafka = KafkaPart(
            self.home, self._state, self._secrets, cache or paths.default_cache()
        )
        self._postgres = PostgresPart(self.home, self._state, self._secrets, self._roles)
        self._settings = ServiceSettings(self.home, self._state, self._secrets, self._roles)
        self._clients = Clients(self.home.folder("idp") / "clients.json")
        self._provisioner = Provisioner(
            self._state,
            self._secrets,
            self._kafka,
            deploy / "kafka" / "topics.toml",
            self._clients,
            CredentialFiles(self.home.folder("credentials")),
        )
        self._parts: dict[str, Part] = {part.name: part for part in self._make_parts()}

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
            self._settings.make_keys()
            for name in ("kafka", "postgres", "idp", "mail", "mail-smtp", *SERVICE_NAMES):
                self._state.port(name)
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
        """Return how each part is now, infrastructure first; a down stack is all "down"."""
        make_home(self.home)
        return tuple(self._supervisor.status(part) for part in self._parts.values())

    def reset(self, *, yes: bool = False, ask: Callable[[str], bool] | None = None) -> bool:
        """End the stack and delete everything it has; return whether that was done.

        Args:
            yes: do it without asking.
            ask: is given the question and returns the answer.
        """
        question = f"Delete all data, secrets and credentials in {self.home.root}?"
        if not yes and (ask is None or not ask(question)):
            return False
        if not self.home.root.exists():
            return True
        with self._changing():
            self._down()
            for name in _SOUGHT_DATA:
                shutil.rmtree(self.home.folder(name), ignore_errors=True)
            self.home.state.unlink(missing_ok=True)
        return True

    def provision(self, institution_ids: Sequence[str]) -> tuple[Credentials, ...]:
        """Let institutions in: topics, Kafka user and rights, client, credentials file.

        Idempotent: one that is in already keeps all its keys. Kafka must be up.
        """
        ids = [check_id(institution_id) for institution_id in institution_ids]
        with self._changing():
            self._state.add_institutions(ids)
            admin = self._kafka.admin()
            admin.wait_ready()
            self._provisioner.extend_kafka(admin, self._state.institutions())
            self._provisioner.write_clients()
            self._provisioner.write_credentials()
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
            self._supervisor.send(part, number)
            if number == SIGKILL:
                self._supervisor.wait_gone(part, _KILL_SECONDS)

    def address(self, name: str) -> str:
        """Return host and port of a part (`mail` is its inbox), or of `mail-smtp`.

        It stays the same for the life of the home, unless somebody else takes the port while the
        part is down.
        """
        known = {port for part in self._parts.values() for port in part.ports}
        if name not in known:
            raise DevstackError(f"there is no part {name!r}: there are {', '.join(sorted(known))}")
        make_home(self.home)
        return f"{LOOPBACK}:{self._state.port(name)}"

    def service_environment(self, name: str, *, owner: bool = False) -> dict[str, str]:
        """Return the settings with which the service runs, `owner=True`: with which it migrates.

        Secrets are paths of files, and only the service's own.
        """
        service = next((one for one in SERVICES if one.name == name), None)
        if service is None:
            raise DevstackError(
                f"there is no service {name!r}: there are {', '.join(SERVICE_NAMES)}"
            )
        make_home(self.home)
        self._settings.make_keys()
        return self._settings.environment(service, owner=owner)

    def superuser_dsn(self, database: str = SUPERUSER) -> str:
        """Return PostgreSQL's address as its superuser; it holds the password, so never log it."""
        password = self._postgres.superuser_password()
        return f"postgresql://{SUPERUSER}:{password}@{self.address('postgres')}/{database}"

    def _start(self, name: str) -> bool:
        part = self._part(name)
        started = self._supervisor.start(part, self._progress)
        part.settle(self._progress)
        if name == "kafka":
            self._provisioner.settle_kafka()
        return started

    def _down(self) -> None:
        names = [name for name in self._parts if name not in INFRASTRUCTURE]
        for group in (names, INFRASTRUCTURE):
            at_once(partial(self._supervisor.stop, self._parts[name]) for name in group)

    def _part(self, name: str) -> Part:
        if name not in self._parts:
            raise DevstackError(f"there is no part {name!r}: there are {', '.join(self._parts)}")
        return self._parts[name]

    def _make_parts(self) -> Iterator[Part]:
        yield self._kafka
        yield self._postgres
        yield self._identity_provider()
        yield self._mail_catcher()
        yield from (self._service(service) for service in SERVICES)

    def _identity_provider(self) -> PythonPart:
        def arguments() -> tuple[str, ...]:
            key = self._secrets.signing_keys("oidc-signing").private
            port = str(self._state.port("idp"))
            return "--port", port, "--key-file", str(key), "--clients-file", str(self._clients.path)

        return PythonPart(
            self.home,
            self._state,
            "idp",
            "the identity provider",
            "devstack.idp",
            ("idp",),
            arguments,
        )

    def _mail_catcher(self) -> PythonPart:
        def arguments() -> tuple[str, ...]:
            smtp, http = str(self._state.port("mail-smtp")), str(self._state.port("mail"))
            folder = str(self.home.folder("mail"))
            return "--smtp-port", smtp, "--http-port", http, "--folder", folder

        ports = ("mail", "mail-smtp")
        return PythonPart(
            self.home, self._state, "mail", "the mail catcher", "devstack.mail", ports, arguments
        )

    def _service(self, service: Service) -> PythonPart:
        part = PythonPart(
            self.home,
            self._state,
            service.name,
            service.name,
            service.module,
            (service.name,),
            environment=lambda: self._settings.environment(service),
            before=lambda: Migration(self._settings, service, part).run(self._progress),
        )
        return part

    @contextmanager
    def _changing(self) -> Iterator[None]:
        make_home(self.home)
        with locked(self.home.lock, lambda: self._progress("waiting for another one to finish")):
            yield


def make_home(home: Home) -> None:
    """Make the folder, and have git ignore all of it wherever it is."""
    # Root's PostgreSQL runs as another user, who must pass through to its own folder.
    make_folder(home.root, 0o711 if unprivileged() else PRIVATE_FOLDER)
    ignore = home.root / ".gitignore"
    if not ignore.exists():
        write_whole(ignore, "*\n")
