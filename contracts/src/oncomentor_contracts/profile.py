"""People: the coded profile, and the commands that carry it.

The blocks that are kept apart from it live in `block` and can be had from here as well.
"""

from datetime import date, time
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from oncomentor_contracts import topics
from oncomentor_contracts.block import ContactBlock as ContactBlock
from oncomentor_contracts.block import ContactChanged as ContactChanged
from oncomentor_contracts.block import ContactDeleted as ContactDeleted
from oncomentor_contracts.block import EncryptedBlock as EncryptedBlock
from oncomentor_contracts.block import KeyChanged as KeyChanged
from oncomentor_contracts.block import KeyDeleted as KeyDeleted
from oncomentor_contracts.block import ReadinessState as ReadinessState
from oncomentor_contracts.block import SealedKey as SealedKey
from oncomentor_contracts.block import SurvivorBlock as SurvivorBlock
from oncomentor_contracts.block import SurvivorChanged as SurvivorChanged
from oncomentor_contracts.block import SurvivorDeleted as SurvivorDeleted
from oncomentor_contracts.event import (
    Body,
    Code,
    Event,
    In,
    Instant,
    InstitutionId,
    Language,
    Line,
    Minutes,
    OpenEnum,
    PersonId,
    Sealed,
    Slug,
    Token,
    Zone,
)


def _without_offset(value: time) -> time:
    if value.tzinfo is not None:
        raise PydanticCustomError("offset", "must carry no UTC offset: the zone is the profile's")
    return value


Goal = Annotated[Code, In("goal")]
LocalTime = Annotated[
    time,
    AfterValidator(_without_offset),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?$",
            "examples": ["09:00:00"],
        }
    ),
]
"""A time on a wall clock. JSON Schema's `time` format would ask for an offset."""


class PersonState(OpenEnum):
    """Whether a person can be matched now."""

    ACTIVE = "active"
    PAUSED = "paused"
    UNKNOWN = "unknown"


class Modality(OpenEnum):
    """How a pair can meet."""

    VIRTUAL = "virtual"
    IN_PERSON = "in_person"
    PHONE = "phone"
    UNKNOWN = "unknown"


class Urgency(OpenEnum):
    """What a mentee says about time."""

    WHENEVER = "whenever"
    SOON = "soon"
    NOW = "now"
    UNKNOWN = "unknown"


class Purpose(OpenEnum):
    """What a consent is for."""

    MATCHING = "matching"
    SURVIVOR_DATA = "survivor_data"
    CONTACT_ON_MATCH = "contact_on_match"
    STATISTICS = "statistics"
    UNKNOWN = "unknown"


class Consent(Body):
    """One consent, with the version of the text that was read."""

    purpose: Purpose
    text_version: Line
    given_at: Instant
    withdrawn_at: Instant | None = None


class TrainingRecord(Body):
    """A training a person completed."""

    code: Annotated[Code, In("training")]
    completed_on: date
    valid_until_on: date | None = None


class WeeklyHours(Body):
    """Hours a person is free every week, in the zone of the profile."""

    weekday: Annotated[int, Field(ge=1, le=7)]
    """ISO 8601: Monday is 1."""
    starts: LocalTime
    ends: LocalTime
    """Later than `starts`; 00:00 means the end of the day."""


class MentorRole(Body):
    """A person offers to mentor in a programme."""

    programme_id: Slug
    offers: tuple[Goal, ...] = ()
    """Goals that they can help with."""
    capacity: Annotated[int, Field(ge=0, le=50)] | None = None
    """Mentees at one time; None takes the programme's."""
    protected_minutes_month: Minutes | None = None
    """Minutes a month that their center pledged; None where nothing was pledged."""
    years_mentoring: Annotated[int, Field(ge=0, le=80)] | None = None


class MenteeRole(Body):
    """A person looks for a mentor in a programme."""

    programme_id: Slug
    goals: tuple[Goal, ...] = ()
    wanted_mentors: Annotated[int, Field(ge=1, le=5)] = 1
    urgency: Urgency = Urgency.WHENEVER


class CodedProfile(Body):
    """What matching may know of a person: codes and opaque tokens, never a name."""

    profession: Annotated[Code, In("profession")]
    career_stage: Annotated[Code, In("career_stage")] | None = None
    degrees: tuple[Annotated[Code, In("degree")], ...] = ()
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=20)]
    time_zone: Zone
    modalities: tuple[Modality, ...] = (Modality.VIRTUAL,)
    communication_styles: tuple[Annotated[Code, In("communication_style")], ...] = ()
    topics: Annotated[tuple[Annotated[Code, In("topic")], ...], Field(max_length=50)] = ()
    methods: Annotated[tuple[Annotated[Code, In("method")], ...], Field(max_length=50)] = ()
    unit_key: Token | None = None
    lab_key: Token | None = None
    reporting_line_keys: tuple[Token, ...] = ()
    evaluated_unit_keys: tuple[Token, ...] = ()
    """Units whose people this person evaluates."""
    blocked_person_ids: tuple[PersonId, ...] = ()
    identity_tokens: tuple[Token, ...] = ()
    conflict_tokens: tuple[Token, ...] = ()
    training: tuple[TrainingRecord, ...] = ()
    weekly_hours: Annotated[tuple[WeeklyHours, ...], Field(max_length=100)] = ()
    consents: tuple[Consent, ...] = ()
    mentor_roles: tuple[MentorRole, ...] = ()
    mentee_roles: tuple[MenteeRole, ...] = ()
    state: PersonState = PersonState.ACTIVE


class PersonSubmitted(Event):
    """A center publishes one of its people; the whole of what it knows, each time.

    `sealed_contact` and `sealed_survivor` are JWEs to the hub's intake key holding a
    `ContactBlock` and a `SurvivorBlock`.
    """

    TYPE = "person.submitted.v1"
    TOPIC = topics.INGRESS_PROFILE
    SUBJECT = "person_id"

    institution_id: InstitutionId
    person_id: PersonId
    profile: CodedProfile
    sealed_contact: Sealed
    sealed_survivor: Sealed | None = None


class PersonWithdrawn(Event):
    """A center takes one of its people out; the network forgets what it held of them."""

    TYPE = "person.withdrawn.v1"
    TOPIC = topics.INGRESS_PROFILE
    SUBJECT = "person_id"

    institution_id: InstitutionId
    person_id: PersonId


class ProfileChanged(Event):
    """The whole current coded profile of a person."""

    TYPE = "profile.changed.v1"
    TOPIC = topics.PROFILE_PROFILE
    SUBJECT = "person_id"

    person_id: PersonId
    institution_id: InstitutionId
    version: Annotated[int, Field(ge=1)]
    """Counts the person's accepted changes from 1; proposals name the versions they judged."""
    profile: CodedProfile
    changed_at: Instant


class ProfileDeleted(Event):
    """A person is no longer part of the network."""

    TYPE = "profile.deleted.v1"
    TOPIC = topics.PROFILE_PROFILE
    SUBJECT = "person_id"
    TOMBSTONE = True

    person_id: PersonId
