"""What the network answers to every event that a center sends."""

from pydantic import Field

from oncomentor_contracts import topics
from oncomentor_contracts.event import Body, Event, Instant, InstitutionId, Line, OpenEnum


class Outcome(OpenEnum):
    """What became of an accepted event."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"


class Problem(Body):
    """One thing that is wrong, where, by which rule, and how to mend it."""

    field: Line
    """Path into the data, such as `profile.languages[0]`, or the name of an attribute."""
    rule: Line
    """A short stable name, such as `unknown_code`."""
    message: Line
    fix: Line
    suggestions: tuple[Line, ...] = ()
    """The nearest valid values, best first."""


class ReceiptAccepted(Event):
    """The event was taken in (or had been before)."""

    TYPE = "receipt.accepted.v1"
    TOPIC = topics.EGRESS_RECEIPT
    SUBJECT = "receipt_for"

    institution_id: InstitutionId
    receipt_for: Line
    """The event's id."""
    event_type: Line
    about: Line
    """The event's subject."""
    outcome: Outcome
    at: Instant


class ReceiptRejected(Event):
    """The event was refused; nothing of it took effect."""

    TYPE = "receipt.rejected.v1"
    TOPIC = topics.EGRESS_RECEIPT
    SUBJECT = "receipt_for"

    institution_id: InstitutionId
    receipt_for: Line
    """The event's id, or `<topic>/<partition>/<offset>` where none could be read."""
    event_type: Line | None = None
    about: Line | None = None
    problems: tuple[Problem, ...] = Field(min_length=1)
    at: Instant
