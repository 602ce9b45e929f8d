"""Things the tests need, each with defaults that match: say only what the test is about."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from matching_service import app
from matching_service.domain.match import Match, Party, State
from matching_service.domain.pool import Center, Context, Mentee, Mentor, Pair, Person, Programme
from oncomentor_contracts.identifiers import derived_id
from testkit.plugin import NOW

TAXONOMY = app.taxonomy()
NORTH, SOUTH = "north-center", "south-center"
PROGRAMME = "grants"
WEEKDAYS = tuple((day, 9 * 60, 17 * 60) for day in range(1, 6))
WEIGHTS = (("goals", 0.5), ("topics", 0.3), ("availability", 0.2))


def person_id(name: str) -> UUID:
    return derived_id("person", name)


def a_center(institution_id: str = NORTH, **changes: Any) -> Center:
    return replace(Center(institution_id, "PT" if institution_id == NORTH else "DE"), **changes)


def a_person(name: str, center: Center | None = None, **changes: Any) -> Person:
    person = Person(
        person_id=person_id(name),
        center=center or a_center(),
        version=1,
        changed_at=NOW - timedelta(days=10),
        time_zone="Europe/Lisbon",
        languages=("en",),
        hours=WEEKDAYS,
        consents=frozenset({"matching", "survivor_data"}),
    )
    return replace(person, **changes)


def a_mentee(name: str = "mia", person: Person | None = None, **changes: Any) -> Mentee:
    mentee = Mentee(person or a_person(name), goals=frozenset({"grant_writing"}))
    return replace(mentee, **changes)


def a_mentor(name: str = "max", person: Person | None = None, **changes: Any) -> Mentor:
    mentor = Mentor(
        person or a_person(name, a_center(SOUTH)), offers=frozenset({"grant_writing"}), seats=2
    )
    return replace(mentor, **changes)


def a_pair(mentee: Mentee | None = None, mentor: Mentor | None = None) -> Pair:
    return Pair(mentee or a_mentee(), mentor or a_mentor())


def a_programme(**changes: Any) -> Programme:
    return replace(Programme(PROGRAMME, weights=WEIGHTS), **changes)


def a_context(programme: Programme | None = None, **changes: Any) -> Context:
    return replace(Context(programme or a_programme(), NOW, TAXONOMY), **changes)


def mentee_with(**person: Any) -> Mentee:
    return a_mentee(person=replace(a_person("mia"), **person))


def mentor_with(**person: Any) -> Mentor:
    return a_mentor(person=replace(a_person("max", a_center(SOUTH)), **person))


def a_match(**changes: Any) -> Match:
    match = Match(
        match_id=derived_id("match", "mia and max"),
        programme_id=PROGRAMME,
        mentor=Party(person_id("max"), SOUTH, 1, clears_at=None),
        mentee=Party(person_id("mia"), NORTH, 1, clears_at=None),
        state=State.PROPOSED,
        clear_by=NOW + timedelta(hours=72),
        response_window=timedelta(hours=48),
    )
    return replace(match, **changes)
