"""The parts of the stack, put together: the one place that builds them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.credentials import CredentialFiles
from devstack.idp import Clients
from devstack.kafka import KafkaPart
from devstack.part import Part, Progress
from devstack.paths import TOPICS, Home
from devstack.postgres import PostgresPart
from devstack.postgres_roles import PostgresRoles
from devstack.provision import Provisioner
from devstack.python_part import PythonPart
from devstack.secret_store import SecretStore
from devstack.service import SERVICES, Migration, Service, ServiceSettings
from devstack.state import State

INFRASTRUCTURE = ("kafka", "postgres", "idp", "mail")

Environments = Mapping[str, Mapping[str, str]]
"""More environment by name of the part."""


@dataclass(frozen=True, slots=True)
class Builder:
    """Everything under one home, wired to each other; making it touches no file."""

    home: Home
    repository: Path
    cache: Path
    progress: Progress
    more_environment: Environments
    state: State
    secrets: SecretStore
    kafka_behind: int | None = None

    def kafka(self) -> KafkaPart:
        """Return the broker."""
        return KafkaPart(self.home, self.state, self.secrets, self.cache, self.kafka_behind)

    def postgres(self) -> PostgresPart:
        """Return the database server."""
        return PostgresPart(self.home, self.state, self.secrets, self._roles())

    def settings(self) -> ServiceSettings:
        """Return what services' environments are made from."""
        return ServiceSettings(self.home, self.state, self.secrets, self._roles())

    def provisioner(self) -> Provisioner:
        """Return what lets users in."""
        return Provisioner(
            self.state,
            self.secrets,
            self.kafka().broker,
            self.repository / TOPICS,
            self._clients(),
            CredentialFiles(self.home.folder("credentials")),
        )

    def parts(self) -> Iterator[Part]:
        """Yield all parts, what others need first."""
        yield self.kafka()
        yield self.postgres()
        yield self._identity_provider()
        yield self._mail_catcher()
        yield from map(self._service, SERVICES)

    def _identity_provider(self) -> PythonPart:
        def arguments() -> tuple[str, ...]:
            key = self.secrets.signing_keys("oidc-signing").private
            clients = str(self._clients().path)
            port = str(self.state.port("idp"))
            return "--port", port, "--key-file", str(key), "--clients-file", clients

        title = "the identity provider"
        return PythonPart(
            self.home, self.state, "idp", title, "devstack.idp", ("idp",), arguments=arguments
        )

    def _mail_catcher(self) -> PythonPart:
        def arguments() -> tuple[str, ...]:
            smtp, http = str(self.state.port("mail-smtp")), str(self.state.port("mail"))
            folder = str(self.home.folder("mail"))
            return "--smtp-port", smtp, "--http-port", http, "--folder", folder

        title, ports = "the mail catcher", ("mail", "mail-smtp")
        return PythonPart(
            self.home, self.state, "mail", title, "devstack.mail", ports, arguments=arguments
        )

    def _service(self, service: Service) -> PythonPart:
        name, settings = service.name, self.settings()

        def environment() -> Mapping[str, str]:
            return {**settings.environment(service), **self.more_environment.get(name, {})}

        part = PythonPart(
            self.home,
            self.state,
            name,
            name,
            service.module,
            (name,),
            environment=environment,
            before=lambda: Migration(settings, service, part).run(self.progress),
        )
        return part

    def _clients(self) -> Clients:
        return Clients(self.home.folder("idp") / "clients.json")

    def _roles(self) -> PostgresRoles:
        return PostgresRoles(self.repository / "deploy" / "postgres", self.secrets)
