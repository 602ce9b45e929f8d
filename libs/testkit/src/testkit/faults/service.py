"""One test service as a process: `python -m testkit.faults.service`, set up by its environment.

FAULTS_SERVICE   which of the four it is      FAULTS_SINK      where messages go
FAULTS_PROCESS   its name in what it writes   FAULTS_NOTES     file for what its plan did
FAULTS_SKEW      seconds its clock is off     FAULTS_CONTRACT  `new`: the next release's contracts
FAULTS_MUTATION  a mistake to make instead of the kernel's way
FAULTS_ORDERS    what to do at which failpoint from the start (PUT /faults sets it later)
"""

import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter, Request
from faststream.kafka import KafkaBroker

from oncomentor_contracts import topics
from oncomentor_contracts.matching import (
    MatchAccepted,
    MatchDeclined,
    MatchProposed,
    ResponseGiven,
)
from oncomentor_contracts.profile import (
    PersonSubmitted,
    PersonWithdrawn,
    ProfileChanged,
    ProfileDeleted,
)
from oncomentor_contracts.scheduling import AvailabilityChanged, LinkIssued, SessionBooked
from servicekit import failpoint, timers
from servicekit import service as kernel
from servicekit import tx as kernel_tx
from servicekit.errors import TransientError
from servicekit.service import Service
from servicekit.settings import Settings
from servicekit.subscription import Bulk, Effect, Subscription, Timer
from testkit.faults import contract, handlers, mutations
from testkit.faults.plan import Order, Plan

MIGRATIONS = Path(__file__).parent / "migrations"
SESSION_MS = 3_000
LEASE = timedelta(seconds=8)  # a killed process's timers are taken up this soon
_NEW = os.environ.get("FAULTS_CONTRACT") == "new"

_FACTS: dict[Any, Any] = {
    MatchProposed: handlers.log_fact,
    MatchDeclined: handlers.log_fact,
}
_MORE: dict[Any, Any] = {contract.MatchNoted: contract.hear_noted} if _NEW else {}


def subscriptions(name: str) -> list[Subscription]:
    """Return what a test service hears."""
    match name:
        case "profile":
            people = {
                PersonSubmitted: handlers.take_person,
                PersonWithdrawn: handlers.withdraw_person,
            }
            return [_ingress(topics.INGRESS_PROFILE, people)]
        case "matching":
            respond = contract.noting(handlers.take_response) if _NEW else handlers.take_response
            return [
                _ingress(topics.INGRESS_RESPONSE, {ResponseGiven: respond}),
                Subscription(
                    topics.PROFILE_PROFILE,
                    {
                        ProfileChanged: Bulk(handlers.pool_people),
                        ProfileDeleted: handlers.forget_person,
                    },
                ),
                Subscription(
                    topics.SCHEDULING_AVAILABILITY, {AvailabilityChanged: handlers.project_hours}
                ),
            ]
        case "scheduling":
            return [
                Subscription(
                    topics.PROFILE_PROFILE,
                    {
                        ProfileChanged: Bulk(handlers.project_people),
                        ProfileDeleted: handlers.forget_person,
                    },
                ),
                Subscription(
                    topics.MATCHING_MATCH, {**_FACTS, MatchAccepted: handlers.book, **_MORE}
                ),
            ]
        case _:
            facts = {**_FACTS, MatchAccepted: Bulk(handlers.log_facts), **_MORE}
            return [
                Subscription(topics.MATCHING_MATCH, facts),
                Subscription(topics.SCHEDULING_LINK, {LinkIssued: handlers.note_link}),
                Subscription(topics.SCHEDULING_SESSION, {SessionBooked: handlers.announce}),
            ]


def _ingress(topic: topics.Topic, heard: Any) -> Subscription:
    return Subscription(topic, heard, handlers.answer_duplicate, handlers.answer_refused)


def build(settings: Settings) -> Service:
    """Return the service that the environment names, with a door for orders."""
    name = os.environ["FAULTS_SERVICE"]
    plan = Plan(Path(os.environ["FAULTS_NOTES"]))
    for order in json.loads(os.environ.get("FAULTS_ORDERS", "[]")):
        plan.add(Order(**order))
    failpoint.hook = plan.reach
    effect = Effect(
        perform=_send, record=handlers.record_sent, give_up=handlers.give_up, attempts=1000,
        lease=LEASE,
    )  # fmt: skip
    return Service(
        name=name,
        settings=settings,
        subscriptions=subscriptions(name),
        jobs={handlers.BOOK: handlers.book_session} if name == "scheduling" else {},
        effects={handlers.SEND: effect} if name == "notification" else {},
        routers=(_orders(plan),),
        migrations=MIGRATIONS,
    )


def _orders(plan: Plan) -> APIRouter:
    router = APIRouter()

    @router.put("/faults")
    async def arm(request: Request) -> dict[str, bool]:
        plan.clear()
        for order in await request.json():
            plan.add(Order(**order))
        return {"ok": True}

    @router.get("/faults")
    async def counts() -> Counter[str]:
        return plan.counts

    return router


async def _send(timer: Timer) -> datetime:
    """Hand the message to the sink; the timer's key is what it may be told apart by."""
    try:
        answer = await _client().post(
            os.environ["FAULTS_SINK"], content=b"", headers={"Idempotency-Key": timer.key}
        )
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise TransientError(f"the sink: {type(error).__name__}") from error
    return datetime.now(UTC)


@cache
def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=5)


def _skew_clock(by: timedelta) -> None:
    """Set the clock that transactions read wrong; leases and tokens have clocks of their own."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + by

    assert hasattr(kernel_tx, "datetime"), "the kernel reads the time somewhere else now"
    kernel_tx.datetime = Skewed


def _shorten_sessions() -> None:
    """Have Kafka give up a silent member after seconds, not after ten of them."""
    plain = KafkaBroker.subscriber

    def subscriber(broker: KafkaBroker, *names: str, **settings: Any) -> Any:
        settings |= {"session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": SESSION_MS // 4}
        return plain(broker, *names, **settings)

    KafkaBroker.subscriber = subscriber  # type: ignore[method-assign, assignment]


def main() -> None:
    """Run the service, or migrate its database."""
    if skew := float(os.environ.get("FAULTS_SKEW", "0")):
        _skew_clock(timedelta(seconds=skew))
    if _NEW:
        contract.know_more()
    _shorten_sessions()
    assert hasattr(timers, "_JOB_LEASE"), "the lease of jobs has another name now"
    timers._JOB_LEASE = LEASE  # noqa: SLF001 - a test's seam
    if mutation := os.environ.get("FAULTS_MUTATION"):
        mutations.apply(mutation)
    kernel.main(Settings, build)


if __name__ == "__main__":
    main()
