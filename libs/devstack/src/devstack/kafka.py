"""Apache Kafka as one combined node: its configuration, its first format, its command."""

import base64
import socket
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGQUIT, SIGTERM, Signals

from devstack import jars, java, paths
from devstack.broker import ADMIN, Broker
from devstack.files import make_folder, remove, write_whole
from devstack.part import PROBE_SECONDS, Progress
from devstack.paths import Home
from devstack.process import Command
from devstack.secret_store import SecretStore
from devstack.state import LOOPBACK, State
from devstack.tool import run_tool
from devstack.topic_list import MAX_MESSAGE_BYTES

BROKER = "broker"

_LOGGING = """\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %-5p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
logger.lifecycle.name=org.apache.kafka.server.BrokerLifecycleManager
logger.lifecycle.level=info
"""

_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass(frozen=True, slots=True)
class KafkaPart:
    """A real broker and controller in one process, on loopback, authentication and rights on.

    Users log in with SCRAM-SHA-512. What no rule allows is denied.
    """

    home: Home
    state: State
    secrets: SecretStore
    cache: Path
    behind: int | None = None
    """The loopback port of a proxy. Whoever comes in by the port `kafka-behind` is told to come
    back by this one, so that the proxy has all of a client's connections and not just the first."""
    name: str = "kafka"
    title: str = "Kafka"
    stop_steps: tuple[tuple[Signals, float], ...] = ((SIGTERM, 20.0), (SIGKILL, 5.0))
    start_seconds: float = 60.0
    # Seen once, after a kill: the controller began to be active, then nothing for a minute.
    says_where_it_hangs: Signals | None = SIGQUIT

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of its ports."""
        return "kafka", "kafka-controller", *(() if self.behind is None else ("kafka-behind",))

    @property
    def folder(self) -> Path:
        """Everything the broker has on disk."""
        return self.home.folder("kafka")

    def broker(self) -> Broker:
        """Return how it is reached, once it runs."""
        return Broker(f"{LOOPBACK}:{self.state.port('kafka')}", self.secrets)

    def prepare(self, progress: Progress) -> None:
        """Fetch the jars and format the storage, unless that is done."""
        make_folder(self.folder)
        class_path = jars.fetch_jars(self.cache, progress)
        # Native libraries are unpacked here at each start; a killed broker leaves its copies.
        remove(self.folder / "tmp")
        for leftover in self.folder.glob("draft-*"):
            remove(leftover)
        make_folder(self.folder / "tmp")
        write_whole(self.folder / "log4j2.properties", _LOGGING)
        write_whole(self.folder / "server.properties", self._properties("data"))
        if not (self.folder / "data" / "meta.properties").exists():
            progress("formatting Kafka's storage")
            self._format(class_path)

    def command(self) -> Command:
        """Return the broker's command line, which holds no secret."""
        class_path = [self.cache / "jars" / jar.file_name for jar in jars.locked_jars()]
        flags = ("-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError")
        argv = (*self._java(class_path, flags), "kafka.Kafka", "server.properties")
        settings = self._properties("data")
        return Command(argv, paths.inherited_environment(), self.folder, configuration=settings)

    def is_ready(self) -> bool:
        """Return whether the broker answers a request for its API versions.

        A connection alone would not do: the system accepts it for a process that hangs.

        Source: Kafka protocol guide, ApiVersions v0: the one request allowed before logging in.
        """
        client_id = b"devstack"
        request = struct.pack(">hhih", 18, 0, 1, len(client_id)) + client_id
        address = (LOOPBACK, self.state.port("kafka"))
        try:
            with socket.create_connection(address, timeout=PROBE_SECONDS) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                return len(connection.recv(8)) > 0
        except OSError:
            return False

    def settle(self, progress: Progress) -> None:
        """Leave topics, users and rights to `provision`, which knows the institutions."""

    def _format(self, class_path: tuple[Path, ...]) -> None:
        """Make the storage beside its place and move it there whole: no half is ever started."""
        remove(self.folder / "data")
        # A name of its own: a formatter that outlives its killed starter may still write to its.
        draft = self.folder / f"draft-{uuid.uuid4().hex}"
        settings = self.folder / f"{draft.name}.properties"
        write_whole(settings, self._properties(draft.name))
        arguments = self.folder / f"{draft.name}.arguments"
        users = [
            line
            for user in (BROKER, ADMIN)
            for line in (
                "--add-scram",
                f"SCRAM-SHA-512=[name={user},password={self.broker().password(user)}]",
            )
        ]
        lines = ["format", f"--cluster-id={_cluster_id()}", "--config", settings.name, *users]
        write_whole(arguments, "\n".join(lines))
        flags = ("-Xmx256m", "-XX:TieredStopAtLevel=1")
        argv = (*self._java(class_path, flags), "kafka.tools.StorageTool", f"@{arguments.name}")
        try:
            run_tool(
                Command(argv, paths.inherited_environment(), self.folder),
                f"Kafka's storage could not be formatted in {self.folder}",
            )
        finally:
            remove(arguments)
            remove(settings)
        draft.rename(self.folder / "data")

    def _java(
        self, class_path: tuple[Path, ...] | list[Path], flags: tuple[str, ...]
    ) -> tuple[str, ...]:
        return (
            str(java.find_java(paths.java_home())),
            *flags,
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            "-Dlog4j2.configurationFile=log4j2.properties",
            "-cp",
            ":".join(map(str, class_path)),
        )

    def _properties(self, data: str) -> str:
        client, controller = self.state.port("kafka"), self.state.port("kafka-controller")
        password = self.broker().password(BROKER)
        settings = {
            **_SETTINGS,
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
            "listeners": f"CLIENT://{LOOPBACK}:{client},CONTROLLER://{LOOPBACK}:{controller}",
            "advertised.listeners": f"CLIENT://{LOOPBACK}:{client}",
            "listener.name.client.scram-sha-512.sasl.jaas.config": (
                f'{_SCRAM} required username="{BROKER}" password="{password}";'
            ),
            # SCRAM users live in the metadata that the controller keeps, so reaching the
            # controller itself needs a user that is known without it.
            "listener.name.controller.plain.sasl.jaas.config": (
                f'{_PLAIN} required username="{BROKER}" password="{password}" '
                f'user_{BROKER}="{password}";'
            ),
            "log.dirs": data,  # relative to where it runs: a comma in a path would part it in two
        }
        if self.behind is not None:
            settings = _with_proxy(settings, self.state.port("kafka-behind"), self.behind)
        return "".join(f"{name}={value}\n" for name, value in sorted(settings.items()))


_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENT",
    "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
    "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "sasl.mechanism.controller.protocol": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": f"User:{ADMIN};User:{BROKER}",
    # A broker that comes back after it was killed waits for the end of its former session.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    "delete.topic.enable": "true",
    "group.initial.rebalance.delay.ms": "0",
    "message.max.bytes": str(MAX_MESSAGE_BYTES),
    # Internal topics of one small node: fewer partitions are faster to open and to close.
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "log.index.size.max.bytes": str(1024 * 1024),
}


def _with_proxy(settings: dict[str, str], port: int, proxy: int) -> dict[str, str]:
    """Return the settings with one more listener, whose clients come back through the proxy."""
    jaas = settings["listener.name.client.scram-sha-512.sasl.jaas.config"]
    return {
        **settings,
        "listeners": f"{settings['listeners']},BEHIND://{LOOPBACK}:{port}",
        "advertised.listeners": f"{settings['advertised.listeners']},BEHIND://{LOOPBACK}:{proxy}",
        "listener.security.protocol.map": (
            f"{settings['listener.security.protocol.map']},BEHIND:SASL_PLAINTEXT"
        ),
        "listener.name.behind.scram-sha-512.sasl.jaas.config": jaas,
        # Tests that freeze a member of a group do not wait for the usual 6 seconds at least.
        "group.min.session.timeout.ms": "500",
    }


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
