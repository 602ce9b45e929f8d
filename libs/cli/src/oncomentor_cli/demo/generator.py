"""Made-up people, the same ones at every run.

Nobody in here exists: names are marked as synthetic and addresses end in .invalid.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from oncomentor_cli.demo import survivors
from oncomentor_cli.demo.cast import (
    CENTERS,
    CLINICAL,
    DELTA,
    HARBOR,
    RESEARCH,
    RIDGE,
    SURVIVOR,
    CenterPlan,
    PersonPlan,
)
from oncomentor_contracts.programme import Programme

SEED: Final = "oncomentor demonstration 1"
_FIRST: Final = (
    "Ada", "Bela", "Caro", "Dina", "Eli", "Fara", "Gil", "Hana", "Ivo", "Jola", "Kim", "Lio",
    "Mara", "Nilo", "Oda", "Pia", "Quin", "Rui", "Sana", "Teo",
)  # fmt: skip
_LAST: Final = ("Example", "Sample", "Specimen", "Placeholder", "Pattern")
_OFFERS: Final = {
    RESEARCH.programme_id: (
        "grant_writing", "study_design", "publishing", "data_analysis", "first_trial",
        "fellowship_application", "collaboration",
    ),
    CLINICAL.programme_id: (
        "complex_cases", "patient_communication", "multidisciplinary_work", "palliative_skills",
        "quality_improvement",
    ),
    SURVIVOR.programme_id: ("shared_experience", "coping_with_diagnosis", "life_after_treatment"),
}  # fmt: skip
_TOPICS: Final = (
    "breast", "lung", "colorectal", "melanoma", "immunotherapy", "biomarkers",
    "early_phase_trials", "psycho_oncology", "lymphoma", "health_equity",
)  # fmt: skip
_METHODS: Final = (
    "clinical_trial", "qualitative_research", "biostatistics", "single_cell", "registry_data",
)  # fmt: skip
_STYLES: Final = ("direct", "reflective", "encouraging", "structured", "listening")
# Afternoons of Lisbon are mornings of New York and evenings of Kolkata: three hours in each zone,
# so that two of them still share two when one zone has changed its clocks and the other has not.
_WINDOWS: Final = {
    "Europe/Lisbon": ("13:00", "16:00"),
    "America/New_York": ("08:00", "11:00"),
    "Africa/Lagos": ("14:00", "17:00"),
    "Asia/Kolkata": ("18:30", "21:30"),
}
_MENTORS: Final = ("mid_career", "senior")
_MENTEES: Final = ("trainee", "fellow", "early_career")


@dataclass(frozen=True, slots=True)
class _Part:
    """How many people of a center take part in a programme."""

    center: CenterPlan
    programme: Programme
    mentors: int
    mentees: int


_PARTS: Final = (
    _Part(HARBOR, RESEARCH, 4, 4),
    _Part(RIDGE, RESEARCH, 3, 5),
    _Part(DELTA, RESEARCH, 3, 5),
    _Part(HARBOR, CLINICAL, 3, 4),
    _Part(RIDGE, CLINICAL, 3, 4),
    _Part(HARBOR, SURVIVOR, 2, 3),
    _Part(RIDGE, SURVIVOR, 3, 3),
    _Part(DELTA, SURVIVOR, 3, 3),
)


def people(seed: str = SEED) -> tuple[PersonPlan, ...]:
    """Return everybody whose row is right, in the order of the files; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - the same people at every run, and none is real
    return tuple(person for center in CENTERS for person in _people_of(center, chance))


def _people_of(center: CenterPlan, chance: random.Random) -> Iterator[PersonPlan]:
    number = 0
    for part in _PARTS:
        if part.center is not center:
            continue
        for is_mentor in (True,) * part.mentors + (False,) * part.mentees:
            number += 1
            yield a_person(center, number, part.programme, chance, is_mentor=is_mentor)


def a_person(
    center: CenterPlan,
    number: int,
    programme: Programme,
    chance: random.Random,
    *,
    is_mentor: bool,
) -> PersonPlan:
    """Return one made-up person of a center who mentors, or wants a mentor, in a programme."""
    local_id = f"{center.id[0].upper()}-{number:04}"
    tree: dict[str, Any] = {
        "local_id": local_id,
        "profile": _profile(center, programme, chance, is_mentor=is_mentor),
        "contact": _contact(center, local_id, chance),
    }
    if programme is SURVIVOR:
        tree["survivor"] = survivors.block(chance, is_mentor=is_mentor, number=number)
    if programme is RESEARCH and center is RIDGE:
        # Two labs of one center: whoever shares one is never matched.
        tree["local"] = {"lab": chance.choice(("Cell lab (synthetic)", "Trial lab (synthetic)"))}
    return PersonPlan(center.id, local_id, tree)


def _profile(
    center: CenterPlan, programme: Programme, chance: random.Random, *, is_mentor: bool
) -> dict[str, Any]:
    is_survivor = programme is SURVIVOR
    profile = {
        "profession": _profession(programme, chance),
        "languages": _languages(center, chance),
        "time_zone": (zone := chance.choice(center.zones)),
        "modalities": ["virtual"],
        "communication_styles": sorted(chance.sample(_STYLES, 2)),
        "weekly_hours": _hours(zone, chance),
        "consents": _consents(["matching", "contact_on_match"], is_survivor=is_survivor),
        **_role(programme, chance, is_mentor=is_mentor),
    }
    if not is_survivor:
        profile["career_stage"] = chance.choice(_MENTORS if is_mentor else _MENTEES)
        profile["topics"] = sorted(chance.sample(_TOPICS, 3))
        profile["methods"] = sorted(chance.sample(_METHODS, 2))
    if is_mentor:
        records = programme.required_training or ("mentor_basics",)
        profile["training"] = [{"code": one, "completed_on": "2025-06-02"} for one in records]
    return profile


def _role(programme: Programme, chance: random.Random, *, is_mentor: bool) -> dict[str, Any]:
    goals = sorted(chance.sample(_OFFERS[programme.programme_id], 3 if is_mentor else 2))
    role: dict[str, Any] = {"programme_id": programme.programme_id}
    if is_mentor:
        role |= {"offers": goals, "capacity": chance.choice((2, 3))}
        role |= {"protected_minutes_month": 240, "years_mentoring": chance.randrange(1, 12)}
        return {"mentor_roles": [role]}
    role |= {"goals": goals, "urgency": chance.choice(("whenever", "soon", "now"))}
    return {"mentee_roles": [role]}


def _profession(programme: Programme, chance: random.Random) -> str:
    if programme is SURVIVOR:
        return "survivor"
    if programme is CLINICAL:
        return chance.choice(("medical_oncologist", "oncology_nurse", "palliative_physician"))
    return chance.choice(("laboratory_scientist", "biostatistician", "epidemiologist"))


def _languages(center: CenterPlan, chance: random.Random) -> list[str]:
    own = chance.choice(center.languages)
    # Now and then somebody speaks no English, and may wait for want of a shared language.
    return [own] if chance.random() < 0.05 else ["en", own]  # noqa: PLR2004 - one in twenty


def _hours(zone: str, chance: random.Random) -> list[dict[str, Any]]:
    starts, ends = _WINDOWS[zone]
    days = sorted(chance.sample(range(1, 6), 3))
    return [{"weekday": day, "starts": starts, "ends": ends} for day in days]


def _consents(purposes: list[str], *, is_survivor: bool) -> list[dict[str, Any]]:
    given = [*purposes, "survivor_data"] if is_survivor else purposes
    return [
        {"purpose": one, "text_version": "2026-01", "given_at": "2026-01-12T09:00:00Z"}
        for one in given
    ]


def _contact(center: CenterPlan, local_id: str, chance: random.Random) -> dict[str, Any]:
    name = f"{chance.choice(_FIRST)} {chance.choice(_LAST)} {local_id}"
    return {
        "display_name": f"{name} (synthetic)",
        "email": f"{local_id.lower()}@{center.mail_domain}",
        "email_confirmed_at": "2026-01-15T09:00:00Z",
        "locale": "en",
    }
