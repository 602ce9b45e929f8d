import base64
import stat
import tomllib
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it forgets to say what it exports
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from devstack.errors import DevstackError
from devstack.stack import Stack


def test_provisioning_again_keeps_every_key(network: Stack) -> None:
    before = network.credentials("north-hospital")

    (again,) = network.provision(["north-hospital"])

    assert again == before


def test_a_center_gets_all_it_needs_in_one_file_for_itself_alone(network: Stack) -> None:
    (center,) = network.provision(["west-hospital"])

    content = tomllib.loads(center.path.read_text())
    assert stat.S_IMODE(center.path.stat().st_mode) == 0o600
    assert content["institution_id"] == "west-hospital"
    assert len(base64.urlsafe_b64decode(content["pseudonym_key"] + "=")) == 32
    assert content["kafka"]["username"] == "inst-west-hospital"
    assert content["kafka"]["bootstrap"] == network.address("kafka")
    assert content["oidc"]["client_id"] == "inst-west-hospital"
    assert content["http"]["intake_key"] == f"http://{network.address('profile')}/v1/keys/intake"


def test_two_centers_share_no_secret(network: Stack) -> None:
    north, south = network.credentials("north-hospital"), network.credentials("south-hospital")

    assert north.pseudonym_key != south.pseudonym_key
    assert north.kafka["password"] != south.kafka["password"]
    assert north.oidc["client_secret"] != south.oidc["client_secret"]


@pytest.mark.parametrize("wrong", ["", "ab", "North", "a_b", "matching", "-ab", "x" * 41, "a.b"])
def test_an_id_that_could_be_taken_for_something_else_is_refused(
    network: Stack, wrong: str
) -> None:
    with pytest.raises(DevstackError, match="can't be an institution's id"):
        network.provision([wrong])


def test_a_center_in_the_registry_is_let_in_by_the_next_up_and_one_that_left_is_not(
    network: Stack,
) -> None:
    login = network.kafka_login("profile")
    producer = Producer(
        {
            "bootstrap.servers": login["bootstrap"],
            "security.protocol": login["security"],
            "sasl.mechanism": login["mechanism"],
            "sasl.username": login["username"],
            "sasl.password": login["password"],
        }
    )
    for key, value in [
        (b"east-hospital", b"{}"),
        (b"gone-hospital", b"{}"),
        (b"gone-hospital", None),
    ]:
        producer.produce("profile.institution", value, key)
    assert producer.flush(10) == 0

    network.up(services=())

    assert network.credentials("east-hospital").institution_id == "east-hospital"
    with pytest.raises(DevstackError, match="has no credentials here"):
        network.credentials("gone-hospital")


def test_nobody_is_let_in_while_kafka_is_down(tmp_path: Path) -> None:
    with pytest.raises(DevstackError, match="Kafka does not run"):
        Stack(tmp_path).provision(["north-hospital"])


def test_topics_are_kept_as_their_kind_says(network: Stack) -> None:
    admin = as_superuser(network)
    wanted = {
        "profile.profile": ("compact", None),
        "matching.match": ("delete", "-1"),
        "ingress.north-hospital.profile": ("delete", str(7 * 86_400_000)),
        "egress.north-hospital.match": ("delete", str(30 * 86_400_000)),
    }

    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in wanted])

    for resource, job in asked.items():
        config = {name: entry.value for name, entry in job.result().items()}
        policy, retention = wanted[resource.name]
        assert config["cleanup.policy"] == policy
        assert retention is None or config["retention.ms"] == retention


def test_rights_given_by_hand_to_a_center_are_taken_away_again(network: Stack) -> None:
    admin = as_superuser(network)
    extra = AclBinding(
        ResourceType.TOPIC,
        "matching.match",
        ResourcePatternType.LITERAL,
        "User:inst-north-hospital",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    for job in admin.create_acls([extra]).values():
        job.result()

    network.provision(["north-hospital"])

    same = AclBindingFilter(
        extra.restype,
        extra.name,
        extra.resource_pattern_type,
        extra.principal,
        extra.host,
        extra.operation,
        extra.permission_type,
    )
    assert admin.describe_acls(same).result() == []


def as_superuser(network: Stack) -> AdminClient:
    login = network.kafka_login()
    return AdminClient(
        {
            "bootstrap.servers": login["bootstrap"],
            "security.protocol": login["security"],
            "sasl.mechanism": login["mechanism"],
            "sasl.username": login["username"],
            "sasl.password": login["password"],
            "log_level": 0,
        }
    )
