"""The blocks that are kept apart from the coded profile, and the keys that open them."""

from typing import Annotated

from pydantic import Field

from oncomentor_contracts import topics
from oncomentor_contracts.event import (
    Base64Url,
    Body,
    Code,
    Event,
    In,
    Instant,
    InstitutionId,
    Language,
    Line,
    OpenEnum,
    PersonId,
    Sealed,
    Slug,
    Text,
    Token,
)

Email = Annotated[
    str,
    Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254, examples=["ana@mail.invalid"]),
]


class ReadinessState(OpenEnum):
    """Where a survivor stands."""

    READY = "ready"
    PAUSED = "paused"
    RECURRENCE = "recurrence"
    BEREAVED = "bereaved"
    UNKNOWN = "unknown"


class SurvivorBlock(Body):
    """Self-declared facts of a survivor; only ever inside an encrypted block."""

    cancer_type: Annotated[Code, In("oncotree")]
    """OncoTree code."""
    treatments: tuple[Annotated[Code, In("treatment")], ...] = ()
    age_band_at_diagnosis: Annotated[Code, In("age_band")] | None = None
    years_since_treatment: Annotated[float, Field(ge=0, le=90)] | None = None
    family_situation: tuple[Annotated[Code, In("family_situation")], ...] = ()
    concerns: tuple[Annotated[Code, In("concern")], ...] = ()
    readiness: ReadinessState = ReadinessState.READY


class ContactBlock(Body):
    """How to reach a person, and their own words; only ever inside an encrypted block."""

    display_name: Line
    email: Email
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
