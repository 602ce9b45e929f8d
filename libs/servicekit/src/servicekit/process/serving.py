"""How a service's parts start together and stop in order."""

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import uvicorn
from aiokafka.errors import KafkaError

from oncomentor_contracts.topics import Kind
from servicekit import backoff, connections, kafka
from servicekit.edge import ingress, ops
from servicekit.edge.auth import Authenticator
from servicekit.edge.http import make_app
from servicekit.errors import EndedError, StartupError
from servicekit.observing import log
from servicekit.process.gauges import Gauges
from servicekit.process.running import Running
from servicekit.saying.relay import Relay
from servicekit.tx import Database

if TYPE_CHECKING:
    from servicekit.service import Service

_WORKER_CONNECTIONS = 12  # one per busy lane and job; more only wait on the same disk
_API_CONNECTIONS = 5
# Stopping takes less than ten seconds, whatever is away: the orchestrator kills later than that,
# and what was cut off is rolled back and read again. Counted from the signal; the pools and the
# collector of telemetry take three more at most.
_FINISHED_AT = 4.0  # slices, jobs, requests
_LEFT_AT = 5.5  # the rest of the outbox; telling Kafka that we go
_CUT_AT = 6.0
_ENDED_AT = 6.5
_CANCEL_SECONDS = 0.2  # for what is late to give back what it holds
_log = log.logger(__name__)


class _Unjoined(ThreadPoolExecutor):
    """Runs each call in a thread that nobody waits for.

    A loop that ends joins its executor, and a resolver that gets no answer takes its time.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever waits for it is told
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=work, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        pass


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
    tune_garbage_collection()
    asyncio.get_running_loop().set_default_executor(_Unjoined())
    async with contextlib.AsyncExitStack() as stack:
        worker_dsn = settings.dsn(
            settings.database_worker_user, settings.database_worker_password_file
        )
        api_dsn = settings.dsn(settings.database_api_user, settings.database_api_password_file)
        worker_pool = await stack.enter_async_context(
            connections.pool(worker_dsn, _WORKER_CONNECTIONS)
        )
        api_pool = await stack.enter_async_context(connections.pool(api_dsn, _API_CONNECTIONS))
        door = stack.enter_context(_door(settings.http_host, settings.http_port))
        relay = Relay(
            name=service.name,
            connect=lambda: connections.connect(worker_dsn),
            client={
                **kafka.client_arguments(settings),
                "client_id": f"oncomentor-{service.name}-relay",
            },
            keep_days=settings.outbox_days,
        )
        source = f"/services/{service.name}"

        def committed() -> None:
            running.committed()

        database = Database(worker_pool, source=source, committed=committed)
        api_database = Database(api_pool, source=source, committed=committed)
        running = Running(service, database, relay)
        app = make_app(
            service.name,
            database=database,
            api_database=api_database,
            authenticator=Authenticator(
                settings.oidc_issuer, settings.oidc_audience, settings.oidc_jwks_url
            ),
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
                log_config=None,
                access_log=False,
                lifespan="off",
            )
        )
        gauges = Gauges(running, {"worker": database, "api": api_database})
        await _serve(
            running,
            {
                "http": server.serve(sockets=[door]),
                "timers": running.timers.run(),
                "relay": running.relay.run(),
                "consumers": _consume(running),
                "gauges": gauges.run(),
            },
            server,
            stop or _stop_signals(),
        )


def _door(host: str, port: int) -> socket.socket:
    """Return the listening socket; uvicorn itself would end the process without a word.

    Raises:
        StartupError: the port is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartupError(
            f"cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}): end what listens there or mend "
            "ONCOMENTOR_HTTP_HOST and _PORT"
        ) from error


def tune_garbage_collection() -> None:
    """Look for cycles seldom: events come in thousands, hold none, and are dropped by count.

    With Python's own thresholds, looking through them takes longer than reading them.
    """
    gc.collect()
    gc.freeze()  # what was imported stays
    gc.set_threshold(500_000, 10, 10)


def _stop_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _serve(
    running: Running,
    steps: Mapping[str, Coroutine[Any, Any, None]],
    server: uvicorn.Server,
    stop: asyncio.Event,
) -> None:
    """Run until `stop` or a part's end, then stop in order: hear nothing new, finish, say the rest.

    Raises:
        EndedError: a part ended by itself.
    """
    parts = {name: asyncio.create_task(step, name=name) for name, step in steps.items()}
    stopping = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait({*parts.values(), stopping}, return_when=asyncio.FIRST_COMPLETED)
    done = {task for task in parts.values() if task.done()}

    _log.info("stopping")
    began = time.monotonic()
    for task in (stopping, parts["consumers"], parts["gauges"]):
        task.cancel()
    server.should_exit = True
    await _until(began + _FINISHED_AT, *(consumer.stop() for consumer in running.consumers))
    running.timers.close()
    running.relay.close()
    leaving = asyncio.wait({parts["http"], parts["timers"], parts["relay"]})
    await _until(began + _LEFT_AT, running.broker.stop(), leaving)
    await _until(began + _CUT_AT, *(consumer.cut() for consumer in running.consumers))
    for task in set(parts.values()) - done:
        task.cancel()
    await asyncio.wait(parts.values(), timeout=max(0, began + _ENDED_AT - time.monotonic()))
    _log.info("stopped")
    for task in done:
        error = task.exception()
        _log.error("part_ended", part=task.get_name(), exc_info=error)
        raise EndedError(
            f"{task.get_name()} ended by itself ({type(error).__name__}): start the service again, "
            "and report the log line part_ended"
        )


async def _consume(running: Running) -> None:
    """Connect to Kafka, however long it is away, and consume until cancelled."""
    for attempt in itertools.count(1):
        for consumer in running.consumers:
            consumer.polling.tick()
        try:
            await running.broker.start()
            break
        except KafkaError as error:
            _log.warning("kafka_away", attempt=attempt, error=f"{type(error).__name__}: {error}")
            await running.broker.stop()
            await asyncio.sleep(backoff.delay(attempt))
    for consumer in running.consumers:
        consumer.start()
    _log.info("started", http_port=running.service.settings.http_port)
    await asyncio.Event().wait()


async def _until(end: float, *steps: Coroutine[Any, Any, Any]) -> None:
    """Run the steps side by side until `end` of the monotonic clock; cancel those that are late."""
    tasks = [asyncio.create_task(step) for step in steps]
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=max(0, end - time.monotonic()))
    for task in late:
        task.cancel()
    await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            _log.warning("stopped_badly", error=f"{type(error).__name__}: {error}")
