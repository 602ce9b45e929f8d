"""The commands of one cycle, drawn by its seed."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from oncomentor_client.message import Outgoing, outgoing
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.matching import Answer, ResponseGiven
from oncomentor_contracts.profile import CodedProfile, PersonSubmitted, PersonWithdrawn
from testkit.faults.words import LATER_POISON, POISON, mark_of, match_of
from testkit.history import Door

_SEALED = "eyJhbGciOiJFQ0RILUVTIn0..aXYtMTI.c2VhbGVk.dGFn"
_POISON_SHARE = 0.03
_LATER_POISON_SHARE = 0.01
_DECLINE_SHARE = 0.4
_WITHDRAW_SHARE = 0.15
_TWICE_SHARE = 0.1
_DOORS: dict[Door, int] = {"kafka": 10, "http": 8, "both": 1}
_MATCHES = 8  # answers meet in few subjects


@dataclass(frozen=True, slots=True)
class Command:
    """One command, by which door it goes in, and whether it goes in twice there."""

    what: str
    center: int
    outgoing: Outgoing
    mark: str
    door: Door
    twice: bool
    poison: bool


@dataclass(frozen=True, slots=True)
class Size:
    """How much a cycle sends."""

    people: int = 16
    answers: int = 80


class Draw:
    """Draws commands: the same seed gives the same ones, but for the instants they carry."""

    def __init__(self, seed: int, centers: Sequence[str], size: Size) -> None:
        """Choose the subjects of the cycle, which no other cycle has."""
        self.chance = random.Random(seed)  # noqa: S311 - chosen, not guessed
        self.cycle = self.chance.getrandbits(32)
        self._centers = centers
        self._size = size
        self._people = [derived_id("person", str(self.cycle), str(n)) for n in range(size.people)]
        nobody = [derived_id("nobody", str(self.cycle), str(n)) for n in range(_MATCHES)]
        self._matches = [match_of(p) for p in (self._people or nobody)[:_MATCHES]]
        self._versions: Counter[str] = Counter()

    def commands(self) -> list[Command]:
        """Return the cycle's commands in the order in which they are sent."""
        submissions = [p for p in self._people for _ in range(self.chance.randint(1, 3))]
        todo: list[UUID | None] = [*submissions, *([None] * self._size.answers)]
        self.chance.shuffle(todo)
        return [self._command(nth, person) for nth, person in enumerate(todo)]

    def _command(self, nth: int, person: UUID | None) -> Command:
        poison = self.chance.random() < _POISON_SHARE
        later = self.chance.random() < _LATER_POISON_SHARE
        ending = POISON if poison else LATER_POISON if later and person is None else None
        mark = mark_of(self.cycle, nth, ending=ending)
        if person is None:
            what, center, event = self._answer(mark)
        else:
            what, center, event = self._person(person, mark)
        self._versions[event.subject] += 1
        sent = outgoing(
            event,
            self._centers[center],
            event_id=derived_id("command", str(self.cycle), str(nth)),
            sequence=self._versions[event.subject],
            now=datetime.now(UTC),
        )
        return Command(
            what,
            center,
            sent,
            str(mark),
            self.chance.choices(tuple(_DOORS), tuple(_DOORS.values()))[0],
            self.chance.random() < _TWICE_SHARE,
            # A poisoned profile breaks matching, not the command that brings it.
            poison=poison and person is None,
        )

    def _answer(self, mark: UUID) -> tuple[str, int, Event]:
        declines = self.chance.random() < _DECLINE_SHARE
        match_id = self.chance.choice(self._matches)
        # A match's yes comes from one center alone: lanes that lock matches in the order in
        # which answers come would deadlock all the time. A no locks nothing.
        anyone = self.chance.randrange(len(self._centers))
        center = anyone if declines else match_id.int % len(self._centers)
        answer = Answer.DECLINE if declines else Answer.ACCEPT
        event = ResponseGiven(
            institution_id=self._centers[center], match_id=match_id, answer=answer, person_id=mark
        )
        return str(answer), center, event

    def _person(self, person_id: UUID, mark: UUID) -> tuple[str, int, Event]:
        center = person_id.int % len(self._centers)
        name = self._centers[center]
        if self._versions[str(person_id)] and self.chance.random() < _WITHDRAW_SHARE:
            return "withdraw", center, PersonWithdrawn(institution_id=name, person_id=person_id)
        profile = CodedProfile(
            profession="oncologist", languages=("pt",), time_zone="Europe/Lisbon", unit_key=mark.hex
        )
        event = PersonSubmitted(
            institution_id=name, person_id=person_id, profile=profile, sealed_contact=_SEALED
        )
        return "submit", center, event
