"""Mentoring programmes: who may take part, how pairs are scored, how often they meet."""

from typing import Annotated

from pydantic import Field

from oncomentor_contracts import topics
from oncomentor_contracts.event import (
    Body,
    Code,
    Event,
    In,
    InstitutionId,
    Line,
    Minutes,
    OpenEnum,
    OwnerId,
    Share,
    Slug,
)


class ProgrammeKind(OpenEnum):
    """The lane a programme belongs to."""

    RESEARCH = "research"
    CLINICAL = "clinical"
    LEADERSHIP = "leadership"
    SURVIVORSHIP = "survivorship"
    UNKNOWN = "unknown"


class ProgrammeMode(OpenEnum):
    """How pairs come about: any time, in cohorts, or chosen after talking."""

    OPEN = "open"
    ROUND = "round"
    CHOOSE = "choose"
    UNKNOWN = "unknown"


class Criterion(OpenEnum):
    """One part of the soft score, in [0, 1]."""

    GOALS = "goals"
    TOPICS = "topics"
    METHODS = "methods"
    CAREER_STAGE = "career_stage"
    COMMUNICATION_STYLE = "communication_style"
    MODALITY = "modality"
    AVAILABILITY = "availability"
    URGENCY = "urgency"
    CANCER_TYPE = "cancer_type"
    TREATMENTS = "treatments"
    AGE_BAND = "age_band"
    CONCERNS = "concerns"
    FAMILY_SITUATION = "family_situation"
    UNKNOWN = "unknown"


class CriterionWeight(Body):
    """How much a criterion counts beside the others; weights need not sum to one."""

    criterion: Criterion
    weight: Share


class Programme(Body):
    """A programme as its owner defined it."""

    programme_id: Slug
    owner: OwnerId
    name: Line
    kind: ProgrammeKind
    mode: ProgrammeMode = ProgrammeMode.OPEN
    participants: tuple[InstitutionId, ...] | None = None
    """The centers that take part, or None for every member."""
    cadence_days: Annotated[int, Field(ge=1, le=366)] = 14
    length_weeks: Annotated[int, Field(ge=1, le=260)] = 26
    session_minutes: Annotated[int, Field(ge=15, le=240)] = 60
    mentor_capacity: Annotated[int, Field(ge=1, le=50)] = 2
    """Seats of a mentor who did not say how many."""
    protected_minutes_month: Minutes = 0
    """Minutes a mentor must have left in a month; 0 asks for none."""
    required_training: tuple[Annotated[Code, In("training")], ...] = ()
    """Training records that a mentor needs."""
    response_window_hours: Annotated[int, Field(ge=1, le=24 * 60)] = 72
    """How long a person has to answer an offer."""
    min_years_past_treatment: Annotated[int, Field(ge=0, le=50)] = 1
    """Survivorship only: a mentor's distance from the end of treatment."""
    weights: tuple[CriterionWeight, ...]
    criteria_version: Annotated[int, Field(ge=1)] = 1
    active: bool = True


class ProgrammeChanged(Programme, Event):
    """The whole current state of a programme."""

    TYPE = "programme.changed.v1"
    TOPIC = topics.PROFILE_PROGRAMME
    SUBJECT = "programme_id"


class ProgrammeDeleted(Event):
    """A programme has been removed."""

    TYPE = "programme.deleted.v1"
    TOPIC = topics.PROFILE_PROGRAMME
    SUBJECT = "programme_id"
    TOMBSTONE = True

    programme_id: Slug


class ProgrammeSubmitted(Programme, Event):
    """A center defines or changes a programme it owns."""

    TYPE = "programme.submitted.v1"
    TOPIC = topics.INGRESS_PROFILE
    SUBJECT = "programme_id"

    institution_id: InstitutionId
    """The center that says it; must equal `owner`."""
