"""A broker that runs, as its administrator reaches it."""

from dataclasses import dataclass

from devstack.kafka_admin import SCRAM, KafkaAdmin, client_config
from devstack.secret_store import SecretStore

ADMIN = "admin"
SECRET_GROUP = "kafka"  # noqa: S105 - a folder's name


@dataclass(frozen=True, slots=True)
class Broker:
    """Where it is, and its users' passwords."""

    bootstrap: str
    secrets: SecretStore
    mechanism: str = SCRAM
    """How the administrator logs in: PLAIN, where no SCRAM user has been made yet."""

    def admin(self) -> KafkaAdmin:
        """Return a connection as the superuser."""
        return KafkaAdmin(self.bootstrap, ADMIN, self.password(ADMIN), self.mechanism)

    def client_config(self) -> dict[str, str | int | float | bool]:
        """Return what a librdkafka client needs to log in as the superuser."""
        return client_config(self.bootstrap, ADMIN, self.password(ADMIN), self.mechanism)

    def password(self, user: str) -> str:
        """Return a Kafka user's password."""
        return self.secrets.password(SECRET_GROUP, user).read_text()
