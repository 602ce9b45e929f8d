"""Opening what centers seal to the network: the contact and the survivor block of a person."""

from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from oncomentor_contracts.block import ContactBlock, SurvivorBlock
from oncomentor_contracts.event import Body
from oncomentor_contracts.profile import PersonSubmitted
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation import contact_problems, problems_of, survivor_problems
from profile_service.handlers import problems
from servicekit import security
from servicekit.security import Key, UnsealableError

B = TypeVar("B", bound=Body)


@dataclass(frozen=True, slots=True)
class Opened:
    """A person's blocks in plain; they are in memory alone, and in no repr."""

    contact: ContactBlock | None = field(repr=False)
    survivor: SurvivorBlock | None = field(repr=False)
    problems: tuple[Problem, ...]
    """Empty where every block that was sent could be read and is valid. No value is repeated."""


def open_blocks(intake: Key, event: PersonSubmitted) -> Opened:
    """Return the blocks of a submitted person, and what is wrong with them."""
    name = "sealed_contact"
    contact, wrong = _open(intake, name, event.sealed_contact, ContactBlock)
    if contact is not None:
        wrong += [problems.inside(name, told) for told in contact_problems(contact)]
    if event.sealed_survivor is None:
        return Opened(contact, None, tuple(wrong))

    name = "sealed_survivor"
    survivor, bad_survivor = _open(intake, name, event.sealed_survivor, SurvivorBlock)
    if survivor is not None:
        bad_survivor += [problems.hidden(name, told) for told in survivor_problems(survivor)]
    return Opened(contact, survivor, (*wrong, *bad_survivor))


def _open(intake: Key, name: str, sealed: str, model: type[B]) -> tuple[B | None, list[Problem]]:
    try:
        return model.model_validate_json(security.unseal(intake, sealed)), []
    except UnsealableError as error:
        return None, [problems.unsealable(name, str(error))]
    except ValidationError as error:
        return None, problems_of(error, under=name)
