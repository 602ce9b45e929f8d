"""The network in containers, as the machine sees it that they run on: secrets, ports, credentials.

`docker-compose.yml` says what runs. This makes what it needs and may not hold itself, and lets
institutions in.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException

from devstack import paths
from devstack.broker import ADMIN, Broker
from devstack.credentials import CredentialFiles, Credentials
from devstack.errors import DevstackError, about_files
from devstack.files import MOUNTED_FILE, locked, make_folder, write_whole
from devstack.idp import Clients
from devstack.kafka import BROKER
from devstack.part import Progress, answers_ready
from devstack.paths import Home
from devstack.postgres import SUPERUSER
from devstack.postgres_roles import KINDS, PostgresRoles
from devstack.postgres_roles import SECRET_GROUP as POSTGRES
from devstack.provision import Provisioner
from devstack.registry import check_id
from devstack.secret_store import SecretStore
from devstack.service import SERVICE_NAMES, SERVICES, ServiceSettings
from devstack.state import LOOPBACK, State
from devstack.topic_list import DOWNSTREAM

PORTS = {
    "kafka": 9092, "postgres": 5432, "idp": 8090, "mail": 8025,
    "profile": 8081, "matching": 8082, "scheduling": 8083, "notification": 8084,
}  # fmt: skip
"""The ports of loopback that are published, where nobody else has them."""
_KAFKA_USERS = (ADMIN, BROKER, DOWNSTREAM, *SERVICE_NAMES)
UP = "docker compose up --build --wait"


class Containers:
    """What `docker-compose.yml` is given and what clients of its network are given.

    Everything is under `home`, but for the file `.env` beside `docker-compose.yml`, which names the
    ports and `home`; that of another home than the usual is in it. Every method raises `DevstackError` with one sentence for the person at the
    keyboard.
    """

    def __init__(
        self,
        repository: Path | None = None,
        *,
        home: Path | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        """Make a handle; nothing is written. `home` is by default `.oncomentor/compose`."""
        self._root = repository or paths.find_repository()
        self.home = Home((home or paths.compose_home(self._root)).absolute())
        self._progress = progress
        self._state = State(self.home.state)
        self._secrets = SecretStore(self.home.folder("secrets"), MOUNTED_FILE)
        self._roles = PostgresRoles(self._root / "deploy" / "postgres", self._secrets)
        self._provisioner = Provisioner(
            self._state,
            self._secrets,
            self.broker,
            self._root / paths.TOPICS,
            Clients(self.home.folder("idp") / "clients.json", MOUNTED_FILE),
            CredentialFiles(self.home.folder("credentials")),
        )

    @property
    def _is_usual(self) -> bool:
        return self.home.root == self._root / ".oncomentor" / "compose"

    @property
    def environment_file(self) -> Path:
        """What compose reads by itself: ports, and where the secrets are."""
        return (self._root if self._is_usual else self.home.root) / ".env"

    @property
    def project(self) -> str:
        """The project's name with compose, of another home than the usual."""
        return f"oncomentor-{hashlib.sha256(str(self.home.root).encode()).hexdigest()[:8]}"

    def prepare(self, ports: Mapping[str, int] = PORTS) -> None:
        """Make every secret, choose ports, write `.env`; what is there already stays.

        `ports` are wanted; a wanted 0, or one that is taken, becomes any that is free.
        """
        with self._changing():
            for name in PORTS:
                self._state.port(name, ports[name])
            for user in _KAFKA_USERS:
                self._secrets.password("kafka", user)
            self._secrets.password(POSTGRES, SUPERUSER)
            for service in SERVICE_NAMES:
                for kind in KINDS:
                    self._roles.password_file(service, kind)
            self._secrets.signing_keys("oidc-signing")
            ServiceSettings(self.home, self._state, self._secrets, self._roles).make_keys()
            self._provisioner.write_clients()
            self._provisioner.write_credentials()
            write_whole(self.environment_file, self._environment())

    def missing(self) -> list[str]:
        """Return what `prepare` makes and is not there, or is empty: files below the home."""
        folder = self.home.folder("secrets")
        files = [folder / "kafka" / user for user in _KAFKA_USERS]
        files += [folder / POSTGRES / SUPERUSER]
        files += [folder / POSTGRES / f"{one}_{kind}" for one in SERVICE_NAMES for kind in KINDS]
        files += [folder / key for service in SERVICES for key in service.key_files.values()]
        files += [folder / "oidc-signing.jwk", self.home.folder("idp") / "clients.json"]
        lacking = [path for path in files if not path.is_file() or not path.stat().st_size]
        return [str(path.relative_to(self.home.root)) for path in lacking]

    def require_ready(self) -> None:
        """Make sure that all of it answers.

        Raises:
            DevstackError: something does not, with its name.
        """
        if not self.environment_file.exists() or not self.home.state.exists():
            raise DevstackError(f"there are no secrets yet: make secrets && {UP}")
        away = [name for name in ("idp", "mail", *SERVICE_NAMES) if not self._answers(name)]
        if away:
            raise DevstackError(
                f"{', '.join(away)} not ready: {UP}, or see `docker compose logs {away[0]}`"
            )

    def provision(self, institution_ids: Sequence[str]) -> tuple[Credentials, ...]:
        """Let institutions in: topics, Kafka user and rights, client, credentials file.

        Idempotent: one that is in already keeps all its keys.
        """
        ids = [check_id(institution_id) for institution_id in institution_ids]
        with self._changing():
            self._provisioner.provision(ids)
        return tuple(self.credentials(institution_id) for institution_id in ids)

    def credentials(self, holder: str) -> Credentials:
        """Return the credentials of an institution, of `downstream` or of `operator`."""
        return self._provisioner.files.read(holder)

    def address(self, name: str) -> str:
        """Return host and port of a part on this machine."""
        port = self._state.known_port(name)
        if port is None:
            raise DevstackError(f"no port of {name} is known: make secrets && {UP}")
        return f"{LOOPBACK}:{port}"

    def broker(self) -> Broker:
        """Return Kafka, as it is reached from outside."""
        return Broker(self.address("kafka"), self._secrets)

    def superuser_dsn(self, database: str = SUPERUSER) -> str:
        """Return PostgreSQL's address as its superuser; it holds the password, so never log it."""
        password = self._secrets.password(POSTGRES, SUPERUSER).read_text()
        return f"postgresql://{SUPERUSER}:{password}@{self.address('postgres')}/{database}"

    def _answers(self, name: str) -> bool:
        port = self._state.known_port(name)
        return port is not None and answers_ready(port)

    def _environment(self) -> str:
        lines = [f"ONCOMENTOR_FILES={self.home.root}"]
        if not self._is_usual:
            lines.append(f"COMPOSE_PROJECT_NAME={self.project}")
        lines += [f"ONCOMENTOR_{name.upper()}_PORT={self._state.port(name)}" for name in PORTS]
        return "# Made by `make secrets` for docker-compose.yml.\n" + "\n".join(lines) + "\n"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            make_folder(self.home.root)
            with locked(self.home.lock, lambda: self._progress("waiting for another to finish")):
                yield
        except OSError as error:
            raise about_files(error, self.home.root) from error
        except KafkaException as error:
            raise DevstackError(f"Kafka refused: {error.args[0].str()}") from error


def main(say: Callable[[str], object] = sys.stderr.write) -> int:
    """`python -m devstack.containers`: make what docker-compose.yml needs."""
    containers = Containers()
    try:
        containers.prepare()
    except DevstackError as error:
        say(f"secrets: {error}\n")
        return 1
    say(f"secrets: in {containers.home.root}; next: {UP}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
