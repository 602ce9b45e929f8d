"""A service at work: how its parts start together, tell how they are, and stop in order."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import asyncpg
import uvicorn
from faststream.kafka import KafkaBroker

from oncomentor_contracts.topics import Kind
from servicekit import ingress, kafka, log, ops
from servicekit.auth import Authenticator
from servicekit.consumer import Consumer
from servicekit.errors import StartupError, TransientError
from servicekit.http import make_app
from servicekit.relay import Relay
from servicekit.subscription import Subscription
from servicekit.timers import Timers
from servicekit.tx import Database

if TYPE_CHECKING:
    from servicekit.service import Service

_WORKER_CONNECTIONS = 12  # one per busy lane and job; more only wait on the same disk
_API_CONNECTIONS = 5
_METADATA_SECONDS = 2  # a new center's topics are found this soon
_log = log.logger(__name__)


class Running:
    """A service at work: its consumers, relay, timers and HTTP edge."""

    def __init__(self, service: "Service", database: Database, relay: Relay) -> None:
        """Wire the parts together; nothing runs yet."""
        self.service = service
        self.database = database
        self.relay = relay
        self.timers = Timers(database=database, jobs=service.jobs, effects=service.effects)
        self.broker = KafkaBroker(
            service.settings.kafka_bootstrap,
            security=kafka.security(service.settings),
            client_id=f"oncomentor-{service.name}",
            allow_auto_create_topics=False,
            consumer_only=True,
            metadata_max_age_ms=_METADATA_SECONDS * 1000,
            graceful_timeout=5.0,
            logger=logging.getLogger("faststream"),
            apply_types=False,
        )
        self.consumers = [
            Consumer(
                group=group,
                subscriptions=subscriptions,
                settings=service.settings,
                database=database,
                progressed=self._open_when_caught_up,
            )
            for group, subscriptions in _groups(service)
        ]
        for consumer in self.consumers:
            consumer.register(self.broker)

    def committed(self) -> None:
        """Hear that a transaction said or set something."""
        self.relay.wake()
        self.timers.wake()

    def _open_when_caught_up(self) -> None:
        if not self.timers.opened.is_set() and all(c.caught_up for c in self.consumers):
            _log.info("caught_up")
            self.timers.opened.set()

    async def missing(self) -> list[str]:
        """Return what keeps the service from its work; empty when it is ready."""
        found = [f"{c.group}: partitions not assigned" for c in self.consumers if not c.caught_up]
        found += [reason for consumer in self.consumers for reason in consumer.stopped]
        if self.relay.state not in {"running", "standing by"}:
            found.append(f"relay: {self.relay.state}")
        try:
            async with asyncio.timeout(2), self.database.transaction():
                pass
        except (TransientError, TimeoutError):
            found.append("database: no connection")
        return found

    async def status(self) -> dict[str, Any]:
        """Return where every part stands: counts, ids and offsets only."""
        async with self.database.transaction() as tx:
            counts = await tx.conn.fetchrow(
                """
                SELECT (SELECT count(*) FROM kit.quarantine
                         WHERE state IN ('quarantined', 'parked')) AS quarantined,
                       (SELECT count(*) FROM kit.timers) AS timers,
                       (SELECT count(*) FROM kit.timers WHERE attempts > 0) AS timers_failing
                """
            )
        return {
            "service": self.service.name,
            "missing": await self.missing(),
            "relay": {"state": self.relay.state, "sent": self.relay.sent},
            "open": self.timers.opened.is_set(),
            **dict(counts or {}),
            "partitions": [
                {
                    "group": consumer.group,
                    "topic": tp.topic,
                    "partition": tp.partition,
                    "state": lane.state,
                    "reason": lane.reason,
                    "next_offset": lane.next_offset,
                    "backlog": lane.backlog,
                }
                for consumer in self.consumers
                for tp, lane in sorted(consumer.lanes.items())
            ],
        }


def _groups(service: "Service") -> Iterator[tuple[str, list[Subscription]]]:
    """Yield consumer groups: one for the fixed topics, one for each template."""
    fixed = [s for s in service.subscriptions if not s.topic.is_template]
    if fixed:
        yield f"{service.name}.network", fixed
    for subscription in service.subscriptions:
        if subscription.topic.is_template:
            yield f"{service.name}.{subscription.topic.name.rpartition('.')[2]}", [subscription]


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the service stops its parts in its own order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(service: "Service", stop: asyncio.Event | None = None) -> None:
    """Run the service until `stop` is set; its schema and topics have been checked.

    Without `stop` it runs until SIGTERM or SIGINT.
    """
    settings = service.settings
    async with contextlib.AsyncExitStack() as stack:
        worker_dsn = settings.dsn(
            settings.database_worker_user, settings.database_worker_password_file
        )
        api_dsn = settings.dsn(settings.database_api_user, settings.database_api_password_file)
        worker_pool = await stack.enter_async_context(
            asyncpg.create_pool(worker_dsn, min_size=1, max_size=_WORKER_CONNECTIONS)
        )
        api_pool = await stack.enter_async_context(
            asyncpg.create_pool(api_dsn, min_size=1, max_size=_API_CONNECTIONS)
        )
        relay = Relay(
            name=service.name,
            connect=lambda: asyncpg.connect(worker_dsn, timeout=10),
            producer={
                **kafka.client_arguments(settings),
                "client_id": f"oncomentor-{service.name}-relay",
                "acks": "all",
                "enable_idempotence": True,
                "linger_ms": 2,
                "max_batch_size": 128 * 1024,
                "max_request_size": 4 * 1024 * 1024,
            },
        )
        heard = _Heard()
        source = f"/services/{service.name}"
        database = Database(worker_pool, source=source, committed=heard)
        running = Running(service, database, relay)
        heard.listener = running.committed
        app = make_app(
            service.name,
            database=database,
            api_database=Database(api_pool, source=source, committed=heard),
            authenticator=Authenticator(settings.oidc_issuer, settings.oidc_audience),
            routers=[
                ops.router,
                *(
                    ingress.router(subscription)
                    for subscription in service.subscriptions
                    if subscription.topic.kind is Kind.INGRESS
                ),
                *service.routers,
            ],
        )
        app.state.running = running
        server = _Server(
            uvicorn.Config(
                app,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                lifespan="off",
            )
        )
        await _serve(running, server, stop or _stop_signals())


class _Heard:
    """Passes commits on to whoever listens by then: the database is made before its listener."""

    def __init__(self) -> None:
        self.listener: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        self.listener()


def _stop_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _serve(running: Running, server: uvicorn.Server, stop: asyncio.Event) -> None:
    """Run until `stop`, then stop in order: hear nothing new, finish, say the rest."""
    parts = {
        asyncio.create_task(server.serve(), name="http"),
        asyncio.create_task(running.timers.run(), name="timers"),
    }
    relay = asyncio.create_task(running.relay.run(), name="relay")
    await running.broker.start()
    for consumer in running.consumers:
        consumer.start()
    _log.info("started", http_port=running.service.settings.http_port)
    stopping = asyncio.create_task(stop.wait(), name="signal")
    done, _ = await asyncio.wait({*parts, relay, stopping}, return_when=asyncio.FIRST_COMPLETED)

    _log.info("stopping")
    server.should_exit = True
    await asyncio.gather(*(consumer.stop() for consumer in running.consumers))
    await running.broker.stop()
    running.timers.close()
    await asyncio.wait(parts, timeout=5)
    running.relay.close()
    await asyncio.wait({relay}, timeout=5)
    stopping.cancel()
    _log.info("stopped")
    for task in done - {stopping}:
        raise StartupError(f"{task.get_name()} ended by itself: {task.exception()}")
