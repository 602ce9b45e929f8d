"""Where metrics and spans go: a Prometheus endpoint always, an OTLP collector when one is set."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry, generate_latest

from servicekit.observing import metrics, trace
from servicekit.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EXPORT_SECONDS = 15.0  # between two sets of metrics to a collector
_LAST_SECONDS = 2.0  # for what a stopping service still has; the collector may be away
_UNWATCHED = ("/health/", "/metrics")
_registry = CollectorRegistry()


@contextmanager
def exporting(service: str, settings: Settings) -> Iterator[None]:
    """Count and trace while the block runs, and export the rest at its end."""
    resource = Resource.create({"service.name": service, "service.namespace": metrics.PREFIX})
    readers: list[MetricReader] = [
        PrometheusMetricReader(
            disable_target_info=True,
            prefix=metrics.PREFIX,
            scope_info_enabled=False,
            registry=_registry,
        )
    ]
    tracers = None
    if settings.otlp_endpoint is not None:
        base = settings.otlp_endpoint.rstrip("/")
        exporter = OTLPMetricExporter(f"{base}/v1/metrics", timeout=_LAST_SECONDS)
        readers.append(PeriodicExportingMetricReader(exporter, _EXPORT_SECONDS * 1000))
        # By trace id alone, and not by what a parent wants: all services decide alike, and no
        # stranger's header makes us keep more.
        sampler = TraceIdRatioBased(settings.trace_share)
        tracers = TracerProvider(sampler, resource, shutdown_on_exit=False)
        spans = OTLPSpanExporter(f"{base}/v1/traces", timeout=_LAST_SECONDS)
        tracers.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=1000))
        trace.start(tracers.get_tracer("servicekit"))
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    metrics.start(meters.get_meter("servicekit"))
    try:
        yield
    finally:
        trace.start(None)
        _end(meters, tracers)


def _end(meters: MeterProvider, tracers: TracerProvider | None) -> None:
    """Export what is left, as far as a collector that may be away takes it in time."""
    endings = [lambda: meters.shutdown(_LAST_SECONDS * 1000)]
    if tracers is not None:
        endings.append(tracers.shutdown)
    threads = [threading.Thread(target=end, daemon=True) for end in endings]
    for thread in threads:
        thread.start()
    until = time.monotonic() + _LAST_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def exposition() -> bytes:
    """Return all metrics as Prometheus reads them (text format 0.0.4)."""
    return generate_latest(_registry)


class Requests:
    """ASGI middleware: a span and a duration for each request, named by its route and no more."""

    def __init__(self, app: "ASGIApp") -> None:
        """Stand around the application."""
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith(_UNWATCHED):
            await self._app(scope, receive, send)
            return

        began = time.monotonic()
        status = 500

        async def noting(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with trace.work(scope["method"], _traceparent(scope), SpanKind.SERVER) as (span, _):
            try:
                await self._app(scope, receive, noting)
            finally:
                route = _route(scope)
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": status})
                seconds = time.monotonic() - began
                metrics.record("http_duration", seconds, route=route, status=str(status))


def _traceparent(scope: "Scope") -> str | None:
    found = (value for name, value in scope["headers"] if name == b"traceparent")
    return next(found, b"").decode("latin-1") or None


def _route(scope: "Scope") -> str:
    """Return the route's template: the path itself may name people."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "unknown"))
