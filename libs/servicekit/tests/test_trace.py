"""Traces follow causes, not transactions; the exporter here is the library's own, in memory."""

import re
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanKind

from servicekit.observing import trace

FORMAT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def off_afterwards() -> Iterator[None]:
    yield
    trace.start(None)


def tracing(share: float = 1.0) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(TraceIdRatioBased(share), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.start(provider.get_tracer("test"))
    return exporter


def parts(traceparent: str) -> tuple[str, str]:
    _, trace_id, span_id, _ = traceparent.split("-")
    return trace_id, span_id


@given(st.none() | st.text(max_size=80) | st.just(GIVEN) | st.just(GIVEN.replace("00-", "cc-", 1)))
def test_whatever_came_in_what_goes_out_can_be_read(traceparent: str | None) -> None:
    said = trace.child(traceparent)

    assert FORMAT.fullmatch(said)
    if traceparent is not None and "0af7651916cd43dd8448eb211c80319c-b7ad" in traceparent:
        assert parts(said)[0] == parts(GIVEN)[0]
        assert parts(said)[1] != parts(GIVEN)[1]


@given(st.uuids(), st.uuids())
def test_an_event_without_a_trace_begins_the_same_one_at_every_try(one: UUID, other: UUID) -> None:
    assert FORMAT.fullmatch(trace.of_event(one))
    assert (trace.of_event(one) == trace.of_event(other)) == (one == other)


def test_events_of_one_slice_stay_in_their_causes_traces_and_are_linked_with_the_slice() -> None:
    exporter = tracing()
    causes = [trace.of_event(uuid4()) for _ in range(50)]

    with trace.batch("slice x", SpanKind.CONSUMER, iter(causes)):
        said = [trace.child(cause, "x.said.v1") for cause in causes]
        own = trace.child(None, "x.said.v1")

    *events, loose, batch = exporter.get_finished_spans()
    assert batch.context is not None
    assert batch.parent is None
    assert len(batch.links) == trace.MAX_LINKS
    for event, cause, traceparent in zip(events, causes, said, strict=True):
        assert event.name == "say x.said.v1"
        assert event.parent is not None
        assert f"{event.parent.span_id:016x}" == parts(cause)[1]
        assert parts(traceparent)[0] == parts(cause)[0]
        assert [link.context.span_id for link in event.links] == [batch.context.span_id]
    assert loose.parent is not None
    assert loose.parent.span_id == batch.context.span_id
    assert parts(own)[0] == f"{batch.context.trace_id:032x}"


def test_work_is_a_span_in_its_causes_trace_and_what_it_says_its_child() -> None:
    exporter = tracing()

    with trace.work("job x", GIVEN) as (_, traceparent):
        said = trace.child(traceparent, "x.said.v1")

    event, job = exporter.get_finished_spans()
    assert job.context is not None
    assert event.parent is not None
    assert f"{job.context.trace_id:032x}" == parts(GIVEN)[0] == parts(said)[0]
    assert event.parent.span_id == job.context.span_id
    assert event.links == ()


def test_no_text_of_an_error_reaches_a_span() -> None:
    exporter = tracing()

    with pytest.raises(ValueError, match="rosalind"), trace.work("job x", None):
        raise ValueError("rosalind@people.invalid")
    with (
        pytest.raises(ValueError, match="rosalind"),
        trace.batch("slice x", SpanKind.CONSUMER, []),
    ):
        raise ValueError("rosalind@people.invalid")

    spans = exporter.get_finished_spans()
    assert [span.status.is_ok for span in spans] == [False, False]
    assert "rosalind" not in "".join(span.to_json() for span in spans)


def test_a_share_of_traces_is_kept_whole_or_not_at_all() -> None:
    exporter = tracing(share=0.5)

    for _ in range(200):
        first = trace.child(trace.of_event(uuid4()), "a.said.v1")
        second = trace.child(first, "b.said.v1")
        assert first[-2:] == second[-2:]

    names = [span.name for span in exporter.get_finished_spans()]
    assert names.count("say a.said.v1") == names.count("say b.said.v1")
    assert 50 < names.count("say a.said.v1") < 150


def test_without_an_exporter_nothing_is_read_or_made() -> None:
    def unread() -> Iterator[str]:
        raise AssertionError("nobody asked for links")
        yield

    with trace.batch("slice x", SpanKind.CONSUMER, unread()):
        assert trace.current() is None
    with trace.work("job x", GIVEN) as (span, traceparent):
        assert not span.is_recording()
    assert traceparent == GIVEN
