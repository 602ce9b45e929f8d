"""Rows that are wrong on purpose: most are found at home, two only the hub can know."""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from oncomentor_cli.demo.cast import (
    CLINICAL,
    DELTA,
    HARBOR,
    RESEARCH,
    RIDGE,
    CenterPlan,
    Fault,
    PersonPlan,
)
from oncomentor_cli.demo.generator import SEED, a_person

_FIRST_NUMBER: Final = 9001  # local ids that no right row has
Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    center: CenterPlan
    spoil: Callable[[Tree], None]
    field: str
    rule: str
    found_by_hub: bool = False


def _misspell_profession(tree: Tree) -> None:
    tree["profile"]["profession"] = "laboratory_scientst"


def _misspell_zone(tree: Tree) -> None:
    tree["profile"]["time_zone"] = "Africa/Lagoss"


def _forget_consent(tree: Tree) -> None:
    tree["profile"]["consents"] = []


def _end_before_start(tree: Tree) -> None:
    tree["profile"]["weekly_hours"] = [{"weekday": 2, "starts": "16:00", "ends": "13:00"}]


def _join_closed_programme(tree: Tree) -> None:
    tree["profile"]["mentor_roles"][0] |= {"programme_id": CLINICAL.programme_id, "offers": []}


def _misspell_programme(tree: Tree) -> None:
    tree["profile"]["mentor_roles"][0]["programme_id"] = "reserch-demo"


_KINDS: Final = (
    _Kind(HARBOR, _misspell_profession, "profile.profession", "unknown_code"),
    _Kind(HARBOR, _end_before_start, "profile.weekly_hours[0].ends", "ends_before_start"),
    _Kind(RIDGE, _forget_consent, "profile.consents", "consent_missing"),
    _Kind(DELTA, _misspell_zone, "profile.time_zone", "unknown_zone"),
    _Kind(
        RIDGE, _misspell_programme, "profile.mentor_roles[0].programme_id", "unknown_programme",
        found_by_hub=True,
    ),
    _Kind(
        DELTA, _join_closed_programme, "profile.mentor_roles[0].programme_id",
        "programme_not_open", found_by_hub=True,
    ),
)  # fmt: skip


def faulty_people(seed: str = SEED) -> tuple[tuple[PersonPlan, Fault], ...]:
    """Return people whose row is wrong, each with what has to be found; the same at every run."""
    chance = random.Random(f"{seed}, faults")  # noqa: S311 - the same people at every run
    made = []
    for number, kind in enumerate(_KINDS, start=_FIRST_NUMBER):
        person = a_person(kind.center, number, RESEARCH, chance, is_mentor=True)
        tree = copy.deepcopy(person.tree)
        kind.spoil(tree)
        fault = Fault(kind.center.id, person.local_id, kind.field, kind.rule, kind.found_by_hub)
        made.append((PersonPlan(person.center_id, person.local_id, tree), fault))
    return tuple(made)
