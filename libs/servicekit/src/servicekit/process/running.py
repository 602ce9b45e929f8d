"""A service at work: its parts, and how they say they are."""

import asyncio
import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg
from faststream.kafka import KafkaBroker

from servicekit import kafka
from servicekit.errors import TransientError
from servicekit.hearing.consumer import Consumer
from servicekit.hearing.lane import Shared
from servicekit.observing import log
from servicekit.process.gauges import read_backlog
from servicekit.process.health import Health, Signs, judge
from servicekit.saying.relay import Relay
from servicekit.subscription import Subscription
from servicekit.timers import Timers
from servicekit.tx import Database

if TYPE_CHECKING:
    from servicekit.service import Service

_METADATA_SECONDS = 2  # a new center's topics are found this soon
_ANSWER_SECONDS = 2.0
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
            logger=logging.getLogger(
                "servicekit.faststream"
            ),  # "faststream" has a handler of its own
            apply_types=False,
        )
        shared = Shared(
            database=database,
            progressed=self._open_when_caught_up,
            identify=partial(kafka.topic_id, service.settings),
        )
        self.consumers = [
            Consumer(
                group=group,
                subscriptions=subscriptions,
                settings=service.settings,
                shared=shared,
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

    async def health(self) -> Health:
        """Return what is wrong with the service now."""
        oldest, fault = 0.0, ""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self.database.transaction() as tx:
                _, oldest = await read_backlog(tx)
        except (TransientError, TimeoutError):
            fault = "no connection"
        except asyncpg.PostgresError as error:
            fault = type(error).__name__
        signs = Signs(
            caught_up=self.timers.opened.is_set(),
            troubles=[reason for consumer in self.consumers for reason in consumer.troubles],
            relay=self.relay.state,
            held=self.relay.held,
            oldest_seconds=oldest,
            database=fault,
        )
        return judge(signs)

    async def status(self) -> dict[str, Any]:
        """Return where every part stands: counts, ids and offsets only."""
        health = await self.health()
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
            "missing": health.missing + health.complaints,
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
