"""The network's rules as far as a center alone can check them, in the hub's own words."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from oncomentor_contracts import validation
from oncomentor_contracts.profile import CodedProfile, ContactBlock, PersonSubmitted, SurvivorBlock
from oncomentor_contracts.receipt import Problem

_NOBODY = UUID(int=0)


def rule_problems(
    profile: CodedProfile, contact: ContactBlock, survivor: SurvivorBlock | None
) -> tuple[Problem, ...]:
    """Return what the hub would reject, save what the hub alone knows (who takes part where)."""
    event = PersonSubmitted.model_construct(
        institution_id="", person_id=_NOBODY, profile=profile, sealed_contact="",
        sealed_survivor=None if survivor is None else "sealed",
    )  # fmt: skip
    today = datetime.now(UTC).date()
    coded = validation.person_problems(event, today=today)
    own = () if survivor is None else validation.survivor_problems(survivor)
    return (
        *(one.model_copy(update={"field": _in_file(one.field)}) for one in coded),
        *_under("contact", validation.contact_problems(contact)),
        *_under("survivor", own),
    )


def _in_file(field: str) -> str:
    # In the event that block is sealed; in the file it is not yet.
    return "survivor" if field == "sealed_survivor" else field


def _under(section: str, problems: Iterable[Problem]) -> Iterator[Problem]:
    for one in problems:
        yield one.model_copy(update={"field": f"{section}.{one.field}"})
