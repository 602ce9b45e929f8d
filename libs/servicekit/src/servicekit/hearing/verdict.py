"""What to make of one record, from its bytes alone: no I/O, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import pydantic
from asyncpg.pgproto import pgproto

from oncomentor_contracts.envelope import Envelope, EnvelopeError, Header, from_headers
from oncomentor_contracts.event import Event
from oncomentor_contracts.events import BY_TYPE
from oncomentor_contracts.topics import MAX_VALUE_BYTES, Kind, Topic

_SHOWN_PROBLEMS = 20


class Record(Protocol):
    """A Kafka record as a client hands it over; aiokafka's ConsumerRecord is one."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - the protocol's fields speak for themselves
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Iterable[Header]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A type newer than this code, by one of the network's own writers: it counts, no more.

    A new version of a type is said beside the old one, and a new type was never ours to apply.
    """

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record for the quarantine: why, and as much of the envelope as could be read."""

    reason_class: str
    problems: tuple[tuple[str, str], ...]
    envelope: Envelope | None = None

    @property
    def reason(self) -> str:
        """One line for people; it names fields and rules, never values."""
        return "; ".join(f"{field}: {rule}" for field, rule in self.problems)

    @classmethod
    def because(
        cls, reason_class: str, *problems: tuple[str, str], envelope: Envelope | None = None
    ) -> "Unreadable":
        """Return the verdict with texts that a column and a receipt can hold, whoever wrote them."""
        told = tuple((_line(field), _line(rule)) for field, rule in problems)
        return cls(reason_class, told, envelope)


Verdict = Event | PassedOver | Unreadable
"""What a record is: the well-formed event of a type we know, with its envelope, or neither."""


class Judge:
    """Judges the records of one topic of the broker; what depends on the topic is looked up once."""

    def __init__(self, topic: Topic, name: str) -> None:
        """`name` is the topic's name on the broker, which of a template names the center."""
        self._topic = topic
        self._ingress = topic.kind is Kind.INGRESS
        self._institution_id = topic.institution_in(name)
        self._sources = (
            frozenset({f"/institutions/{self._institution_id}"})
            if self._ingress
            else frozenset(f"/services/{writer}" for writer in topic.writers)
        )
        self._classes = {name: known for name, known in BY_TYPE.items() if topic == known.TOPIC}

    def __call__(self, record: Record) -> Verdict:
        """Return what a record is, judged by size, headers, envelope, source and schema in turn.

        Whatever is in it, nothing is raised: a record that broke this would stop its partition.
        """
        if len(record.value or b"") > MAX_VALUE_BYTES:
            return Unreadable.because("too_large", ("value", f"is over {MAX_VALUE_BYTES} bytes"))
        try:
            envelope = from_headers(record.headers, pgproto.UUID)
            if record.key != envelope.subject.encode():
                rule = "must be the subject"
                return Unreadable.because("bad_key", ("key", rule), envelope=envelope)
            return self.judge_event(envelope, record.value)
        except EnvelopeError as error:
            return Unreadable.because("bad_envelope", (error.attribute, error.rule))
        except Exception as error:  # noqa: BLE001 - see above
            return Unreadable.because("bad_record", ("record", type(error).__name__))

    def judge_event(self, envelope: Envelope, data: bytes | None) -> Verdict:
        """Return what an event is once its envelope could be read (HTTP comes in here)."""
        if envelope.source not in self._sources:
            expected = f"/institutions/{self._institution_id}" if self._ingress else "a writer"
            return _foreign(envelope, "source", f"must be {expected}")
        if envelope.sequence is None and not self._ingress:
            return Unreadable.because("bad_envelope", ("sequence", "is missing"), envelope=envelope)
        event_class = self._classes.get(envelope.type)
        if event_class is None:
            newer = envelope.type not in BY_TYPE and not self._ingress
            return PassedOver(envelope) if newer else self._unknown(envelope)
        verdict, own = _read(event_class, envelope, data), self._institution_id
        if self._ingress and getattr(verdict, "institution_id", own) != own:
            return _foreign(envelope, "institution_id", f"must be {own}, the center that sends it")
        return verdict

    def _unknown(self, envelope: Envelope) -> Unreadable:
        rule = f"is not said on {self._topic.name}"
        return Unreadable.because("unknown_type", ("type", rule), envelope=envelope)


def _read(event_class: type[Event], envelope: Envelope, data: bytes | None) -> Event | Unreadable:
    try:
        return event_class.received(envelope, data)
    except pydantic.ValidationError as error:
        return Unreadable.because("bad_data", *_problems(error), envelope=envelope)
    except (ValueError, RecursionError) as error:
        return Unreadable.because("bad_data", ("data", str(error)), envelope=envelope)


def _foreign(envelope: Envelope, field: str, rule: str) -> Unreadable:
    return Unreadable.because("foreign_source", (field, rule), envelope=envelope)


def judge(record: Record, topic: Topic) -> Verdict:
    """Return what one record of a topic is; where many come, make one `Judge`."""
    return Judge(topic, record.topic)(record)


def _line(text: str) -> str:
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:200] or "?"


def _problems(error: pydantic.ValidationError) -> tuple[tuple[str, str], ...]:
    shown = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        (".".join(map(str, item["loc"])) or "data", item["msg"]) for item in shown[:_SHOWN_PROBLEMS]
    )


class Order(StrEnum):
    """How an event stands to the last one applied of its subject."""

    NEXT = "next"
    DUPLICATE = "duplicate"
    GAP = "gap"
    FORK = "fork"


@dataclass(frozen=True, slots=True)
class Applied:
    """The last event applied of a subject."""

    sequence: int
    event_id: UUID


def order(kind: Kind, last: Applied | None, envelope: Envelope) -> Order:
    """Return how an event stands to the last applied one.

    State topics lose records to compaction, so there the greater sequence wins and nothing is
    a gap. On fact topics 1, 2, 3 ... must come without one. The same sequence with another id
    is a fork: two histories of one producer.
    """
    sequence = envelope.sequence or 0
    before = last.sequence if last else 0
    if last and sequence == before:
        return Order.DUPLICATE if last.event_id == envelope.id else Order.FORK
    if sequence < before:
        return Order.DUPLICATE
    if kind is not Kind.STATE and sequence != before + 1:
        return Order.GAP
    return Order.NEXT
