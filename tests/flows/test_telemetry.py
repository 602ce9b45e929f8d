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
from servicekit import metrics
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
        spans = list(collector.spans)
        sent = [span for span in spans if span.name == "effect send_mail"]
        for mail in sent:
            way = lineage(mail, spans)
            # Not the mail that asks whether to accept: the invitation, at the end of the story.
            booked = any(span.name == "say session.booked.v1" for span in way)
            if booked and {span.service for span in way} == set(SERVICE_NAMES):
                return way
        return []

    way = await eventually(complete, within=20)

    assert len({span.trace for span in way}) == 1
    said = [span.name.removeprefix("say ") for span in reversed(way) if span.name.startswith("say")]
    assert [word for word in said if word.partition(".")[0] in {"profile", "match", "session"}]
    assert said[0] == "profile.changed.v1"
    assert "match.proposed.v1" in said
    assert "match.activated.v1" in said
    assert said.index("match.activated.v1") < said.index("session.booked.v1")

    spans = list(collector.spans)
    linked = {link for span in spans if span.name.startswith("slice ") for link in span.links}
    events = {(span.trace, span.id) for span in way if span.name.startswith("say ")}
    assert events & linked  # slices tell which events were in them
    pages = {link for span in spans if span.name == "relay page" for link in span.links}
    assert events <= pages
    requests = {span.name for span in spans if span.name.startswith("PUT ")}
    assert "PUT /v1/institutions/{institution_id}" in requests

    shown = [await metrics_of(whole, name) for name in SERVICE_NAMES]
    told = "".join(map(repr, spans)) + "".join(shown)
    for private in ("people.invalid", harbor.person_id("ada"), ridge.person_id("eve")):
        assert str(private) not in told
    for name in SERVICE_NAMES:
        logged = whole.stack.home.log(name).read_text()
        assert '"slice"' in logged
        assert not re.search(r"people\.invalid|\(synthetic\)", logged)
    for text in shown:
        check_metrics(text)


async def metrics_of(network: Network, service: str) -> str:
    async with httpx.AsyncClient(base_url=network.url(service)) as http:
        return (await http.get("/metrics")).text


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
                ready = await http.get("/health/ready")
                return ready if ready.json()["status"] == "degraded" else None

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
    assert any(reason.startswith("relay: ") for reason in said.json()["missing"])

    async def well() -> bool:
        async with httpx.AsyncClient(base_url=whole.url("profile")) as http:
            body = (await http.get("/health/ready")).json()
        assert body == {"status": "ready", "missing": []}
        return True

    await eventually(well, within=100, every=0.5)
