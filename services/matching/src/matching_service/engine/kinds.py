"""The two kinds of criteria that the engine adds up: bags of codes, and tables of values."""

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass

from matching_service.domain.criteria import CRITERIA
from matching_service.domain.pool import Context, Mentee, Mentor, Pair
from matching_service.domain.taxonomy import FLAT, Taxonomy, Tree
from matching_service.engine.columns import Numbers

Side = Mentee | Mentor


@dataclass(frozen=True, slots=True)
class Bag:
    """A criterion about codes."""

    mentee: Callable[[Mentee], Collection[str]]
    mentor: Callable[[Mentor], Collection[str]]
    tree: Callable[[Taxonomy], Tree]
    one_view: bool = False
    """Both sides look at it as the mentee does."""


@dataclass(frozen=True, slots=True)
class Table:
    """A criterion that looks at one value of each side; None where there is none."""

    mentee: Callable[[Mentee, Context], Hashable]
    mentor: Callable[[Mentor, Context], Hashable]
    one_view: bool = True


BAGS: Mapping[str, Bag] = {
    "goals": Bag(lambda m: m.goals, lambda m: m.offers, lambda t: t.goals, one_view=True),
    "topics": Bag(lambda m: m.person.topics, lambda m: m.person.topics, lambda t: t.topics),
    "methods": Bag(lambda m: m.person.methods, lambda m: m.person.methods, lambda t: t.methods),
    "communication_style": Bag(
        lambda m: m.person.communication_styles, lambda m: m.person.communication_styles,
        lambda _: FLAT,
    ),
}  # fmt: skip


def _survivor(name: str) -> Table:
    def value(side: Side, context: Context) -> Hashable:
        return _declared(side, context, name)

    return Table(value, value)


def _declared(side: Side, context: Context, name: str) -> Hashable:
    survivor = side.person.survivor if context.programme.survivor_lane else None
    return (getattr(survivor, name) or None) if survivor else None


def _age_band(side: Side, context: Context) -> Hashable:
    band = _declared(side, context, "age_band")
    return band if band in context.taxonomy.age_bands else None


def _stage(side: Side, context: Context) -> Hashable:
    stage = side.person.career_stage
    return stage if stage in context.taxonomy.career_stages else None


TABLES: Mapping[str, Table] = {
    "career_stage": Table(_stage, _stage, one_view=False),
    "modality": Table(lambda m, _: m.person.modalities or None, lambda m, _: m.person.modalities or None),
    "urgency": Table(
        lambda m, _: m.urgency if m.urgency in {"now", "soon"} else None,
        lambda m, _: (m.seats_free, m.seats),
    ),
    "cancer_type": _survivor("cancer_type"),
    "treatments": _survivor("treatments"),
    "age_band": Table(_age_band, _age_band),
    "concerns": _survivor("concerns"),
    "family_situation": _survivor("family_situation"),
}  # fmt: skip


class Seen:
    """The values of a table so far, both sides', and what it gives for two of them."""

    def __init__(self, name: str, context: Context) -> None:
        self.name = name
        self.features: list[tuple[int, int]] = []
        """Of each mentee's value: the features of (the mentee's view, the mentor's view)."""
        self._context = context
        self._mentees, self._mentors = Numbers(), Numbers()
        self._mentee_examples: list[Mentee] = []
        self._mentor_examples: list[Mentor] = []
        self._columns: list[list[tuple[float, float]]] = []

    def mentee(self, mentee: Mentee) -> int | None:
        """Return the number of a mentee's value; None for no value."""
        value = TABLES[self.name].mentee(mentee, self._context)
        if value is None:
            return None
        number = self._mentees[value]
        if number == len(self._mentee_examples):
            self._mentee_examples.append(mentee)
        return number

    def mentor(self, mentor: Mentor) -> int | None:
        """Return the number of a mentor's value; None for no value."""
        value = TABLES[self.name].mentor(mentor, self._context)
        if value is None:
            return None
        number = self._mentors[value]
        if number == len(self._mentor_examples):
            self._mentor_examples.append(mentor)
            self._columns.append([])
        return number

    def views_of_mentee(self, number: int) -> list[tuple[float, float]]:
        """Return both views of a mentee's value, mentor's value after mentor's value."""
        mentee = self._mentee_examples[number]
        return [self._views(mentee, mentor) for mentor in self._mentor_examples]

    def views_of_mentor(self, number: int) -> list[tuple[float, float]]:
        """Return both views of a mentor's value, mentee's value after mentee's value."""
        column, mentor = self._columns[number], self._mentor_examples[number]
        for mentee in self._mentee_examples[len(column) :]:
            column.append(self._views(mentee, mentor))
        return column

    def _views(self, mentee: Mentee, mentor: Mentor) -> tuple[float, float]:
        views = CRITERIA[self.name](Pair(mentee, mentor), self._context).views
        return (views.mentee, views.mentor) if views else (0.0, 0.0)
