"""Straight to the center's own Kafka topic; receipts come back on another."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from oncomentor_client.broker import client_error, is_final, login, start, stop
from oncomentor_client.credentials import Credentials, KafkaAccess
from oncomentor_client.errors import ClientError, UnreachableError
from oncomentor_client.message import Answer, Outgoing, answer_of
from oncomentor_client.subscriber import Start, Subscriber
from oncomentor_contracts import topics

_SEND_SECONDS = 15.0
_ATTEMPTS = 6
_FIRST_PAUSE_SECONDS = 0.2


class KafkaRoute:
    """Sends through an idempotent producer, a new one after any error, and reads the receipts.

    Receipts are read from the end of the topic as it was when the route was opened, or from
    `receipts_since`, for a run that goes on where another broke off.
    """

    def __init__(self, credentials: Credentials, receipts_since: datetime | None = None) -> None:
        self._access = credentials.kafka
        topic = topics.EGRESS_RECEIPT.named(credentials.institution_id)
        start: Start = "latest" if receipts_since is None else receipts_since
        self._receipts = Subscriber(credentials, topic, start=start)
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        """Log in both ways, the receipts first: none of what is sent then goes unheard."""
        await self._receipts.__aenter__()
        try:
            self._producer = await self._started()
        except BaseException:
            await self._receipts.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log out."""
        await self._stop()
        await self._receipts.__aexit__(kind, error, trace)

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Return when the broker has every event of the batch (`acks=all`).

        Raises:
            UnreachableError: it has not, after retries; run again later.
            RefusedError: the center may not write there.
        """
        for attempt in range(_ATTEMPTS):
            try:
                await self._send(batch)
            except (KafkaError, OSError, TimeoutError, UnreachableError) as error:
                # A producer that failed once is never trusted again: after a batch expired
                # without a leader, the idempotent one wedges its partition for good.
                await self._stop()
                if is_final(error) or attempt == _ATTEMPTS - 1:
                    raise _told(error, self._access, batch[0].topic) from error
                await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2**attempt)
            else:
                return

    async def answers(self, wait_seconds: float) -> Sequence[Answer]:
        """Return the receipts that came since the last call."""
        received = await self._receipts.fetch(wait_seconds)
        answers = (answer_of(one.event) for one in received if one.event is not None)
        return [one for one in answers if one is not None]

    async def answered_so_far(self) -> Sequence[Answer]:
        """Return the receipts that were there when the route was opened, and none that came later."""
        received = await self._receipts.backlog()
        answers = (answer_of(one.event) for one in received if one.event is not None)
        return [one for one in answers if one is not None]

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        producer = self._producer = self._producer or await self._started()
        async with asyncio.timeout(_SEND_SECONDS):
            acks = [
                await producer.send(
                    one.topic,
                    key=one.key,
                    value=one.event.data(),
                    headers=one.envelope.headers(),
                    timestamp_ms=int(one.envelope.time.timestamp() * 1000),
                )
                for one in batch
            ]
            await asyncio.gather(*acks)

    async def _started(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **login(self._access),
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            compression_type="gzip",
            request_timeout_ms=int(_SEND_SECONDS * 1000),
        )
        await start(producer, self._access, "of its own")
        return producer

    async def _stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            # What it still holds is sent again by the next one.
            await stop(producer)


def _told(error: Exception, access: KafkaAccess, topic: str) -> ClientError:
    if isinstance(error, ClientError):
        return error
    return client_error(error if isinstance(error, KafkaError) else KafkaError(), access, topic)
