"""The two centers that send a cycle's commands, again with the same id until there is an answer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import ClientError
from oncomentor_client.token import TokenSource
from oncomentor_contracts.envelope import STRUCTURED_CONTENT_TYPE
from testkit.faults.draw import Command
from testkit.history import Operation, Outcome

_TRY_SECONDS = 4.0
_GIVE_UP_SECONDS = 40.0
_PAUSE_SECONDS = 0.15
_EARLY_SECONDS = 0.01  # what is not further ahead of its time goes now
_AT_ONCE = 6


@dataclass
class Centers:
    """Sends commands as centers' systems do: again with the same id until there is an answer."""

    credentials: Sequence[Credentials]
    urls: Callable[[str], Sequence[str]]
    """Base addresses of the replicas of a service."""
    done: list[Operation] = field(default_factory=list)

    async def send(self, todo: Sequence[Command], seconds: float) -> None:
        """Send everything, spread over about so many seconds, and wait for the answers."""
        async with httpx.AsyncClient(timeout=_TRY_SECONDS) as client:
            tokens = [TokenSource(c.oidc, client) for c in self.credentials]
            slots = asyncio.Semaphore(_AT_ONCE)
            began = time.monotonic()
            tasks = []
            lines = [_Line(credentials) for credentials in self.credentials]
            try:
                for nth, command in enumerate(todo):
                    ahead = began + seconds * nth / len(todo) - time.monotonic()
                    if ahead > _EARLY_SECONDS:
                        await asyncio.sleep(ahead)
                    line = lines[command.center]
                    if command.door != "http":
                        line.queue.append(command)
                    tasks.append(
                        asyncio.create_task(
                            self._send(command, line, client, tokens[command.center], slots)
                        )
                    )
                    line.wake.set()
                await asyncio.gather(*tasks)
            finally:
                await asyncio.gather(*(line.stop() for line in lines))

    async def _send(
        self, command: Command, line: "_Line", client: httpx.AsyncClient, tokens: TokenSource,
        slots: asyncio.Semaphore,
    ) -> None:  # fmt: skip
        began = time.time()
        outcomes: list[Outcome] = []
        if command.door != "http":
            outcomes.append(await line.acknowledged(command))
        if command.door != "kafka":
            async with slots:
                outcomes.append(await self._post(command, client, tokens))
        outcome = "ok" if "ok" in outcomes else outcomes[0]
        sent = command.outgoing
        self.done.append(
            Operation(
                id=str(sent.envelope.id), what=command.what,  # type: ignore[arg-type]  # one of its words
                topic=sent.topic, subject=sent.event.subject, mark=command.mark,
                door=command.door, poison=command.poison, outcome=outcome,
                began_at=began, ended_at=time.time(),
            )
        )  # fmt: skip

    async def _post(
        self, command: Command, client: httpx.AsyncClient, tokens: TokenSource
    ) -> Outcome:
        service = "matching" if command.outgoing.topic.endswith(".response") else "profile"
        body = command.outgoing.envelope.structured(command.outgoing.event.data())
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        nth, yes = 0, False
        while time.monotonic() < deadline:
            urls = self.urls(service)
            url = urls[(int(command.mark[-4:], 16) + nth) % len(urls)]
            nth += 1
            try:
                headers = {
                    "Authorization": f"Bearer {await tokens.token()}",
                    "Content-Type": STRUCTURED_CONTENT_TYPE,
                }
                answer = await client.post(f"{url}/v1/events", content=body, headers=headers)
            except (httpx.TransportError, ClientError):
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if answer.status_code == httpx.codes.ACCEPTED:
                if yes or not command.twice:
                    return "ok"
                yes = True  # once more, as after an answer that was lost on its way
                continue
            if command.poison or answer.is_client_error:
                return "failed"
            await asyncio.sleep(_PAUSE_SECONDS)
        return "ok" if yes else "unknown"


class _Line:
    """A center's way into Kafka: what one person says goes in order, again after any failure."""

    def __init__(self, credentials: Credentials) -> None:
        self.queue: list[Command] = []
        self.wake = asyncio.Event()
        self._access = credentials.kafka
        self._done: dict[int, asyncio.Future[Outcome]] = {}
        self._task = asyncio.create_task(self._run())

    async def acknowledged(self, command: Command) -> Outcome:
        """Wait until the broker has it, or until nobody knows."""
        future: asyncio.Future[Outcome] = self._done.setdefault(
            id(command), asyncio.get_running_loop().create_future()
        )
        try:
            return await asyncio.wait_for(future, _GIVE_UP_SECONDS)
        except TimeoutError:
            return "unknown"

    async def stop(self) -> None:
        """End; nothing more is sent."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            try:
                await self._send_all()
            except (KafkaError, OSError, TimeoutError):
                self.wake.set()
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _send_all(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._access.bootstrap,
            security_protocol=self._access.security,
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=self._access.username,
            sasl_plain_password=self._access.password,
            enable_idempotence=True,
            acks="all",
            request_timeout_ms=5_000,
        )
        try:
            async with asyncio.timeout(8):
                await producer.start()
            while True:
                while self.queue:
                    await self._send_one(producer, self.queue[0])
                await self.wake.wait()
                self.wake.clear()
        finally:
            await asyncio.shield(asyncio.wait({asyncio.ensure_future(producer.stop())}, timeout=2))

    async def _send_one(self, producer: AIOKafkaProducer, command: Command) -> None:
        sent = command.outgoing
        for _ in range(2 if command.twice else 1):
            async with asyncio.timeout(6):
                await producer.send_and_wait(
                    sent.topic, key=sent.key, value=sent.event.data(),
                    headers=sent.envelope.headers(),
                )  # fmt: skip
        self.queue.pop(0)
        future = self._done.setdefault(id(command), asyncio.get_running_loop().create_future())
        if not future.done():
            future.set_result("ok")
