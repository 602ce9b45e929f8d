"""How each broken rule is told to a center: what is wrong, and how to mend it."""

from typing import Final

from oncomentor_contracts.receipt import Problem
from profile_service.domain import Refused, RoleRule

_REFUSED: Final = {
    Refused.FOREIGN: Problem(
        field="person_id",
        rule=Refused.FOREIGN,
        message="this person id is not one of your center's",
        fix="derive person ids with your own center's key and id; people move by transfer",
    ),
    Refused.STALE: Problem(
        field="sequence",
        rule=Refused.STALE,
        message="a later version has been accepted before",
        fix="send the current state with a sequence above the last one you sent, or none",
    ),
    Refused.UNKNOWN: Problem(
        field="person_id",
        rule=Refused.UNKNOWN,
        message="no person of your center has this id",
        fix="nothing if they were withdrawn before; else derive the id as when you submitted them",
    ),
}
_ROLE_RULES: Final = {
    RoleRule.UNKNOWN: ("no programme has the id", "use the id of a programme of the registry"),
    RoleRule.CLOSED: ("the programme is closed", "leave the role out or choose another programme"),
    RoleRule.NOT_OPEN: (
        "your center does not take part in the programme",
        "ask its owner to add your center, or choose another programme",
    ),
}

UNKNOWN_INSTITUTION: Final = Problem(
    field="institution_id",
    rule="unknown_institution",
    message="your center is not in the registry",
    fix="ask an operator of the consortium to register it, then send the event again",
)
STATE_IS_OPERATORS: Final = Problem(
    field="state",
    rule="operator_only",
    message="differs from what the registry says",
    fix="send the state that the registry has; operators suspend and resume centers",
)
FOREIGN_PROGRAMME: Final = Problem(
    field="programme_id",
    rule="foreign_programme",
    message="the id belongs to a programme of another owner",
    fix="choose another programme id",
)


def refused(why: Refused) -> Problem:
    """Return how a refusal about a person is told."""
    return _REFUSED[why]


def role(field: str, rule: RoleRule, suggestions: tuple[str, ...]) -> Problem:
    """Return how a role in a programme that cannot be joined is told."""
    message, fix = _ROLE_RULES[rule]
    return Problem(field=field, rule=rule, message=message, fix=fix, suggestions=suggestions)


def participant(position: int, institution_id: str) -> Problem:
    """Return how a participant that is no member is told."""
    return Problem(
        field=f"participants[{position}]",
        rule="unknown_institution",
        message=f"no member center has the id {institution_id}",
        fix="use the id of a registered center, or register it first",
    )


def unsealable(field: str, why: str) -> Problem:
    """Return how a block that the intake key does not open is told."""
    return Problem(
        field=field,
        rule="unsealable",
        message=f"the block cannot be opened: {why}"[:200],
        fix="fetch the key at GET /v1/keys/intake again and seal the block to it",
    )


def inside(block_field: str, told: Problem) -> Problem:
    """Return a problem of a sealed block, placed in the event that carries the block."""
    return told.model_copy(update={"field": f"{block_field}.{told.field}"[:200]})


def hidden(block_field: str, told: Problem) -> Problem:
    """Return how a broken rule inside a sealed block is told.

    Neither the value nor the nearest valid ones are repeated: a suggestion beside a misspelt
    diagnosis would be the diagnosis, on a topic and in a table that hold no sealed data.
    """
    return Problem(
        field=inside(block_field, told).field,
        rule=told.rule,
        message="the value inside the sealed block breaks this rule; it is not repeated here",
        fix="check the block before sealing it: the client names the value and the nearest ones",
    )
