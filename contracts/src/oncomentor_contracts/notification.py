"""Deliveries decided and made, and what each center is told of its matches."""

from typing import Annotated

from pydantic import Field

from oncomentor_contracts import topics
from oncomentor_contracts.event import (
    Body,
    DeliveryId,
    Event,
    Instant,
    InstitutionId,
    Line,
    MatchId,
    OpenEnum,
    PersonId,
    SessionId,
    Share,
    Slug,
    Zone,
)
from oncomentor_contracts.matching import Side


class Template(OpenEnum):
    """What a message says."""

    MATCH_OFFERED = "match_offered"
    MATCH_ACTIVATED = "match_activated"
    SESSION_INVITATION = "session_invitation"
    SESSION_UNBOOKABLE = "session_unbookable"
    UNKNOWN = "unknown"


class Channel(OpenEnum):
    """How a message travels."""

    MAIL = "mail"
    UNKNOWN = "unknown"


class Invitation(Body):
    """The facts of a session that a calendar invitation is rendered from."""

    session_id: SessionId
    starts_at: Instant
    duration_minutes: Annotated[int, Field(ge=15, le=240)]
    time_zone: Zone
    ical_uid: Line
    ical_sequence: Annotated[int, Field(ge=0)]


class DeliveryIntended(Event):
    """It was decided who is told what; whoever holds the contact renders and sends it."""

    TYPE = "delivery.intended.v1"
    TOPIC = topics.NOTIFICATION_DELIVERY
    SUBJECT = "delivery_id"

    delivery_id: DeliveryId
    person_id: PersonId
    institution_id: InstitutionId
    counterpart_id: PersonId | None = None
    """The other half of the pair, where the message may name them: both have said yes."""
    counterpart_institution_id: InstitutionId
    match_id: MatchId
    programme_id: Slug
    side: Side
    channel: Channel
    template: Template
    respond_by: Instant | None = None
    invitation: Invitation | None = None


class DeliverySent(Event):
    """The mail server took the message."""

    TYPE = "delivery.sent.v1"
    TOPIC = topics.NOTIFICATION_DELIVERY
    SUBJECT = "delivery_id"

    delivery_id: DeliveryId
    message_id: Line
    """The mail's Message-ID; the same on every attempt."""
    sent_at: Instant


class FailureReason(OpenEnum):
    """Why a message will not be sent."""

    NO_CONTACT = "no_contact"
    ADDRESS_UNCONFIRMED = "address_unconfirmed"
    REFUSED = "refused"
    GAVE_UP = "gave_up"
    UNKNOWN = "unknown"


class DeliveryFailed(Event):
    """The message will not be sent."""

    TYPE = "delivery.failed.v1"
    TOPIC = topics.NOTIFICATION_DELIVERY
    SUBJECT = "delivery_id"

    delivery_id: DeliveryId
    reason: FailureReason


class MatchState(OpenEnum):
    """Where a match stands, as a center sees it."""

    PROPOSED = "proposed"
    OFFERED_TO_MENTOR = "offered_to_mentor"
    OFFERED_TO_MENTEE = "offered_to_mentee"
    ACTIVE = "active"
    DECLINED = "declined"
    EXPIRED = "expired"
    NOT_AVAILABLE = "not_available"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"


class ActionNeeded(OpenEnum):
    """What the center, or its person through it, is asked for now."""

    NONE = "none"
    CLEAR = "clear"
    ACCEPT = "accept"
    UNKNOWN = "unknown"


class MatchUpdated(Event):
    """A match as one of its centers sees it now."""

    TYPE = "match.updated.v1"
    TOPIC = topics.EGRESS_MATCH
    SUBJECT = "match_id"

    institution_id: InstitutionId
    match_id: MatchId
    programme_id: Slug
    state: MatchState
    side: Side
    """The half that the center's own person is."""
    person_id: PersonId
    counterpart_id: PersonId
    counterpart_institution_id: InstitutionId
    score: Share
    reasons: tuple[Line, ...] = ()
    """What counted most, best first."""
    action_needed: ActionNeeded
    respond_by: Instant | None = None
    session_starts_at: Instant | None = None
    at: Instant
