"""W3C trace context, so that everything one event leads to is one connected trace (docs/adr/0012).

An event said because of another is a span in that event's trace and a child of it, wherever it
was said: in a slice of two thousand, a job, an effect. The slice is a trace of its own, linked with
the events in it. Without an exporter there are no spans, and ids alone are passed on.
"""

import hashlib
import random
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
)

MAX_LINKS = 32
"""Of one slice or page with the traces in it: enough to find one's way, never a cost."""
# Source: W3C Trace Context, section 3.2; later versions may append fields, ff is none.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?"
)
_ROOT = Context()
_tracer: Tracer | None = None


def start(tracer: Tracer | None) -> None:
    """Make spans with this tracer from now on, or none."""
    global _tracer  # noqa: PLW0603 - one process is one service, as for the log
    _tracer = tracer


def child(traceparent: str | None, name: str = "event") -> str:
    """Return the traceparent of an event that is said because of `traceparent`.

    It is a span named for the event, a child of its cause and linked with the work at hand.
    Without a cause that can be read it belongs to that work, or begins a trace.
    """
    if _tracer is None:
        match = _TRACEPARENT.fullmatch(traceparent or "")
        return f"00-{match[1] if match else _number(128)}-{_number(64)}-01"

    cause = _read(traceparent)
    work = trace.get_current_span().get_span_context()
    parent = cause or (work if work.is_valid else None)
    links = [Link(work)] if cause and work.is_valid and work.trace_id != cause.trace_id else []
    span = _tracer.start_span(f"say {name}", _within(parent), SpanKind.PRODUCER, links=links)
    span.end()
    return _written(span.get_span_context())


def current() -> str | None:
    """Return the traceparent of the work at hand; None outside any span."""
    context = trace.get_current_span().get_span_context()
    return _written(context) if context.is_valid else None


def of_event(event_id: UUID) -> str:
    """Return the traceparent of an event that came without: always the same for the same id."""
    digest = hashlib.blake2b(event_id.bytes, digest_size=24).hexdigest()
    return f"00-{digest[:32]}-{digest[32:]}-01"


@contextmanager
def batch(name: str, kind: SpanKind, traceparents: Iterable[str | None]) -> Iterator[None]:
    """Be a trace of its own for a slice or a page, linked with the first traces in it."""
    if _tracer is None:
        yield
        return
    causes = (cause for text in traceparents if (cause := _read(text)))
    links = [Link(cause) for cause in islice(causes, MAX_LINKS)]
    with _spanning(_tracer.start_span(name, _ROOT, kind, links=links)):
        yield


@contextmanager
def work(
    name: str, traceparent: str | None, kind: SpanKind = SpanKind.INTERNAL
) -> Iterator[tuple[Span, str | None]]:
    """Be a span in the cause's trace; yield it, and the traceparent of what follows from it."""
    if _tracer is None:
        yield trace.INVALID_SPAN, traceparent
        return
    with _spanning(_tracer.start_span(name, _within(_read(traceparent)), kind)) as span:
        yield span, _written(span.get_span_context())


@contextmanager
def _spanning(span: Span) -> Iterator[Span]:
    """Be the current span until the block ends; of an error it keeps the type, texts quote data."""
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield span
    except BaseException as error:
        span.set_status(StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        span.end()


def _number(bits: int) -> str:
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


def _read(traceparent: str | None) -> SpanContext | None:
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None:
        return None
    trace_id, span_id = int(match[1], 16), int(match[2], 16)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))


def _written(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _within(parent: SpanContext | None) -> Context:
    return _ROOT if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), _ROOT)
