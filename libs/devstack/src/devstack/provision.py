"""Gives users their place: topics, passwords and rights in Kafka, clients, credentials files."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack.admission import wait_admitted
from devstack.broker import Broker
from devstack.credentials import CredentialFiles, Credentials, Table
from devstack.idp import AUDIENCE, Clients
from devstack.kafka_admin import KafkaAdmin, rights_for
from devstack.registry import registered_institutions
from devstack.secret_store import SecretStore
from devstack.service import SERVICE_NAMES
from devstack.state import LOOPBACK, State
from devstack.topic_list import DOWNSTREAM, group_prefix, institution_user, read_topics, topics_for

OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Provisioner:
    """Brings Kafka, the identity provider's clients and the credentials to what they should be.

    Everything here is idempotent. The caller holds the stack's lock.
    """

    state: State
    secrets: SecretStore
    broker: Callable[[], Broker]
    """How Kafka is reached now."""
    topics_file: Path
    clients: Clients
    files: CredentialFiles

    def provision(self, institution_ids: Sequence[str]) -> None:
        """Let these institutions in; Kafka must run."""
        admin = self.broker().admin()
        admin.wait_ready()
        self.state.add_institutions(institution_ids)
        admin.insist(lambda: self.extend_kafka(admin, self.state.institutions()))
        self.write_clients()
        self.write_credentials()

    def settle_kafka(self) -> None:
        """Make topics, users and rights of services and of every institution there is.

        Those are the ones provisioned here before, and those that the registry names.
        """
        admin = self.broker().admin()
        admin.wait_ready()
        topics = read_topics(self.topics_file)
        admin.insist(lambda: admin.ensure_topics(topics_for(topics, ())))
        self.state.add_institutions(registered_institutions(self.broker()))
        admin.insist(lambda: self.extend_kafka(admin, self.state.institutions()))

    def extend_kafka(self, admin: KafkaAdmin, institution_ids: Iterable[str]) -> None:
        """Make what these institutions and the services need, and no right besides."""
        topics = list(topics_for(read_topics(self.topics_file), institution_ids))
        admin.ensure_topics(topics)
        names = {topic.name for topic in topics}
        users = [*SERVICE_NAMES, DOWNSTREAM, *map(institution_user, institution_ids)]
        changed = self._ensure_users(admin, users)
        rights = rights_for(topics)
        admin.ensure_rights(rights, users)
        for user in changed:
            seen = {one.name for one in rights if one.user == user and one.name in names}
            wait_admitted(self.broker().bootstrap, user, self.broker().password(user), seen)

    def write_clients(self) -> None:
        """Make the identity provider's clients, the operator's and every institution's."""
        self.clients.put(OPERATOR, self._client_secret(OPERATOR), {"roles": ["operator"]})
        for institution_id in self.state.institutions():
            user = institution_user(institution_id)
            claims = {"institution": institution_id, "roles": ["institution"]}
            self.clients.put(user, self._client_secret(user), claims)

    def write_credentials(self) -> None:
        """Write every credentials file with the addresses of now."""
        self.files.write(OPERATOR, {"http": self._http(), "oidc": self._oidc(OPERATOR)})
        self.files.write(DOWNSTREAM, {"kafka": self.kafka_login(DOWNSTREAM), "http": self._http()})
        for institution_id in self.state.institutions():
            self._write_institution(institution_id)

    def _write_institution(self, institution_id: str) -> Credentials:
        user = institution_user(institution_id)
        tables = {"kafka": self.kafka_login(user), "http": self._http(), "oidc": self._oidc(user)}
        return self.files.write(institution_id, tables, institution_id=institution_id)

    def _ensure_users(self, admin: KafkaAdmin, users: Iterable[str]) -> list[str]:
        """Give passwords to users for whom this storage has another or none; return those."""
        storage = admin.cluster_id()
        passwords = {user: self.broker().password(user) for user in users}
        wanted = {
            user: hashlib.sha256(f"{storage}\0{user}\0{password}".encode()).hexdigest()
            for user, password in passwords.items()
        }
        changed = [
            user for user in passwords if self.state.done(f"kafka user {user}") != wanted[user]
        ]
        admin.ensure_users({user: passwords[user] for user in changed})
        self.state.mark_done({f"kafka user {user}": wanted[user] for user in changed})
        return changed

    def kafka_login(self, user: str) -> Table:
        """Return what a Kafka user needs to log in."""
        return {
            "bootstrap": self.broker().bootstrap,
            "security": "SASL_PLAINTEXT",
            "mechanism": "SCRAM-SHA-512",
            "username": user,
            "password": self.broker().password(user),
            "group_prefix": group_prefix(user),
        }

    def _http(self) -> Table:
        addresses = {name: f"http://{LOOPBACK}:{self.state.port(name)}" for name in SERVICE_NAMES}
        return {**addresses, "intake_key": f"{addresses['profile']}/v1/keys/intake"}

    def _oidc(self, client_id: str) -> Table:
        issuer = f"http://{LOOPBACK}:{self.state.port('idp')}"
        return {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/token",
            "audience": AUDIENCE,
            "client_id": client_id,
            "client_secret": self._client_secret(client_id),
        }

    def _client_secret(self, client_id: str) -> str:
        return self.secrets.password("oidc", client_id).read_text()
