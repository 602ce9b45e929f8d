"""The network's own services as parts, and the environment each of them gets."""

import dataclasses
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.files import make_folder, rotate
from devstack.idp import AUDIENCE
from devstack.part import Progress
from devstack.paths import Home
from devstack.postgres_roles import PostgresRoles
from devstack.python_part import PythonPart, require_installed, run_to_end
from devstack.secret_store import SecretStore
from devstack.state import LOOPBACK, State

Environment = dict[str, str]


@dataclass(frozen=True, slots=True)
class Service:
    """What is particular about one service: the keys it gets and the settings of its own."""

    name: str
    key_files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Environment name to file, below the secrets folder."""
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def module(self) -> str:
        """The package that is run."""
        return f"{self.name}_service"


SERVICES = (
    Service(
        "profile",
        key_files={
            "ONCOMENTOR_INTAKE_KEY_FILE": "intake.jwk",
            "ONCOMENTOR_KEK_FILE": "kek.key",
            "ONCOMENTOR_READER_KEY_MATCHING_FILE": "reader-matching.public.jwk",
            "ONCOMENTOR_READER_KEY_NOTIFICATION_FILE": "reader-notification.public.jwk",
        },
    ),
    Service("matching", key_files={"ONCOMENTOR_READER_KEY_FILE": "reader-matching.jwk"}),
    Service(
        "scheduling", settings={"ONCOMENTOR_MEETING_BASE_URL": "https://meet.example.invalid/"}
    ),
    Service(
        "notification",
        key_files={"ONCOMENTOR_READER_KEY_FILE": "reader-notification.jwk"},
        settings={
            "ONCOMENTOR_SMTP_HOST": LOOPBACK,
            "ONCOMENTOR_MAIL_FROM": "oncomentor@mail.invalid",
        },
    ),
)
SERVICE_NAMES = tuple(service.name for service in SERVICES)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Turns what the stack remembers into a service's environment."""

    home: Home
    state: State
    secrets: SecretStore
    roles: PostgresRoles

    def environment(self, service: Service, *, owner: bool = False) -> Environment:
        """Return the service's settings; only its own secrets, as paths of files.

        With `owner` come the credentials with which it migrates its database.
        """
        name, port = service.name, self.state.port
        kinds = ("worker", "api", "owner") if owner else ("worker", "api")
        return {
            "ONCOMENTOR_KAFKA_BOOTSTRAP": f"{LOOPBACK}:{port('kafka')}",
            "ONCOMENTOR_KAFKA_SECURITY": "SASL_PLAINTEXT",
            "ONCOMENTOR_KAFKA_USERNAME": name,
            "ONCOMENTOR_KAFKA_PASSWORD_FILE": str(self.secrets.password("kafka", name)),
            "ONCOMENTOR_DATABASE_HOST": LOOPBACK,
            "ONCOMENTOR_DATABASE_PORT": str(port("postgres")),
            "ONCOMENTOR_DATABASE_NAME": name,
            **{key: value for kind in kinds for key, value in self._role(name, kind).items()},
            "ONCOMENTOR_HTTP_HOST": LOOPBACK,
            "ONCOMENTOR_HTTP_PORT": str(port(name)),
            "ONCOMENTOR_OIDC_ISSUER": f"http://{LOOPBACK}:{port('idp')}",
            "ONCOMENTOR_OIDC_AUDIENCE": AUDIENCE,
            **self._smtp(service),
            **service.settings,
            **{key: str(self.secrets.folder / file) for key, file in service.key_files.items()},
        }

    def make_keys(self) -> None:
        """Make every key that services get, once."""
        self.secrets.exchange_keys("intake")
        self.secrets.encryption_key("kek")
        self.secrets.exchange_keys("reader-matching")
        self.secrets.exchange_keys("reader-notification")

    def _role(self, name: str, kind: str) -> Environment:
        prefix = f"ONCOMENTOR_DATABASE_{kind.upper()}"
        return {
            f"{prefix}_USER": f"{name}_{kind}",
            f"{prefix}_PASSWORD_FILE": str(self.roles.password_file(name, kind)),
        }

    def _smtp(self, service: Service) -> Environment:
        if "ONCOMENTOR_SMTP_HOST" not in service.settings:
            return {}
        return {"ONCOMENTOR_SMTP_PORT": str(self.state.port("mail-smtp"))}


@dataclass(frozen=True, slots=True)
class Migration:
    """Brings a service's database to the migrations it comes with, before it is started."""

    settings: ServiceSettings
    service: Service
    part: PythonPart

    def run(self, progress: Progress) -> None:
        """Migrate, unless this data directory has seen exactly these migrations.

        Raises:
            DevstackError: the migration failed; the service must not be started.
        """
        fingerprint = self._fingerprint()
        work = f"migrate {self.service.name}"
        if self.settings.state.done(work) == fingerprint:
            return
        progress(f"migrating {self.service.name}'s database")
        command = self.part.command()
        as_owner = self.settings.environment(self.service, owner=True)
        log = self.settings.home.log(f"{self.service.name}-migrate")
        make_folder(log.parent)
        rotate(log)
        run_to_end(
            dataclasses.replace(
                command,
                argv=(*command.argv, "--migrate"),
                environment={**command.environment, **as_owner},
            ),
            log,
            f"the migration of {self.service.name}'s database",
        )
        self.settings.state.mark_done({work: fingerprint})

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for path in self._sql():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        # Written by initdb: another data directory has another one.
        control = self.settings.home.folder("postgres") / "data" / "PG_VERSION"
        # Where the data is not ours to see, in a container, no state can vouch for it.
        about_data = control.stat().st_mtime_ns if control.exists() else time.time_ns()
        digest.update(str(about_data).encode())
        return digest.hexdigest()

    def _sql(self) -> list[Path]:
        own = require_installed(self.service.module, f"the service {self.service.name}")
        kernel = require_installed("servicekit", "the services' kernel")
        return [*sorted(kernel.rglob("*.sql")), *sorted(own.rglob("*.sql"))]
