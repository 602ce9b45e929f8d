"""People: the coded profile, and the sealed blocks that are kept apart from it."""

from datetime import date, time
from typing import Annotated

from pydantic import Field

from oncomentor_contracts import topics
from oncomentor_contracts.event import (
    Base64Url,
    Body,
    Code,
    Event,
    Instant,
    InstitutionId,
    Line,
    Minutes,
    OpenEnum,
    PersonId,
    Sealed,
    Slug,
    Text,
    Token,
    Zone,
)

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
"""BCP 47, such as `pt` or `pt-BR`."""


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

    code: Code
    completed_on: date
    valid_until_on: date | None = None


class WeeklyHours(Body):
    """Hours a person is free every week, in the zone of the profile."""

    weekday: Annotated[int, Field(ge=1, le=7)]
    """ISO 8601: Monday is 1."""
    starts: time
    ends: time
    """Later than `starts`; 00:00 means the end of the day."""


class MentorRole(Body):
    """A person offers to mentor in a programme."""

    programme_id: Slug
    offers: tuple[Code, ...] = ()
    """Goals that they can help with."""
    capacity: Annotated[int, Field(ge=0, le=50)] | None = None
    """Mentees at one time; None takes the programme's."""
    protected_minutes_month: Minutes | None = None
    """Minutes a month that their center pledged; None where nothing was pledged."""
    years_mentoring: Annotated[int, Field(ge=0, le=80)] | None = None


class MenteeRole(Body):
    """A person looks for a mentor in a programme."""

    programme_id: Slug
    goals: tuple[Code, ...] = ()
    wanted_mentors: Annotated[int, Field(ge=1, le=5)] = 1
    urgency: Urgency = Urgency.WHENEVER


class CodedProfile(Body):
    """What matching may know of a person: codes and opaque tokens, never a name."""

    profession: Code
    career_stage: Code | None = None
    degrees: tuple[Code, ...] = ()
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=20)]
    time_zone: Zone
    modalities: tuple[Modality, ...] = (Modality.VIRTUAL,)
    communication_styles: tuple[Code, ...] = ()
    topics: Annotated[tuple[Code, ...], Field(max_length=50)] = ()
    methods: Annotated[tuple[Code, ...], Field(max_length=50)] = ()
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


class ReadinessState(OpenEnum):
    """Where a survivor stands."""

    READY = "ready"
    PAUSED = "paused"
    RECURRENCE = "recurrence"
    BEREAVED = "bereaved"
    UNKNOWN = "unknown"


class SurvivorBlock(Body):
    """Self-declared facts of a survivor; only ever inside an encrypted block."""

    cancer_type: Code
    """OncoTree code."""
    treatments: tuple[Code, ...] = ()
    age_band_at_diagnosis: Code | None = None
    years_since_treatment: Annotated[float, Field(ge=0, le=90)] | None = None
    family_situation: tuple[Code, ...] = ()
    concerns: tuple[Code, ...] = ()
    readiness: ReadinessState = ReadinessState.READY


class ContactBlock(Body):
    """How to reach a person, and their own words; only ever inside an encrypted block."""

    display_name: Line
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
    email_confirmed_at: Instant | None = None
    """When the owner confirmed the address; nothing is sent to one that is not confirmed."""
    phone: Line | None = None
    pronouns: Line | None = None
    locale: Language = "en"
    own_words: Text | None = None


class EncryptedBlock(Body):
    """AES-256-GCM under a key of the person (`profile.key` carries it to those who may read).

    The additional data is `oncomentor/<purpose>/<person_id>/<key_id>`, purpose `contact` or
    `survivor`, so that a block cannot be put in another's place.
    """

    key_id: Token
    nonce: Base64Url
    ciphertext: Base64Url


class SurvivorChanged(Event):
    """A survivor's current block, readable by matching alone."""

    TYPE = "survivor.changed.v1"
    TOPIC = topics.PROFILE_SURVIVOR
    SUBJECT = "person_id"

    person_id: PersonId
    institution_id: InstitutionId
    block: EncryptedBlock


class SurvivorDeleted(Event):
    """A person has no survivor block any more."""

    TYPE = "survivor.deleted.v1"
    TOPIC = topics.PROFILE_SURVIVOR
    SUBJECT = "person_id"
    TOMBSTONE = True

    person_id: PersonId


class ContactChanged(Event):
    """A person's current contact block, readable by notification alone."""

    TYPE = "contact.changed.v1"
    TOPIC = topics.PROFILE_CONTACT
    SUBJECT = "person_id"

    person_id: PersonId
    institution_id: InstitutionId
    block: EncryptedBlock


class ContactDeleted(Event):
    """A person's contact is gone."""

    TYPE = "contact.deleted.v1"
    TOPIC = topics.PROFILE_CONTACT
    SUBJECT = "person_id"
    TOMBSTONE = True

    person_id: PersonId


class SealedKey(Body):
    """One reader's copy of one of a person's keys: a JWE to that reader's public key."""

    reader: Slug
    """The service that can open it."""
    purpose: Slug
    """`contact` or `survivor`."""
    jwe: Sealed


class KeyChanged(Event):
    """A person's current keys, sealed to their readers; without them every block is noise."""

    TYPE = "key.changed.v1"
    TOPIC = topics.PROFILE_KEY
    SUBJECT = "person_id"

    person_id: PersonId
    key_id: Token
    keys: tuple[SealedKey, ...]


class KeyDeleted(Event):
    """A person's keys are destroyed."""

    TYPE = "key.deleted.v1"
    TOPIC = topics.PROFILE_KEY
    SUBJECT = "person_id"
    TOMBSTONE = True

    person_id: PersonId
