"""The centers and programmes of the demonstration. All of it is made up."""

from dataclasses import dataclass, field
from typing import Any, Final

from oncomentor_client.people import FileFormat
from oncomentor_client.session import Via
from oncomentor_contracts.institution import (
    Clearance,
    CrossInstitution,
    Institution,
    InstitutionPolicy,
)
from oncomentor_contracts.programme import Criterion, CriterionWeight, Programme, ProgrammeKind

OWNER: Final = "consortium"


@dataclass(frozen=True, slots=True)
class CenterPlan:
    """One center: its entry in the registry, and how its own systems speak to the network."""

    entry: Institution
    file_format: FileFormat
    publishes_via: Via
    answers_via: Via
    zones: tuple[str, ...]
    """Where its people live."""
    languages: tuple[str, ...]
    """What they may speak besides English."""

    @property
    def id(self) -> str:
        """The institution's id."""
        return self.entry.institution_id

    @property
    def mail_domain(self) -> str:
        """Where its people's addresses are; nothing under .invalid is ever delivered (RFC 2606)."""
        return f"{self.id}.invalid"

    @property
    def file_name(self) -> str:
        """The file of its people."""
        return f"{self.id}.{self.file_format.value}"


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """One made-up person: the row that the center's file has of them."""

    center_id: str
    local_id: str
    tree: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that is wrong on purpose, and who is to find that."""

    center_id: str
    local_id: str
    field: str
    rule: str
    found_by_hub: bool


def _center(
    institution_id: str, name: str, zone: str, jurisdiction: str, policy: InstitutionPolicy
) -> Institution:
    return Institution(
        institution_id=institution_id,
        name=f"{name} (synthetic)",
        time_zone=zone,
        jurisdiction=jurisdiction,
        policy=policy,
    )


HARBOR: Final = CenterPlan(
    _center(
        "harbor-demo", "Harbor Cancer Center", "Europe/Lisbon", "PT",
        InstitutionPolicy(
            cross_institution=CrossInstitution.REQUIRED, clearance=Clearance.MANUAL,
            survivor_lane=True,
        ),
    ),
    FileFormat.CSV, Via.KAFKA, Via.KAFKA, ("Europe/Lisbon",), ("pt",),
)  # fmt: skip
RIDGE: Final = CenterPlan(
    _center(
        "ridge-demo", "Ridge Oncology Institute", "America/New_York", "US",
        InstitutionPolicy(
            cross_institution=CrossInstitution.REQUIRED, clearance=Clearance.MANUAL,
            survivor_lane=True,
        ),
    ),
    FileFormat.JSONL, Via.HTTP, Via.HTTP, ("America/New_York",), ("es",),
)  # fmt: skip
DELTA: Final = CenterPlan(
    _center(
        "delta-demo", "Delta Cancer Hospital", "Africa/Lagos", "NG",
        InstitutionPolicy(
            cross_institution=CrossInstitution.ANY, clearance=Clearance.AUTO, survivor_lane=True
        ),
    ),
    FileFormat.JSONL, Via.KAFKA, Via.KAFKA, ("Africa/Lagos", "Asia/Kolkata"), ("fr", "hi"),
)  # fmt: skip
CENTERS: Final = (HARBOR, RIDGE, DELTA)


def _weights(**weights: float) -> tuple[CriterionWeight, ...]:
    return tuple(
        CriterionWeight(criterion=Criterion(name), weight=weight)
        for name, weight in weights.items()
    )


RESEARCH: Final = Programme(
    programme_id="research-demo",
    owner=OWNER,
    name="Early-career research (synthetic)",
    kind=ProgrammeKind.RESEARCH,
    participants=(HARBOR.id, RIDGE.id, DELTA.id),
    session_minutes=45,
    weights=_weights(
        goals=1.0, topics=0.8, methods=0.5, career_stage=0.4, availability=0.3, urgency=0.2
    ),
)
CLINICAL: Final = Programme(
    programme_id="clinical-demo",
    owner=OWNER,
    name="Clinical practice (synthetic)",
    kind=ProgrammeKind.CLINICAL,
    participants=(HARBOR.id, RIDGE.id),
    session_minutes=45,
    required_training=("mentor_basics",),
    weights=_weights(goals=1.0, topics=0.6, communication_style=0.4, career_stage=0.4),
)
SURVIVOR: Final = Programme(
    programme_id="survivor-demo",
    owner=OWNER,
    name="Survivor peers (synthetic)",
    kind=ProgrammeKind.SURVIVORSHIP,
    participants=(HARBOR.id, RIDGE.id, DELTA.id),
    session_minutes=45,
    required_training=("peer_support_basics",),
    min_years_past_treatment=1,
    weights=_weights(cancer_type=1.0, treatments=0.6, concerns=0.6, age_band=0.3),
)
PROGRAMMES: Final = (RESEARCH, CLINICAL, SURVIVOR)
