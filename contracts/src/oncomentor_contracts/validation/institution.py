"""A member center and the policy it sets."""

from collections.abc import Iterator

from oncomentor_contracts.institution import Institution
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation.rules import first, problem, word_problems


def institution_problems(institution: Institution) -> list[Problem]:
    """Return what is wrong with a center's entry; empty where nothing is."""
    return first(word_problems(institution), _bad_partners(institution))


def _bad_partners(institution: Institution) -> Iterator[Problem]:
    policy = institution.policy
    allowed = frozenset(policy.partners_allowed or ())
    for name, partners in (
        ("partners_allowed", policy.partners_allowed or ()),
        ("partners_refused", policy.partners_refused),
    ):
        for index, partner in enumerate(partners):
            if partner == institution.institution_id:
                yield problem(
                    f"policy.{name}[{index}]",
                    "own_partner",
                    "a center is not its own partner",
                    "leave it out; cross_institution says whether its own people are matched",
                )
    for index, partner in enumerate(policy.partners_refused):
        if partner in allowed:
            yield problem(
                f"policy.partners_refused[{index}]",
                "allowed_and_refused",
                f"'{partner}' is in partners_allowed as well",
                "keep it in one of the two",
            )
