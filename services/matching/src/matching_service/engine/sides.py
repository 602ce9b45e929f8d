"""The two sides of a pool: who is on which line, and their lines in the arrays of the scan."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from matching_service.domain.pool import Context, Mentee, Mentor
from matching_service.domain.rules.rule import Rule
from matching_service.engine import scan
from matching_service.engine.columns import I64, Layout, Lines, roomy, stretch
from matching_service.engine.features import Column, Features, Fresh
from matching_service.engine.lanes import LANES
from matching_service.engine.patterns import Patterns
from matching_service.engine.rules import LOW, alone
from matching_service.engine.verify import lot_of

_ROOM = 64


class Side:
    """What both sides have: people on lines, the columns of the rules, lots."""

    def __init__(self, context: Context, layout: Layout) -> None:
        """Begin with nobody."""
        self.lines: dict[UUID, int] = {}
        """The line of each person who is there."""
        self.ids: list[UUID] = []
        """The person of each line, or who was there last."""
        self.alone: dict[int, Sequence[Rule]] = {}
        """By line: the rules that somebody breaks whoever the other one is."""
        self.columns = Lines(layout)
        self._context = context
        self._lots = np.zeros(_ROOM, np.uint64)
        self.room = np.zeros(_ROOM, np.int32)
        """By line: how many mentors a mentee would like, or how many seats a mentor has."""

    @property
    def seed(self) -> str:
        """What lots are drawn from, with a person's id: it changes with the criteria."""
        programme = self._context.programme
        return f"{programme.programme_id}/{programme.criteria_version}"

    def center(self, line: int) -> int:
        """Return the number of the center of the person on a line."""
        return int(self.columns.columns.key[line, 0] & LOW)

    def takes_part(self) -> I64:
        """Return the lines of who breaks no rule alone, by lot: who comes first is nobody's choice."""
        lines = np.array([line for line, rules in self.alone.items() if not rules], np.int64)
        return lines[np.argsort(self._lots[lines], kind="stable")]

    def _forget(self, person_id: UUID) -> int:
        """Take a person from a line; return it."""
        line = self.lines.pop(person_id)
        del self.alone[line]
        self.columns.forget(line)
        return line

    def _seat(self, person_id: UUID, line: int, room: int) -> None:
        """Give a person a line."""
        self.lines[person_id] = line
        self.ids += [person_id] * (line + 1 - len(self.ids))
        self.ids[line] = person_id
        self._lots = roomy(self._lots, line + 1)
        self.room = roomy(self.room, line + 1)
        self.room[line] = room
        self._lots[line] = lot_of(self.seed, str(person_id))


class MenteeSide(Side):
    """The mentees, in any order."""

    def __init__(
        self, context: Context, layout: Layout, features: Features, patterns: Patterns
    ) -> None:
        """Begin with nobody."""
        super().__init__(context, layout)
        self._features, self._patterns = features, patterns
        self._free: list[int] = []
        self._terms = np.zeros((_ROOM, 2), np.int64)
        self._rows = np.zeros(_ROOM, np.uint32)
        self._left = np.zeros(_ROOM, np.float32)
        self._right = np.zeros(_ROOM, np.float32)
        self._late = np.zeros((_ROOM, 2), np.float32)
        self._pattern = np.zeros(_ROOM, np.int32)
        self._open = np.zeros(_ROOM, np.uint8)
        self._used = 0

    @property
    def arrays(self) -> scan.Mentees:
        """The arrays as they are now."""
        return scan.Mentees(
            self.columns.columns, self._terms, self._rows, self._left, self._right, self._late,
            self._pattern, self._lots, self._open,
        )  # fmt: skip

    def put(self, mentee: Mentee) -> Sequence[Fresh]:
        """Write a mentee's line; return the features that are new to the mentors."""
        person_id = mentee.person.person_id
        line = self.lines.get(person_id)
        if line is None:
            line = self._free.pop() if self._free else len(self.ids)
        self.columns.write(line, mentee.person, mentee.met_before)
        self._seat(person_id, line, mentee.wanted)
        self.alone[line] = alone(mentee, self._context)
        terms = self._features.terms(mentee)
        count = len(terms.rows)
        for name in ("_terms", "_late", "_pattern", "_open"):
            setattr(self, name, roomy(getattr(self, name), line + 1))
        begin, self._used, (self._rows, self._left, self._right) = stretch(
            self._terms, line, count, self._used, (self._rows, self._left, self._right)
        )
        own = slice(begin, begin + count)
        self._rows[own], self._left[own], self._right[own] = terms.rows, terms.mentee, terms.mentor
        self._terms[line] = begin, begin + count
        self._late[line] = terms.late_mentee, terms.late_mentor
        self._pattern[line] = self._patterns.of_mentee(terms.pattern)
        self._open[line] = not self.alone[line]
        return terms.fresh

    def drop(self, person_id: UUID) -> None:
        """Free a mentee's line."""
        line = self._forget(person_id)
        self._terms[line] = 0
        self._open[line] = 0
        self._free.append(line)


class MentorSide(Side):
    """The mentors, in blocks of those for whom the same criteria can be read."""

    def __init__(
        self, context: Context, layout: Layout, features: Features, patterns: Patterns
    ) -> None:
        """Begin with nobody."""
        super().__init__(context, layout)
        self._features, self._patterns = features, patterns
        self._tiles = np.zeros((1, _ROOM, LANES), np.float32)
        self._open = np.zeros(1, np.uint64)
        self._pattern = np.full(1, -1, np.int32)
        self._free: dict[int, list[int]] = {}
        self._blocks = 0
        self._numbers = {name: np.full(_ROOM, -1, np.int32) for name in features.tables}

    @property
    def arrays(self) -> scan.Mentors:
        """The arrays as they are now."""
        blocks = slice(self._blocks)
        return scan.Mentors(
            self.columns.columns, self._tiles[blocks], self._open[blocks], self._pattern[blocks],
            self._lots,
        )  # fmt: skip

    def put(self, mentor: Mentor) -> None:
        """Write a mentor's line."""
        person_id = mentor.person.person_id
        column = self._features.column(mentor)
        pattern = self._patterns.of_mentor(column.pattern)
        line = self.lines.get(person_id)
        if line is not None and self._pattern[line // LANES] != pattern:
            self.drop(person_id)
            line = None
        if line is None:
            line = self._a_free_line(pattern)
        self.columns.write(line, mentor.person)
        self._seat(person_id, line, mentor.room(self._context.programme.protected_minutes_month))
        self.alone[line] = alone(mentor, self._context)
        self._write(line, column)
        block, bit = line // LANES, np.uint64(1 << line % LANES)
        if self.alone[line]:
            self._open[block] &= ~bit
        else:
            self._open[block] |= bit

    def drop(self, person_id: UUID) -> None:
        """Free a mentor's line."""
        line = self._forget(person_id)
        block = line // LANES
        self._open[block] &= ~np.uint64(1 << line % LANES)
        self._free[int(self._pattern[block])].append(line)

    def fill(self, fresh: Fresh) -> None:
        """Give every mentor their value of a new feature."""
        numbers = self._numbers[fresh.table][: self._blocks * LANES]
        values = np.array([*fresh.values, 0.0], np.float32)  # the last is for no value, -1
        self._tiles[: self._blocks, fresh.row] = values[numbers].reshape(-1, LANES)

    def _write(self, line: int, column: Column) -> None:
        self.make_room()
        block, lane = divmod(line, LANES)
        self._tiles[block, :, lane] = 0
        self._tiles[block, column.rows, lane] = column.values
        for name, numbers in self._numbers.items():
            numbers[line] = column.numbers.get(name, -1)

    def _a_free_line(self, pattern: int) -> int:
        free = self._free.setdefault(pattern, [])
        if not free:
            block = self._blocks
            self._blocks += 1
            self._tiles = roomy(self._tiles, self._blocks)
            self._open, self._pattern = (
                roomy(self._open, block + 1),
                roomy(self._pattern, block + 1),
            )
            self._pattern[block] = pattern
            lines = range(block * LANES, self._blocks * LANES)
            for name, numbers in self._numbers.items():
                self._numbers[name] = roomy(numbers, lines.stop)
                self._numbers[name][lines.start : lines.stop] = -1
            free.extend(reversed(lines))
        return free.pop()

    def make_room(self) -> None:
        """Have a row for every feature there is: a mentee's terms are read without a look."""
        there, wanted = self._tiles.shape[1], len(self._features)
        if wanted > there:
            wider = np.zeros((len(self._tiles), max(wanted, 3 * there // 2), LANES), np.float32)
            wider[:, :there] = self._tiles
            self._tiles = wider
