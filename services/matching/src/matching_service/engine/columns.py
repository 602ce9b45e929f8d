"""One side's people as columns that the compiled rules ask: small integers and bits."""

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from functools import reduce
from math import gcd
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

import numpy as np
import numpy.typing as npt

from matching_service.domain import overlap
from matching_service.domain.pool import Context, Person
from matching_service.domain.rules.people import primary

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
LANGUAGES = 256
LANGUAGE_WORDS = LANGUAGES // 64
_FINEST = 15  # minutes; what all hours are multiples of, unless some are not
_LISTS = 6  # see Columns.lists
_ROOM = 64  # lines to begin with


class OutgrownError(Exception):
    """Somebody does not fit into the columns as they are laid out: build them anew."""


def granule(people: Iterable[Person], session_minutes: int) -> int:
    """Return the minutes that all weekly hours and the session are multiples of, 15 at most."""
    found = gcd(_FINEST, session_minutes)
    for hours in {person.hours for person in people}:
        found = reduce(gcd, (minute for _, *minutes in hours for minute in minutes), found)
    return found


class Columns(NamedTuple):
    """What the rules ask of the people of one side; each array has a row per person."""

    key: U64
    """[n, words]: center (low half) and lab + 1 (high half), languages, possible starts."""
    free: U64
    """[n, words]: free granules of the week."""
    changed: F64
    """[n]: when the profile changed, seconds since 1970."""
    unit: I32
    """[n]: the unit that somebody may evaluate, -1 for none."""
    person: I32
    """[n]: the person's number."""
    bounds: I64
    """[n, 7]: where the six lists begin and end in `lists`."""
    lists: I32
    """Sorted numbers: reporting lines, evaluated units, identity tokens, conflict tokens, people
    blocked, people met before."""


class Centers(NamedTuple):
    """What the rules ask of centers."""

    broken: U8
    """[mentee's center, mentor's center]: bits of `BETWEEN_CENTERS`."""
    later: U8
    """[center]: 1 where its own people come after all others (it prefers other centers)."""
    oldest: F64
    """[center]: when a profile must have changed at the earliest, seconds since 1970."""


class Numbers:
    """Numbers for names of any kind, as they come."""

    def __init__(self, most: int | None = None) -> None:
        """Number up to `most` names."""
        self._numbers: dict[Hashable, int] = {}
        self._most = most

    def __getitem__(self, name: Hashable) -> int:
        """Return the name's number, a new one if it has none.

        Raises:
            OutgrownError: there are more names than there is room for.
        """
        found = self._numbers.setdefault(name, len(self._numbers))
        if self._most is not None and found >= self._most:
            raise OutgrownError(f"more than {self._most} different ones, with {name!r}")
        return found

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[Any]:
        """Yield the names in the order of their numbers."""
        return iter(self._numbers)

    def sorted(self, names: Iterable[Hashable]) -> list[int]:
        """Return the names' numbers in order."""
        return sorted(self[name] for name in names)


class Lines:
    """One side's columns, a line for each person, with room to grow; and how to write a line."""

    def __init__(self, layout: "Layout") -> None:
        """Begin empty, laid out as the other side is."""
        self._layout = layout
        words = 1 + LANGUAGE_WORDS + layout.words
        self._key = np.zeros((_ROOM, words), np.uint64)
        self._free = np.zeros((_ROOM, layout.words), np.uint64)
        self._changed = np.zeros(_ROOM)
        self._unit = np.full(_ROOM, -1, np.int32)
        self._person = np.full(_ROOM, -1, np.int32)
        self._bounds = np.zeros((_ROOM, _LISTS + 1), np.int64)
        self._lists = np.zeros(_ROOM, np.int32)
        self._listed = 0

    @property
    def columns(self) -> Columns:
        """The arrays as they are now; a later line may replace them."""
        return Columns(
            self._key, self._free, self._changed, self._unit, self._person, self._bounds,
            self._lists,
        )  # fmt: skip

    def write(self, line: int, person: Person, met_before: Collection[UUID] = ()) -> None:
        """Write a person's line.

        Raises:
            OutgrownError: the layout has no room for what the person has.
        """
        layout = self._layout
        starts, free = layout.hours(person)
        key = [layout.centers[person.center.institution_id], *layout.languages_of(person), *starts]
        if person.lab_key is not None:
            key[0] |= layout.labs[person.lab_key] + 1 << 32
        lists = (
            layout.lines.sorted(person.reporting_line_keys),
            layout.units.sorted(person.evaluated_unit_keys),
            layout.tokens.sorted(person.identity_tokens),
            layout.tokens.sorted(person.conflict_tokens),
            layout.people.sorted(person.blocked_person_ids),
            layout.people.sorted(met_before),
        )
        length = sum(map(len, lists))
        self._make_room(line + 1)
        begin, self._listed, (self._lists,) = stretch(
            self._bounds, line, length, self._listed, (self._lists,)
        )
        ends = begin + np.cumsum([0, *map(len, lists)])
        self._key[line] = np.array(key, np.uint64)
        self._free[line] = np.array(free, np.uint64)
        self._changed[line] = person.changed_at.timestamp()
        self._unit[line] = -1 if person.unit_key is None else layout.units[person.unit_key]
        self._person[line] = layout.people[person.person_id]
        self._bounds[line] = ends
        self._lists[begin : ends[-1]] = [number for one in lists for number in one]

    def forget(self, line: int) -> None:
        """Let others have what room a line took."""
        self._bounds[line] = 0

    def _make_room(self, lines: int) -> None:
        for name in ("_key", "_free", "_changed", "_unit", "_person", "_bounds"):
            setattr(self, name, roomy(getattr(self, name), lines))


A = TypeVar("A", bound=npt.NDArray[Any])


def roomy(array: A, wanted: int) -> A:
    """Return an array with room for `wanted` rows: itself, or a copy twice as long."""
    if len(array) >= wanted:
        return array
    grown = np.zeros((max(wanted, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return cast("A", grown)


def stretch(
    bounds: I64, line: int, length: int, used: int, arrays: Sequence[Array]
) -> tuple[int, int, Sequence[Array]]:
    """Return where a line's stretch of these arrays begins, how much of them is used then, and them.

    It is where the line's old one is if it fits in there, and else behind all others. Full arrays
    are left for new ones, which have what lines still hold (`bounds`: each line's first number is
    where it begins, the last where it ends) and as much room again. So they never have more than
    about twice what was held at once, whoever comes and goes.
    """
    begin, end = bounds[line, 0], bounds[line, -1]
    if length <= end - begin:
        return int(begin), used, arrays
    bounds[line] = 0
    if used + length > len(arrays[0]):
        lengths = bounds[:, -1] - bounds[:, 0]
        ends = np.cumsum(lengths)
        used = int(ends[-1])
        further = ends - lengths - bounds[:, 0]
        which = np.arange(used) - np.repeat(further, lengths)
        bounds += further[:, None]
        arrays = [_moved(array, which, max(_ROOM, 2 * (used + length))) for array in arrays]
    return used, used + length, arrays


def _moved(array: Array, which: I64, size: int) -> Array:
    found = np.zeros(size, array.dtype)
    found[: len(which)] = array[which]
    return found


class Layout:
    """What both sides' columns share: the numbers of names, the week and its granules."""

    def __init__(self, context: Context, granule: int) -> None:
        """Lay out the week of the context's instant in granules of so many minutes."""
        self._context = context
        self._granule = granule
        self._week = overlap.week_of(context.now)
        self._hours: dict[tuple[overlap.Hours, str], tuple[list[int], list[int]]] = {}
        self.words = -(-overlap.WEEK // granule // 64)
        self.people, self.tokens, self.labs = Numbers(), Numbers(), Numbers()
        self.lines, self.units, self.centers = Numbers(), Numbers(), Numbers()
        self._languages = Numbers(LANGUAGES)

    def languages_of(self, person: Person) -> list[int]:
        """Return the words that have a bit for each primary language."""
        bits = 0
        for language in primary(person.languages):
            bits |= 1 << self._languages[language]
        return _words(bits, LANGUAGE_WORDS)

    def hours(self, person: Person) -> tuple[list[int], list[int]]:
        """Return the words of (possible starts of a session, free granules) in the week.

        Two people have a stretch as long as a session in common exactly if they have a possible
        start in common: the later of two stretches' beginnings is one for both, and it is a
        granule, since all that begins and ends does so on granules.
        """
        asked = person.hours, person.time_zone
        if asked not in self._hours:
            self._hours[asked] = self._laid_out(*asked)
        return self._hours[asked]

    def _laid_out(self, hours: overlap.Hours, time_zone: str) -> tuple[list[int], list[int]]:
        session = self._context.programme.session_minutes
        starts = free = 0
        for begin, end in overlap.laid_out(hours, time_zone, self._week):
            if begin % self._granule or end % self._granule:
                raise OutgrownError(f"hours that are not on {self._granule} minutes")
            free |= self._bits(begin, min(end, overlap.WEEK))
            starts |= self._bits(begin, min(end - session + self._granule, overlap.WEEK))
        return _words(starts, self.words), _words(free, self.words)

    def _bits(self, begin: int, end: int) -> int:
        count = max(0, end - begin) // self._granule
        return ((1 << count) - 1) << begin // self._granule


def _words(bits: int, count: int) -> list[int]:
    return [bits >> 64 * word & 0xFFFFFFFFFFFFFFFF for word in range(count)]
