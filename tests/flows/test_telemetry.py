"""What an operator's tools see of the running network: one trace from profile to mail, metrics."""

import asyncio
import re
from collections.abc import Sequence

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from devstack.service import SERVICE_NAMES
from oncomentor_client.publisher import RowOutcome
from oncomentor_client.session import Via
from servicekit.observing import metrics
from testkit.collector import Collector, Span
from testkit.eventually import eventually
from testkit.network import Center, Network
from testkit.world import a_mentee, a_mentor


async def met(network: Network) -> tuple[Center, Center]:
    """Have two people published, matched, booked and invited; return their centers."""
    harbor, ridge = await network.center(), await network.center()
    programme = await network.programme()
    people = {"ada@people.invalid", "eve@people.invalid"}
    async with harbor.saying_yes(), ridge.saying_yes():
        await harbor.publish(a_mentor("ada", programme))
        await ridge.publish(a_mentee("eve", programme))

        async def invited() -> bool:
            mails = [m for m in await network.mails() if "text/calendar" in m["attachments"]]
            return people <= {to for mail in mails for to in mail["envelope_to"]}

        await eventually(invited, within=60, every=0.5)
    return harbor, ridge


def lineage(span: Span, spans: Sequence[Span]) -> list[Span]:
    """Return the span and its parents, up to the one whose parent nobody made."""
    by_id = {one.id: one for one in spans}
    found = [span]
    while found[-1].parent in by_id:
        found.append(by_id[found[-1].parent])
    return found


async def test_from_profile_to_mail_is_one_trace_and_the_metrics_tell_of_it(
    whole: Network, collector: Collector
) -> None:
    harbor, ridge = await met(whole)

    async def complete() -> list[Span]:
        return story_of(list(collector.spans))

    story = await eventually(complete, within=20)

    check_story(story)
    spans = list(collector.spans)
    linked = {link for span in spans if span.name.startswith("slice ") for link in span.links}
    assert said_in(story) & linked  # slices tell which events were in them
    requests = {span.name for span in spans if span.name.startswith("PUT ")}
    assert "PUT /v1/institutions/{institution_id}" in requests

    shown = [await metrics_when_ready(whole, name) for name in SERVICE_NAMES]
    for text in shown:
        check_metrics(text)
    told = "".join(map(repr, spans)) + "".join(shown)
    for private in ("people.invalid", harbor.person_id("ada"), ridge.person_id("eve")):
        assert str(private) not in told
    for name in SERVICE_NAMES:
        logged = whole.stack.home.log(name).read_text()
        assert '"slice"' in logged
        assert not re.search(r"people\.invalid|\(synthetic\)", logged)


def story_of(spans: Sequence[Span]) -> list[Span]:
    """Return the trace of an invitation's mail, once all of it has come in; nothing before."""
    for mail in [span for span in spans if span.name == "effect send_mail"]:
        # Not the mail that asks whether to accept: the invitation, at the end of the story.
        if any(span.name == "job tell_sessions" for span in lineage(mail, spans)):
            story = [span for span in spans if span.trace == mail.trace]
            services = {span.service for span in story}
            beginnings = {lineage(span, story)[-1].parent for span in story}
            sent = {link for span in spans if span.name == "relay page" for link in span.links}
            if services == set(SERVICE_NAMES) and len(beginnings) == 1 and said_in(story) <= sent:
                return story
    return []


def said_in(story: Sequence[Span]) -> set[tuple[str, str]]:
    return {(span.trace, span.id) for span in story if span.name.startswith("say ")}


def check_story(story: Sequence[Span]) -> None:
    for last in ("say session.booked.v1", "effect send_mail"):
        ends = [span for span in story if span.name == last]
        assert ends
        for end in ends:
            way = [span.name for span in reversed(lineage(end, story))]
            assert way[0] == "say profile.changed.v1"
            assert "say match.proposed.v1" in way
    # Where the booking is heard before the activation that it follows from, the invitation
    # follows from the activation: topics have no order between them. The trace is the same.
    booked = next(span for span in story if span.name == "say session.booked.v1")
    assert "say match.activated.v1" in {span.name for span in lineage(booked, story)}


async def metrics_when_ready(network: Network, service: str) -> str:
    """Return what a service shows once its gauges, read every few seconds, say that all is there.

    A consumer that has just lost its partitions, as when Kafka was away, has no lag to tell.
    """
    async with httpx.AsyncClient(base_url=network.url(service)) as http:

        async def shown() -> str:
            text = (await http.get("/metrics")).text
            assert re.search(r"^oncomentor_ready 1", text, re.MULTILINE)
            assert re.search(r"^oncomentor_consumer_lag", text, re.MULTILINE)
            return text

        return await eventually(shown)


def check_metrics(text: str) -> None:
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {s.name: s for family in families.values() for s in family.samples}

    declared = {metrics.exposed(name): metric for name, metric in metrics.METRICS.items()}
    for family in families.values():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert name in declared
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(declared[name].labels), name
    assert samples["oncomentor_ready"].value == 1
    assert samples["oncomentor_caught_up"].value == 1
    assert samples["oncomentor_process_memory_bytes"].value > 10_000_000
    assert samples["oncomentor_database_connections_most"].value > 0
    assert "oncomentor_consumer_lag" in families
    assert "oncomentor_slice_duration_seconds" in families


@pytest.mark.timeout(300)  # the relay gives a silent broker 30 seconds before it says so
async def test_without_kafka_a_service_stays_in_service_and_says_what_waits(
    whole: Network,
) -> None:
    center, programme = await whole.center(), await whole.programme()
    await asyncio.to_thread(whole.stack.kill_part, "kafka")
    try:
        (taken,) = await center.publish(a_mentor("while-away", programme), via=Via.HTTP)
        async with httpx.AsyncClient(base_url=whole.url("profile")) as http:

            async def complains() -> httpx.Response | None:
                """Return the answer that names the relay; who hears may have complained before."""
                ready = await http.get("/health/ready")
                says = any(reason.startswith("relay: ") for reason in ready.json()["missing"])
                return ready if says else None

            said = await eventually(complains, within=90)
            alive = await http.get("/health/live")

            async def shown() -> bool:
                text = (await http.get("/metrics")).text
                waiting = re.search(r"^oncomentor_relay_backlog (\S+)$", text, re.MULTILINE)
                return waiting is not None and float(waiting[1]) >= 1

            await eventually(shown, within=20)
    finally:
        await asyncio.to_thread(whole.stack.start_part, "kafka")

    assert taken.outcome is RowOutcome.ACCEPTED
    assert said is not None
    assert said.status_code == alive.status_code == 200
    assert said.json()["status"] == "degraded"

    async def well() -> bool:
        async with httpx.AsyncClient(base_url=whole.url("profile")) as http:
            body = (await http.get("/health/ready")).json()
        assert body == {"status": "ready", "missing": []}
        return True

    await eventually(well, within=100, every=0.5)
