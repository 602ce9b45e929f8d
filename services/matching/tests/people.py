"""Random people for the engine's tests, seeded: some of every kind, many of whom break rules."""

import random
from datetime import timedelta
from typing import Any, TypeVar

from services.matching.tests.builders import a_context, a_programme, person_id

from matching_service.domain.criteria import CRITERIA
from matching_service.domain.pool import (
    Center,
    Context,
    Mentee,
    Mentor,
    Person,
    Survivor,
    Training,
)
from testkit.plugin import NOW

T = TypeVar("T")
ZONES = ("Europe/Lisbon", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Nowhere/Zone")
TREATMENTS = ("surgery", "chemotherapy", "radiation", "car_t")


class People:
    """People of one seed; two of equal seed make the same ones."""

    def __init__(self, seed: int, *, kind: str = "research") -> None:
        self.random = random.Random(seed)  # noqa: S311 - for tests
        self.kind = kind
        self.harm = self.random.choice([0.02, 0.15])  # how often anything stands in the way
        self.centers = [self._center(number) for number in range(5)]

    def context(self) -> Context:
        names = self.random.sample(sorted(CRITERIA), self.random.randint(0, len(CRITERIA)))
        programme = a_programme(
            kind=self.kind,
            mode=self.random.choice(["open", "round", "choose"]),
            weights=tuple((name, self.random.choice([0.0, 0.1, 0.5])) for name in names),
            mentor_weights=tuple(
                (name, self.random.choice([0.0, 0.3])) for name in names if self.maybe(0.3)
            ),
            session_minutes=self.random.choice([30, 60]),
            participants=self.random.choice([None, None, frozenset({"c0", "c1", "c2", "c3"})]),
            protected_minutes_month=self.random.choice([0, 60]),
            required_training=self.random.choice([(), ("mentoring",)]),
        )
        return a_context(programme)

    def maybe(self, share: float) -> bool:
        return self.random.random() < share

    def some(self, of: tuple[T, ...], most: int = 3) -> frozenset[T]:
        return frozenset(self.random.sample(of, self.random.randint(0, min(most, len(of)))))

    def rarely(self, of: tuple[T, ...]) -> frozenset[T]:
        return self.some(of, 2) if self.maybe(2 * self.harm) else frozenset()

    def mentee(self, name: str) -> Mentee:
        return Mentee(
            self.person(name),
            goals=self.some(("grant_writing", "publishing", "team_leadership")),
            urgency=self.random.choice(["whenever", "soon", "now"]),
            met_before=self._others("mentor"),
        )

    def mentor(self, name: str) -> Mentor:
        return Mentor(
            self.person(name),
            offers=self.some(("grant_writing", "publishing", "team_leadership")),
            seats=self.random.randint(1, 3),
            seats_taken=self.random.choice([0, 0, 1]),
            minutes_left=self.random.choice([None, 30]) if self.maybe(self.harm) else 60,
        )

    def person(self, name: str) -> Person:
        r = self.random
        return Person(
            person_id=person_id("both sides" if self.maybe(self.harm / 4) else name),
            center=r.choice(self.centers),
            version=1,
            changed_at=NOW - timedelta(days=r.randint(0, 100)),
            time_zone=ZONES[4] if self.maybe(self.harm) else r.choice(ZONES[:4]),
            languages=("de",) if self.maybe(self.harm) else r.choice([("en",), ("en", "pt-BR"), ("pt-PT", "en")]),
            active=not self.maybe(self.harm),
            hours=self._hours(),
            career_stage=r.choice([None, "trainee", "fellow", "senior", "unheard_of"]),
            modalities=self.some(("virtual", "phone", "in_person")),
            communication_styles=self.some(("direct", "listening", "structured")),
            topics=self.some(("lung", "breast", "mesothelioma", "immunotherapy", "unheard_of")),
            methods=self.some(("clinical_trial", "single_cell")),
            unit_key=r.choice([None, "unit-1", "unit-2"]),
            lab_key=r.choice(["lab-1", "lab-2"]) if self.maybe(2 * self.harm) else None,
            reporting_line_keys=self.rarely(("line-1", "line-2")) | {f"line-{r.randint(3, 99)}"},
            evaluated_unit_keys=self.rarely(("unit-1", "unit-2")),
            blocked_person_ids=self._others("mentor") | self._others("mentee"),
            identity_tokens=self.rarely(("t1", "t2", "t3")),
            conflict_tokens=self.rarely(("t1", "t2", "t3")),
            training=self._training(),
            consents=frozenset({"matching"} if self.maybe(self.harm) else {"matching", "survivor_data"}),
            survivor=self._survivor(),
        )  # fmt: skip

    def _center(self, number: int) -> Center:
        r = self.random
        return Center(
            f"c{number}",
            r.choice(["PT", "DE"]),
            active=not self.maybe(self.harm),
            cross_institution=r.choice(["preferred", "required", "any"]),
            partners_refused=self.rarely(("c0", "c1")),
            jurisdictions_allowed=self.rarely(("PT", "DE", "US")) or None,
            survivor_lane=not self.maybe(self.harm),
            max_profile_age=timedelta(days=95) if self.maybe(0.3) else None,
        )

    def _hours(self) -> Any:
        r = self.random
        if self.maybe(self.harm):
            return ()
        count = r.randint(1, 6)
        starts = [(r.randint(1, 7), r.randrange(0, 1380, r.choice([15, 60]))) for _ in range(count)]
        return tuple(
            (day, at, min(1440, at + r.choice([30, 60, 240, 600, 900]))) for day, at in starts
        )

    def _others(self, side: str) -> frozenset[Any]:
        if not self.maybe(self.harm):
            return frozenset()
        return frozenset(person_id(f"{side} {self.random.randint(0, 9)}") for _ in range(2))

    def _training(self) -> tuple[Training, ...]:
        if self.maybe(self.harm):
            return ()
        until = NOW.date() - timedelta(days=1) if self.maybe(self.harm) else None
        return (Training("mentoring", NOW.date() - timedelta(days=50), until),)

    def _survivor(self) -> Survivor | None:
        if self.kind != "survivorship" or self.maybe(self.harm):
            return None
        r = self.random
        return Survivor(
            r.choice(["LUAD", "LUSC", "IDC", "GB", "SCLC"]),
            treatments=self.some(TREATMENTS),
            age_band=r.choice([None, "20-29", "30-39", "50-59", "unheard"]),
            years_since_treatment=r.choice([None, 0.5]) if self.maybe(self.harm) else 4.0,
            family_situation=self.some(("single", "partnered", "young_children")),
            concerns=self.some(("fatigue", "sleep", "fertility")),
            ready=not self.maybe(self.harm),
        )


Sides = tuple[list[Mentee], list[Mentor]]


def a_pool_of(seed: int, mentees: int = 6, mentors: int = 6) -> tuple[Context, Sides, Sides]:
    """Return the context people are judged in, who they are, and who they were before."""
    people = People(seed, kind=("research", "survivorship")[seed % 2])
    context = people.context()

    def sides() -> Sides:
        ours = [people.mentee(f"mentee {n}") for n in range(mentees)]
        theirs = [people.mentor(f"mentor {n}") for n in range(mentors)]
        return (
            list({m.person.person_id: m for m in ours}.values()),
            list({m.person.person_id: m for m in theirs}.values()),
        )

    before, now = sides(), sides()
    return context, now, before
