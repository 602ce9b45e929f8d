"""A programme, whoever defines it."""

from collections.abc import Iterator
from typing import Final

from oncomentor_contracts.programme import (
    Criterion,
    Programme,
    ProgrammeKind,
    ProgrammeSubmitted,
)
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation.rules import first, problem, repeated, word_problems

_SURVIVOR_ONLY: Final = frozenset(
    {
        Criterion.CANCER_TYPE,
        Criterion.TREATMENTS,
        Criterion.AGE_BAND,
        Criterion.CONCERNS,
        Criterion.FAMILY_SITUATION,
    }
)
"""Criteria over a block that people give for the survivor lane and for nothing else."""

_LEAST_WEIGHT: Final = 1e-6
"""Scores are added in single precision: what counts less would be lost beside the others."""


def programme_problems(programme: Programme) -> list[Problem]:
    """Return what is wrong with a programme; of a submitted one, that its sender owns it too."""
    return first(
        word_problems(programme),
        _not_owner(programme),
        _owner_left_out(programme),
        _bad_weights(programme),
        _survivor_criteria(programme),
    )


def _not_owner(programme: Programme) -> Iterator[Problem]:
    if isinstance(programme, ProgrammeSubmitted) and programme.owner != programme.institution_id:
        yield problem(
            "owner",
            "not_owner",
            "only its owner may define a programme",
            f"set owner to {programme.institution_id}",
        )


def _owner_left_out(programme: Programme) -> Iterator[Problem]:
    if programme.participants is None or programme.owner == "consortium":
        return
    if programme.owner not in programme.participants:
        yield problem(
            "participants",
            "owner_left_out",
            "the owner does not take part",
            f"add {programme.owner}, or leave participants out for every member",
        )


def _bad_weights(programme: Programme) -> Iterator[Problem]:
    for place, before in repeated(
        "weights", "criterion", [each.criterion.value for each in programme.weights]
    ):
        yield problem(
            place,
            "duplicate_criterion",
            f"stands already in weights[{before}]",
            "give every criterion one weight",
        )
    for index, each in enumerate(programme.weights):
        if 0 < each.weight < _LEAST_WEIGHT:
            yield problem(
                f"weights[{index}].weight",
                "weight_too_small",
                f"{each.weight:g} is too little to be added to the others",
                f"give 0, or {_LEAST_WEIGHT:f} or more",
            )
    if not any(each.weight > 0 for each in programme.weights):
        yield problem(
            "weights",
            "no_weight",
            "no criterion counts",
            "give at least one criterion a weight above 0",
        )


def _survivor_criteria(programme: Programme) -> Iterator[Problem]:
    if programme.kind is ProgrammeKind.SURVIVORSHIP:
        return
    for index, each in enumerate(programme.weights):
        if each.criterion in _SURVIVOR_ONLY:
            yield problem(
                f"weights[{index}].criterion",
                "survivor_criterion",
                "survivors' facts are for survivorship programmes alone",
                "leave it out, or set kind to survivorship",
            )
