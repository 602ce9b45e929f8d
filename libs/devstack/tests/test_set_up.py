"""What containers' jobs do, on the embedded Kafka and PostgreSQL."""

from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it forgets to say what it exports
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from devstack import paths, set_up
from devstack.broker import Broker
from devstack.secret_store import SecretStore
from devstack.stack import Stack
from testkit.standing import kafka_standing, postgres_standing

DEPLOY = paths.find_repository() / "deploy"


@pytest.fixture
def broker(network: Stack) -> Broker:
    return Broker(network.address("kafka"), SecretStore(network.home.folder("secrets")))


def test_a_job_mends_what_services_lost_and_leaves_centers_as_they_are(
    network: Stack, broker: Broker
) -> None:
    topics = DEPLOY / "kafka" / "topics.toml"
    set_up.set_up_kafka(broker, broker.bootstrap, topics)  # whoever the registry names by now
    before = kafka_standing(broker)
    lost = AclBindingFilter(
        ResourceType.TOPIC,
        "ingress.north-hospital.profile",
        ResourcePatternType.LITERAL,
        "User:profile",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    admin = AdminClient(broker.client_config())
    (deleted,) = admin.delete_acls([lost]).values()
    assert len(deleted.result()) == 1

    set_up.set_up_kafka(broker, broker.bootstrap, topics)

    assert kafka_standing(broker) == before


async def test_the_other_job_makes_the_same_databases_again(network: Stack) -> None:
    before = await postgres_standing(network.superuser_dsn())
    host, port = network.address("postgres").split(":")

    status = set_up.main(
        ["--secrets", str(network.home.folder("secrets")), "postgres",
         "--host", host, "--port", port, "--sql", str(DEPLOY / "postgres")]
    )  # fmt: skip

    assert status == 0
    assert await postgres_standing(network.superuser_dsn()) == before


def test_a_job_that_is_refused_says_why_in_one_line(
    network: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, topics = network.address("kafka"), str(DEPLOY / "kafka" / "topics.toml")

    status = set_up.main(
        ["--secrets", str(tmp_path), "kafka",
         "--admin-at", address, "--clients-at", address, "--topics", topics]
    )  # fmt: skip

    said = capsys.readouterr().err
    assert status == 1
    assert said.startswith("kafka: ")
    assert said.count("\n") == 1
