"""Every metric of every service, declared once: what the code may count is what is written here.

Names are types: a misspelt one does not pass mypy. `docs/metrics.md` is made from this list, and
the alerts in `deploy/prometheus` may use nothing else. Nothing here knows a person: labels are
topics, states and classes of reasons.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation

CounterName = Literal[
    "slice_records", "slice_retries", "relay_sent", "relay_retries", "timers_worked"
]
HistogramName = Literal["slice_size", "slice_duration", "http_duration"]
GaugeName = Literal[
    "consumer_lag", "consumer_oldest", "consumer_partitions", "consumer_tick_age",
    "relay_backlog", "relay_oldest", "relay_held", "relay_state",
    "timers_due", "timers_working", "timers_failing", "timers_late",
    "quarantine_records",
    "database_connections", "database_connections_most",
    "ready", "caught_up", "event_loop_lag", "process_memory", "process_started",
]  # fmt: skip
Name = CounterName | HistogramName | GaugeName

PREFIX: Final = "oncomentor"
_UNITS: Final = {"s": "_seconds", "By": "_bytes"}
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its unit (UCUM, `{things}` for a count), its meaning and its labels' names."""

    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


COUNTERS: Final[Mapping[CounterName, Metric]] = {
    "slice_records": Metric(
        "{records}",
        "Records dealt with, by outcome: applied, duplicate, passed_over, quarantined, parked, or "
        "fenced (another process had dealt with it)",
        ("topic", "outcome"),
    ),
    "slice_retries": Metric(
        "{slices}", "Slices that failed for now and are tried again", ("topic",)
    ),
    "relay_sent": Metric("{events}", "Events that Kafka has acknowledged"),
    "relay_retries": Metric("{sessions}", "Times the relay began anew after a failure"),
    "timers_worked": Metric(
        "{timers}",
        "Timers worked on, by outcome: done, postponed, taken (the lease had run out); given_up "
        "counts effects handed back, which are done, too",
        ("kind", "outcome"),
    ),
}
HISTOGRAMS: Final[Mapping[HistogramName, Metric]] = {
    "slice_size": Metric("{records}", "Records in one slice", ("topic",), _SIZES),
    "slice_duration": Metric("s", "Time of one slice, commit included", ("topic",), _SECONDS),
    "http_duration": Metric(
        "s", "Time of one HTTP request, health and metrics left out", ("route", "status"), _SECONDS
    ),
}
GAUGES: Final[Mapping[GaugeName, Metric]] = {
    "consumer_lag": Metric(
        "{records}", "Records in Kafka that are not applied", ("group", "topic")
    ),
    "consumer_oldest": Metric("s", "Age of the oldest record not applied", ("group", "topic")),
    "consumer_partitions": Metric(
        "{partitions}",
        "Assigned partitions by state: opening, running, retrying, stopped",
        ("group", "state"),
    ),
    "consumer_tick_age": Metric("s", "Time since the poll loop last came round", ("group",)),
    "relay_backlog": Metric("{rows}", "Rows of the outbox not sent, told up to 100,000"),
    "relay_oldest": Metric("s", "Age of the oldest row not sent; 0 when there is none"),
    "relay_held": Metric(
        "{rows}", "Rows put aside for topics that Kafka does not take", ("topic",)
    ),
    "relay_state": Metric(
        "{relays}",
        "1 for the relay's state: starting, standing by, running, retrying, failing, stopped",
        ("state",),
    ),
    "timers_due": Metric("{timers}", "Timers that are due and nobody works on", ("kind",)),
    "timers_working": Metric("{timers}", "Timers somebody holds a lease on", ("kind",)),
    "timers_failing": Metric("{timers}", "Timers that failed at their last try", ("kind",)),
    "timers_late": Metric("s", "How long the oldest timer that is due waits", ("kind",)),
    "quarantine_records": Metric(
        "{records}",
        "Records kept in quarantine, by class of reason and by state: quarantined, parked",
        ("reason_class", "state"),
    ),
    "database_connections": Metric("{connections}", "Connections in use", ("pool",)),
    "database_connections_most": Metric("{connections}", "Connections there may be", ("pool",)),
    "ready": Metric("{services}", "1 when ready, with or without complaints; 0 when not"),
    "caught_up": Metric("{services}", "1 once what was in the topics at start has been applied"),
    "event_loop_lag": Metric("s", "Longest time the event loop was held, of the last seconds"),
    "process_memory": Metric("By", "Resident memory"),
    "process_started": Metric("s", "When the process began, since 1970"),
}
METRICS: Final[Mapping[Name, Metric]] = {
    name: metric for declared in (COUNTERS, HISTOGRAMS, GAUGES) for name, metric in declared.items()
}

Shown = Sequence[tuple[float, Mapping[str, str]]]
_counters: dict[CounterName, Counter] = {}
_histograms: dict[HistogramName, Histogram] = {}
_shown: dict[GaugeName, Shown] = {}


def exposed(name: Name) -> str:
    """Return the name under which Prometheus knows a metric (a histogram's with _bucket, _sum)."""
    total = "_total" if name in COUNTERS else ""
    return f"{PREFIX}_{name}{_UNITS.get(METRICS[name].unit, '')}{total}"


def add(name: CounterName, amount: int, **labels: str) -> None:
    """Count on; costs next to nothing before `start`, and nothing is counted then."""
    counter = _counters.get(name)
    if counter is not None and amount:
        counter.add(amount, labels)


def record(name: HistogramName, value: float, **labels: str) -> None:
    """Take one value into a distribution."""
    histogram = _histograms.get(name)
    if histogram is not None:
        histogram.record(value, labels)


def show(name: GaugeName, values: Shown) -> None:
    """Replace everything a gauge shows: what is not told again is gone."""
    _shown[name] = values


def start(meter: Meter) -> None:
    """Make the instruments of the list; a second time replaces them."""
    _shown.clear()
    for counter, metric in COUNTERS.items():
        _counters[counter] = meter.create_counter(counter, metric.unit, metric.meaning)
    for histogram, metric in HISTOGRAMS.items():
        _histograms[histogram] = meter.create_histogram(
            histogram,
            metric.unit,
            metric.meaning,
            explicit_bucket_boundaries_advisory=metric.buckets,
        )
    for gauge, metric in GAUGES.items():
        meter.create_observable_gauge(gauge, [_Shower(gauge)], metric.unit, metric.meaning)


@dataclass(frozen=True, slots=True)
class _Shower:
    """Tells a reader what a gauge shows at the moment."""

    name: GaugeName

    def __call__(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, labels) for value, labels in _shown.get(self.name, ())]
