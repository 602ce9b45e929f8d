"""Made-up survivors' blocks, with some who must not be matched."""

import random
from typing import Any, Final

_CANCERS: Final = ("IDC", "ILC", "LUAD", "LUSC")  # two kinds each of breast and of lung cancer
_TREATMENTS: Final = ("surgery", "chemotherapy", "radiation", "immunotherapy", "hormone_therapy")
_AGES: Final = ("30-39", "40-49", "50-59", "60-69")
_CONCERNS: Final = ("fatigue", "fear_of_recurrence", "work_and_study", "parenting", "sleep")
_FAMILIES: Final = ("partnered", "single", "young_children", "adult_children")
_NOT_READY: Final = 9  # every so many are not ready, or not far enough past treatment


def block(chance: random.Random, *, is_mentor: bool, number: int) -> dict[str, Any]:
    """Return what a survivor declares of themselves."""
    years = round(chance.uniform(1.5, 12.0) if is_mentor else chance.uniform(0.1, 1.0), 1)
    made = {
        "cancer_type": chance.choice(_CANCERS),
        "treatments": sorted(chance.sample(_TREATMENTS, 2)),
        "age_band_at_diagnosis": chance.choice(_AGES),
        "years_since_treatment": years,
        "family_situation": [chance.choice(_FAMILIES)],
        "concerns": sorted(chance.sample(_CONCERNS, 2)),
        "readiness": "ready",
    }
    if number % _NOT_READY == 0:
        return made | ({"years_since_treatment": 0.4} if is_mentor else {"readiness": "paused"})
    return made
