"""Topics, users and rights of a running broker, brought to what they should be."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it forgets to say what it exports
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from devstack.errors import DevstackError
from devstack.topic_list import Topic, group_prefix, is_institution

SCRAM, PLAIN = "SCRAM-SHA-512", "PLAIN"
REQUEST_SECONDS = 20.0
_READY_SECONDS = 30.0
_SCRAM_ITERATIONS = 4096

# What a broker answers while it is not (any more, or yet) a member of its cluster.
_PASSING = frozenset(
    {
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_CONTROLLER,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._TIMED_OUT,  # noqa: SLF001 - its public name
        KafkaError._TRANSPORT,  # noqa: SLF001 - the same
    }
)


class Right(NamedTuple):
    """One thing one user may do: READ or WRITE on a topic, or READ in its consumer groups."""

    user: str
    resource: ResourceType
    name: str
    pattern: ResourcePatternType
    operation: AclOperation


def rights_for(topics: Iterable[Topic]) -> frozenset[Right]:
    """Return exactly the rights that the topics name, and their readers' own consumer groups.

    Services also read what they write.
    WRITE brings what an idempotent producer needs, READ and WRITE bring DESCRIBE (Kafka, "Authorization
    and ACLs"); so nothing else is given.
    """
    literal, topic_type = ResourcePatternType.LITERAL, ResourceType.TOPIC
    rights: set[Right] = set()
    for topic in topics:
        rights |= {
            Right(user, topic_type, topic.name, literal, AclOperation.WRITE)
            for user in topic.writers
        }
        rights |= {
            Right(user, topic_type, topic.name, literal, AclOperation.READ)
            for user in topic.readers
        }
        # A service reads back what it writes: its relay looks there for what its database does
        # not know (docs/adr/0010). A center does not.
        rights |= {
            Right(user, topic_type, topic.name, literal, AclOperation.READ)
            for user in topic.writers
            if not is_institution(user)
        }
    readers = {right.user for right in rights if right.operation == AclOperation.READ}
    return frozenset(rights) | {
        Right(
            user,
            ResourceType.GROUP,
            group_prefix(user),
            ResourcePatternType.PREFIXED,
            AclOperation.READ,
        )
        for user in readers
    }


@dataclass
class KafkaAdmin:
    """The broker's superuser. Every method is idempotent and leaves alone what is right already."""

    bootstrap: str
    user: str
    password: str = field(repr=False)
    mechanism: str = SCRAM

    def __post_init__(self) -> None:
        self._refused = False
        self._client = AdminClient(
            {
                **client_config(self.bootstrap, self.user, self.password, self.mechanism),
                "socket.timeout.ms": 10_000,
                "reconnect.backoff.max.ms": 250,
            },
            error_cb=self._note,
        )

    def wait_ready(self) -> None:
        """Wait until the broker has joined its own cluster and takes the superuser's password.

        Raises:
            DevstackError: the password is refused, or it takes too long.
        """
        deadline = time.monotonic() + _READY_SECONDS
        reason = "it has not joined its own cluster"
        while time.monotonic() < deadline:
            try:
                if self._client.list_topics(timeout=2.0).brokers:
                    return
            except KafkaException as error:
                reason = error.args[0].str()
            self._client.poll(0)  # errors of the connection are told only here
            if self._refused:
                raise DevstackError(
                    "Kafka refuses the stored password, so its data and the secrets do not belong "
                    "together: put the folder back as it was, or reset the stack"
                )
            time.sleep(0.05)

        raise DevstackError(f"Kafka at {self.bootstrap} does not answer: {reason}; run this again")

    def cluster_id(self) -> str:
        """Return what this storage was formatted as: another one has other users and topics."""
        return str(self._client.list_topics(timeout=REQUEST_SECONDS).cluster_id)

    def topics(self) -> set[str]:
        """Return the names of all topics."""
        return set(self._client.list_topics(timeout=REQUEST_SECONDS).topics)

    def insist(self, action: Callable[[], None]) -> None:
        """Do something idempotent, again while the broker says that it is not ready for it.

        A broker that was starved of processor time leaves its own cluster for a moment.

        Raises:
            KafkaException: it is refused for another reason, or for too long.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                return action()
            except KafkaException as error:
                reason = error.args[0]
                passing = reason.retriable() or reason.code() in _PASSING
                if not passing or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def ensure_topics(self, topics: Iterable[Topic]) -> None:
        """Make the topics that are not there and set the configuration of those that are.

        The number of partitions of a topic that exists is never changed: its keys would move, and
        with them their order.
        """
        wanted = {topic.name: topic for topic in topics}
        there = self.topics()
        missing = [topic for name, topic in wanted.items() if name not in there]
        if missing:
            new = [
                NewTopic(topic.name, topic.partitions, topic.replication, config=topic.config)
                for topic in missing
            ]
            for job in self._client.create_topics(new, request_timeout=REQUEST_SECONDS).values():
                try:
                    job.result()
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise
        self._ensure_configs(topic for name, topic in wanted.items() if name in there)

    def ensure_users(self, passwords: Mapping[str, str]) -> None:
        """Give these users these passwords."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _SCRAM_ITERATIONS)
        changes: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, info, password.encode())
            for user, password in passwords.items()
        ]
        if not changes:
            return
        for job in self._client.alter_user_scram_credentials(changes).values():
            job.result()

    def ensure_rights(self, rights: frozenset[Right], users: Collection[str]) -> None:
        """Allow these users exactly these rights: what they have besides is taken away.

        Rights of other users are left alone.
        """
        anything = AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type] # None means any, says its own documentation
            ResourcePatternType.ANY,
            None,  # type: ignore[arg-type] # the same
            None,  # type: ignore[arg-type] # the same
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        there = set(self._client.describe_acls(anything, request_timeout=REQUEST_SECONDS).result())
        wanted = {_binding(right) for right in rights}
        if missing := list(wanted - there):
            for job in self._client.create_acls(missing, request_timeout=REQUEST_SECONDS).values():
                job.result()
        principals = {f"User:{user}" for user in users}
        excess = [_exactly(one) for one in there - wanted if one.principal in principals]
        if excess:
            for deleted in self._client.delete_acls(
                excess, request_timeout=REQUEST_SECONDS
            ).values():
                deleted.result()

    def _ensure_configs(self, topics: Iterable[Topic]) -> None:
        by_resource = {ConfigResource(ResourceType.TOPIC, topic.name): topic for topic in topics}
        if not by_resource:
            return
        asked = self._client.describe_configs(list(by_resource), request_timeout=REQUEST_SECONDS)
        changes = []
        for resource, job in asked.items():
            there = {name: entry.value for name, entry in job.result().items()}
            wanted = by_resource[resource].config
            entries = [
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in wanted.items()
                if there.get(name) != value
            ]
            if entries:
                changes.append(
                    ConfigResource(ResourceType.TOPIC, resource.name, incremental_configs=entries)
                )
        if changes:
            for changed in self._client.incremental_alter_configs(changes).values():
                changed.result()

    def _note(self, error: KafkaError) -> None:
        self._refused = self._refused or error.code() == KafkaError._AUTHENTICATION  # noqa: SLF001 - its public name


def client_config(
    bootstrap: str, user: str, password: str, mechanism: str = SCRAM
) -> dict[str, str | int | float | bool]:
    """Return what any librdkafka client needs to log in."""
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
        # librdkafka writes to standard error by itself, also when a retry mends it.
        "log_level": 0,
    }


def _binding(right: Right) -> AclBinding:
    return AclBinding(
        right.resource,
        right.name,
        right.pattern,
        f"User:{right.user}",
        "*",
        right.operation,
        AclPermissionType.ALLOW,
    )


def _exactly(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
