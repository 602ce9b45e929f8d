"""A recorded pool: the auditor's sheet laid out again, to be matched under other weights or terms.

Nothing but what `certificate.sheet` wrote is needed: no profiles, no database. What the programme did
not weigh was not recorded and cannot be weighed now.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import numpy as np

from matching_service.engine import checks, scan
from matching_service.engine.cohort import Cohort
from matching_service.engine.columns import F64, I32, I64, U64, Centers, Columns
from matching_service.engine.lanes import LANES
from matching_service.engine.patterns import Patterns
from matching_service.engine.stable import Views
from matching_service.engine.verify import LISTS, Sheet, pool_hash

Weights = list[tuple[str, float, float]]


class RecordError(ValueError):
    """What was recorded cannot be used so; the text says why and what to do."""


class Recorded:
    """A recorded pool; it can be matched as a `Pool` can, and not be changed."""

    def __init__(
        self, of: Sheet, certificate: Mapping[str, Any], other: Mapping[str, float] | None = None
    ) -> None:
        """Lay a sheet out.

        Args:
            of: the sheet, see `certificate.sheet`.
            certificate: who the people on it are, and how they were weighed.
            other: criterion: what it weighs now, for both sides.

        Raises:
            RecordError: sheet and certificate do not belong together; a weight cannot be used.
        """
        names = all(of[name].tolist() == certificate[name] for name in ("centers", "criteria"))
        if not names or pool_hash(of) != certificate["pool"]:
            raise RecordError(
                "the pool is not the one of this certificate: give the two files of one round"
            )
        self.weights = _weights(certificate, other or {})
        self._of = of
        self._ids = [[UUID(one) for one in certificate[side]] for side in ("mentees", "mentors")]
        self.centers: dict[str, int] = {name: n for n, name in enumerate(certificate["centers"])}
        self._patterns = Patterns(self.weights, float(of["plenty"][0]))
        self._mentors, self._lines = self._lay_mentors()
        self._mentees = self._lay_mentees()
        self._at = np.full(len(self._mentors.lot), -1, np.int64)
        self._at[self._lines] = np.arange(len(self._lines))

    @property
    def market(self) -> scan.Market:
        """Both sides, and what decides between them."""
        of = self._of
        where = Centers(of["center_refuses"], of["center_prefers_others"], of["center_oldest"])
        return scan.Market(self._mentees, self._mentors, self._patterns.scale, where)

    @property
    def views(self) -> Views:
        """The market as each side sees it alone."""
        ours, theirs = (self._patterns.of_one_side(side) for side in (scan.LEFT, scan.RIGHT))
        return Views(self.market._replace(scale=ours), self.market._replace(scale=theirs))

    def cohort(self, incumbents: Iterable[tuple[UUID, UUID]] = ()) -> Cohort:
        """Return who takes part: everybody; who was together then is so now if nobody is given."""
        of = self._of
        together = of["incumbent_mentee"], of["incumbent_mentor"]
        given = list(incumbents)
        if given:
            ours, theirs = ({who: n for n, who in enumerate(side)} for side in self._ids)
            pairs = sorted({(ours[j], theirs[i]) for j, i in given if j in ours and i in theirs})
            both = np.array(pairs, np.int64).reshape(-1, 2)
            together = both[:, 0], both[:, 1]
        mentees = np.arange(len(self._ids[0]))
        return Cohort(self.market, mentees, self._lines, of["wanted"], of["seats"], together)

    def best_lines(self, lines: I64, k: int) -> tuple[F64, I32]:
        """Return (keys, mentors' lines), both [len(lines), k], see `Pool.best_lines`."""
        return scan.best_lines(self.market, lines, k)

    def mentee_at(self, line: int) -> UUID:
        """Return the mentee on a line."""
        return self._ids[0][line]

    def mentor_at(self, line: int) -> UUID:
        """Return the mentor on a line."""
        return self._ids[1][int(self._at[line])]

    def _lay_mentees(self) -> scan.Mentees:
        of, weights = self._of, np.array([[u, v] for _, u, v in self.weights], float)
        begin = of["term_begin"]
        count, late = len(begin) - 1, int(of["hours_criterion"][0])
        weight = weights[of["feature_criterion"][of["term_feature"]]].reshape(-1, 2)
        readable = of["mentee_readable"]
        hours = np.zeros((count, 2), np.float32)
        if late >= 0:
            hours[:] = np.where(readable[:, None] >> late & 1, weights[late], 0)
        return scan.Mentees(
            _columns(of, "mentee", np.arange(count), count),
            np.stack([begin[:-1], begin[1:]], 1).astype(np.int64),
            of["term_feature"].astype(np.uint32),
            (weight[:, 0] * of["term_mentee"]).astype(np.float32),
            (weight[:, 1] * of["term_mentor"]).astype(np.float32),
            hours,
            np.array([self._patterns.of_mentee(bits) for bits in readable.tolist()], np.int32),
            of["mentee_lot"],
            np.ones(count, np.uint8),
        )

    def _lay_mentors(self) -> tuple[scan.Mentors, I64]:
        """Return the mentors' side, in blocks of one pattern each, and everybody's line."""
        of = self._of
        numbers = np.array(
            [self._patterns.of_mentor(bits) for bits in of["mentor_readable"].tolist()], np.int64
        )
        lines, blocks = np.empty(len(numbers), np.int64), 0
        pattern: list[int] = []
        for number in range(int(numbers.max(initial=-1)) + 1):
            who = np.flatnonzero(numbers == number)
            lines[who] = blocks * LANES + np.arange(len(who))
            pattern += [number] * (-(-len(who) // LANES))
            blocks = len(pattern)
        size, features = blocks * LANES, of["mentor_features"]
        tiles = np.zeros((blocks, max(1, features.shape[1]), LANES), np.float32)
        tiles[lines // LANES, : features.shape[1], lines % LANES] = features
        is_open = np.zeros(blocks, np.uint64)
        bit = np.uint64(1) << (lines % LANES).astype(np.uint64)
        np.bitwise_or.at(is_open, lines // LANES, bit)
        lots = np.zeros(size, np.uint64)
        lots[lines] = of["mentor_lot"]
        columns = _columns(of, "mentor", lines, size)
        return scan.Mentors(columns, tiles, is_open, np.array(pattern, np.int32), lots), lines


def _weights(certificate: Mapping[str, Any], other: Mapping[str, float]) -> Weights:
    names = certificate["criteria"]
    for name, weight in other.items():
        if name not in names:
            raise RecordError(
                f"{name} was not weighed, so it was not recorded: there are {', '.join(names)}"
            )
        for complaint in checks.of_weight(name, weight):
            raise RecordError(complaint)
    both = zip(names, certificate["weights"], strict=True)
    found = [(name, *((other[name],) * 2 if name in other else (u, v))) for name, (u, v) in both]
    for name, *sides in found:
        old = certificate["weights"][names.index(name)]
        if any(now > 0 and was == 0 for now, was in zip(sides, old, strict=True)):
            raise RecordError(
                f"{name} did not count for one side, so what it sees was not recorded"
            )
    return found


def _columns(of: Sheet, side: str, lines: I64, size: int) -> Columns:
    """Return what the rules ask of one side's people, each on their line."""

    def placed(values: Any, empty: Any) -> Any:
        found = np.full((size, *values.shape[1:]), empty, values.dtype)
        found[lines] = values
        return found

    lab = (of[f"{side}_lab"] + 1).astype(np.uint64) << np.uint64(32)
    place: U64 = of[f"{side}_center"].astype(np.uint64) | lab
    key = np.hstack([place[:, None], of[f"{side}_languages"], of[f"{side}_starts"]])
    bounds, lists = _lists(of, side)
    return Columns(
        placed(key, 0),
        placed(of[f"{side}_free"], 0),
        placed(of[f"{side}_changed"], 0.0),
        placed(of[f"{side}_unit"], -1),
        placed(of[f"{side}_person"], -1),
        placed(bounds, 0),
        lists,
    )


def _lists(of: Sheet, side: str) -> tuple[I64, I32]:
    """Return each person's six lists one after the other, and where they begin and end."""
    begins = np.stack([of[f"{side}_{name}_begin"] for name in LISTS], 1)
    lengths = np.diff(begins, axis=0)
    ends = np.cumsum(lengths.ravel()).reshape(lengths.shape)
    bounds = np.hstack([(ends - lengths)[:, :1], ends]).astype(np.int64)
    lists = np.zeros(max(1, int(lengths.sum())), np.int32)
    for n, name in enumerate(LISTS):
        count = lengths[:, n]
        nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        lists[np.repeat(bounds[:, n], count) + nth] = of[f"{side}_{name}"]
    return bounds, lists
