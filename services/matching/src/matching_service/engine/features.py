"""The soft score as sums over features, so that one short loop scores many mentors at once.

Every criterion but availability gives a view of a pair as

    view = sum over the mentee's features f of x(f) * F(f, mentor)

where a mentee has few features and a mentor a value for each. Two kinds make all criteria:

    bag      codes with their ancestors. The mentee's view: x is a code's share of what the mentee
             has, F is 1 where the mentor has the code. The mentor's view: x is 1, F the share.
    table    any function of one value of each side, such as two career stages: a feature is a value
             that some mentee has, F the function of it and the mentor's value.

Tables call the criterion itself, so they can't drift from it. Availability is a count of bits; it
is worked out last, for the few pairs that it can still lift over what has been found.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matching_service.domain.criteria import CRITERIA
from matching_service.domain.pool import Context, Mentee, Mentor
from matching_service.domain.score import weights
from matching_service.domain.taxonomy import shares
from matching_service.engine.kinds import BAGS, TABLES, Seen
from matching_service.engine.patterns import LATE


@dataclass(frozen=True, slots=True)
class Fresh:
    """A feature of a table that is new: its value for each number of a mentor's value."""

    table: str
    row: int
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Terms:
    """A mentee's features: what a mentor's values are multiplied with, for each side's gain.

    `pattern` has bit c where the c-th weighted criterion can be read on the mentee's side;
    `late_mentee` and `late_mentor` are the weights of availability, 0 where it is not weighed.
    """

    rows: Sequence[int]
    mentee: Sequence[float]
    mentor: Sequence[float]
    pattern: int
    late_mentee: float
    late_mentor: float
    fresh: Sequence[Fresh]


@dataclass(frozen=True, slots=True)
class Column:
    """A mentor's values: `values[n]` of the feature `rows[n]`, 0 of all others.

    `numbers` has the number of the mentor's value in each table.
    """

    rows: Sequence[int]
    values: Sequence[float]
    pattern: int
    numbers: Mapping[str, int]


class Features:
    """The features of a programme's pool: they are numbered as they come."""

    def __init__(self, context: Context) -> None:
        """Score as the programme weighs, at the context's vocabularies."""
        self._context = context
        self._weights = [one for one in weights(context) if one[0] in CRITERIA]
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._tables = {n: Seen(n, context) for n, *_ in self._weights if n in TABLES}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._numbers)

    @property
    def criteria(self) -> Sequence[int]:
        """The criterion of each feature, as its place among those that are weighed."""
        places = {name: place for place, (name, *_) in enumerate(self._weights)}
        return [places[name] for name, *_ in self._numbers]

    @property
    def weights(self) -> Sequence[tuple[str, float, float]]:
        """(criterion, its weight for the mentee, for the mentor) of all that are weighed."""
        return self._weights

    @property
    def tables(self) -> Sequence[str]:
        """The tables that are weighed."""
        return list(self._tables)

    def terms(self, mentee: Mentee) -> Terms:
        """Return what a mentee is scored with; it may bring new features.

        A new feature of a table is told as `fresh`: every mentor has a value of it.
        """
        found: dict[int, tuple[float, float]] = {}
        fresh: list[Fresh] = []
        pattern = 0
        late = (0.0, 0.0)
        for bit, (name, u, v) in enumerate(self._weights):
            if name == LATE:
                if mentee.person.hours:
                    pattern |= 1 << bit
                    late = (u, v)
            elif name in BAGS:
                codes = BAGS[name].mentee(mentee)
                pattern |= bool(codes) << bit
                found |= self._bag_terms(name, codes, u, v)
            elif (number := self._tables[name].mentee(mentee)) is not None:
                pattern |= 1 << bit
                by_mentee, by_mentor = self._of_value(name, number, fresh)
                found |= _two(by_mentee, (u, 0.0), by_mentor, (0.0, v), (u, v))
        left, right = [ours for ours, _ in found.values()], [theirs for _, theirs in found.values()]
        return Terms(list(found), left, right, pattern, *late, fresh)

    def column(self, mentor: Mentor) -> Column:
        """Return a mentor's values of all features that there are."""
        found: dict[int, float] = {}
        numbers: dict[str, int] = {}
        pattern = 0
        for bit, (name, *_) in enumerate(self._weights):
            if name == LATE:
                pattern |= bool(mentor.person.hours) << bit
            elif name in BAGS:
                codes = BAGS[name].mentor(mentor)
                pattern |= bool(codes) << bit
                found |= self._bag_column(name, codes)
            elif (number := self._tables[name].mentor(mentor)) is not None:
                pattern |= 1 << bit
                numbers[name] = number
                seen = self._tables[name]
                views = seen.views_of_mentor(number)
                for (by_mentee, by_mentor), (a, b) in zip(seen.features, views, strict=True):
                    found |= {by_mentor: b, by_mentee: a}
        return Column(list(found), list(found.values()), pattern, numbers)

    def _bag_terms(
        self, name: str, codes: Collection[str], u: float, v: float
    ) -> dict[int, tuple[float, float]]:
        bag = BAGS[name]
        # In an order of its own, whoever came first: a score is the same number then, bit by bit.
        own = dict(sorted(shares(codes, bag.tree(self._context.taxonomy)).items()))
        if bag.one_view:
            return {self._number(name, "has", c): (u * x, v * x) for c, x in own.items()}
        found = {self._number(name, "has", code): (u * share, 0.0) for code, share in own.items()}
        return found | {self._number(name, "share", code): (0.0, v) for code in own}

    def _bag_column(self, name: str, codes: Collection[str]) -> dict[int, float]:
        bag = BAGS[name]
        own = shares(codes, bag.tree(self._context.taxonomy))
        found = {self._number(name, "has", code): 1.0 for code in own}
        if not bag.one_view:
            found |= {self._number(name, "share", code): x for code, x in own.items()}
        return found

    def _of_value(self, name: str, number: int, fresh: list[Fresh]) -> tuple[int, int]:
        """Return a table's features of a mentee's value, and add them to `fresh` if they are new."""
        seen = self._tables[name]
        if number == len(seen.features):
            first = self._number(name, number, "mentee's view")
            second = first if TABLES[name].one_view else self._number(name, number, "mentor's view")
            seen.features.append((first, second))
            views = seen.views_of_mentee(number)
            fresh.append(Fresh(name, first, [a for a, _ in views]))
            if second != first:
                fresh.append(Fresh(name, second, [b for _, b in views]))
        return seen.features[number]

    def _number(self, *key: Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def _two(
    first: int, ours: tuple[float, float], second: int, theirs: tuple[float, float],
    both: tuple[float, float],
) -> dict[int, tuple[float, float]]:  # fmt: skip
    return {first: both} if first == second else {first: ours, second: theirs}
