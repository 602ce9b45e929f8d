"""Member centers and the policies they set for themselves."""

from typing import Annotated

from pydantic import Field

from oncomentor_contracts import topics
from oncomentor_contracts.event import Body, Country, Event, InstitutionId, Line, OpenEnum, Zone

RorId = Annotated[str, Field(pattern=r"^0[a-z0-9]{6}[0-9]{2}$", examples=["0abcdef12"])]
"""Research Organization Registry id, without the address in front."""


class CrossInstitution(OpenEnum):
    """Whether a center's people are matched with other centers' people."""

    REQUIRED = "required"
    PREFERRED = "preferred"
    ANY = "any"
    UNKNOWN = "unknown"


class Clearance(OpenEnum):
    """How a center says yes to a pair: at once, when the window passes, or by a person."""

    AUTO = "auto"
    WINDOW = "window"
    MANUAL = "manual"
    UNKNOWN = "unknown"


class InstitutionState(OpenEnum):
    """Whether a center takes part now."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"


class InstitutionPolicy(Body):
    """What a center allows; the hard rules of matching read it from both sides."""

    cross_institution: CrossInstitution = CrossInstitution.PREFERRED
    partners_allowed: tuple[InstitutionId, ...] | None = None
    """Only these partners, or None for all."""
    partners_refused: tuple[InstitutionId, ...] = ()
    jurisdictions_allowed: tuple[Country, ...] | None = None
    clearance: Clearance = Clearance.MANUAL
    clearance_window_hours: Annotated[int, Field(ge=1, le=24 * 60)] = 72
    survivor_lane: bool = False
    max_profile_age_days: Annotated[int, Field(ge=1, le=3650)] | None = None


class Institution(Body):
    """A member center as the registry knows it."""

    institution_id: InstitutionId
    name: Line
    ror_id: RorId | None = None
    time_zone: Zone
    jurisdiction: Country
    policy: InstitutionPolicy = InstitutionPolicy()
    state: InstitutionState = InstitutionState.ACTIVE


class InstitutionChanged(Institution, Event):
    """The whole current state of a member center."""

    TYPE = "institution.changed.v1"
    TOPIC = topics.PROFILE_INSTITUTION
    SUBJECT = "institution_id"


class InstitutionDeleted(Event):
    """A center has left the registry."""

    TYPE = "institution.deleted.v1"
    TOPIC = topics.PROFILE_INSTITUTION
    SUBJECT = "institution_id"
    TOMBSTONE = True

    institution_id: InstitutionId


class InstitutionSubmitted(Institution, Event):
    """A center says what it is and allows; the center itself must stand in the registry."""

    TYPE = "institution.submitted.v1"
    TOPIC = topics.INGRESS_PROFILE
    SUBJECT = "institution_id"
