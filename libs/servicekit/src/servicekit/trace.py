"""W3C trace context, so that everything one event leads to is one connected trace."""

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_ids = RandomIdGenerator()
_propagator = TraceContextTextMapPropagator()


def child(traceparent: str | None) -> str:
    """Return a traceparent with a new span id: of the same trace, or of a new one for None.

    One that can't be read counts as None.
    """
    carried = _propagator.extract({"traceparent": traceparent or ""})
    parent = trace.get_current_span(carried).get_span_context()
    context = SpanContext(
        trace_id=parent.trace_id if parent.is_valid else _ids.generate_trace_id(),
        span_id=_ids.generate_span_id(),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    headers: dict[str, str] = {}
    _propagator.inject(headers, trace.set_span_in_context(NonRecordingSpan(context)))
    return headers["traceparent"]
