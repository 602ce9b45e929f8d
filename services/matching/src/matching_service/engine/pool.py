"""A programme's people in memory, laid out for the scan; people come and go one at a time."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from matching_service.domain.criteria import PLENTY_OF_SESSIONS
from matching_service.domain.pool import Context, Mentee, Mentor, Pair, Person
from matching_service.domain.rules.rule import Rule
from matching_service.engine import checks, scan
from matching_service.engine.cohort import Cohort
from matching_service.engine.columns import F64, I32, I64, Centers, Layout, OutgrownError, granule
from matching_service.engine.features import Features
from matching_service.engine.patterns import Patterns
from matching_service.engine.rules import BETWEEN_CENTERS, BETWEEN_PEOPLE, broken
from matching_service.engine.sides import MenteeSide, MentorSide, Side
from matching_service.engine.stable import Views


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mentor for a mentee, or a mentee for a mentor, and the pair's score."""

    person_id: UUID
    score: float
    later: bool
    """Whether it comes after all others: a center that prefers other centers' people."""


class Pool:
    """The people of one programme at one instant of the rules' clock.

    Who breaks a rule whoever the other one is (no consent, no seat) is in it but is never a
    candidate. The week of common hours is that of `context.now`: build a new pool when the day
    changes. Not safe for threads that change it; scans use all processors by themselves.
    """

    def __init__(
        self, context: Context, mentees: Iterable[Mentee] = (), mentors: Iterable[Mentor] = ()
    ) -> None:
        """Lay everybody out, O(people log people); the order in which they are given is no matter.

        Raises:
            ValueError: a weight of the programme is none, is given twice or is of a criterion that
                there is not (one of a newer writer reads `UNKNOWN` and counts nothing); another
                number, of the programme or of somebody, is out of its range.
        """
        _refuse(checks.of_programme(context.programme))
        self.context = context
        mentees = sorted(mentees, key=lambda one: one.person.person_id)
        mentors = sorted(mentors, key=lambda one: one.person.person_id)
        people = [one.person for one in mentees] + [one.person for one in mentors]
        minutes = granule(people, context.programme.session_minutes)
        self._layout = Layout(context, minutes)
        self._features = Features(context)
        sessions = PLENTY_OF_SESSIONS * context.programme.session_minutes
        self._patterns = Patterns(self._features.weights, sessions / minutes)
        self._where = Where(context, self._layout)
        self._mentees = MenteeSide(context, self._layout, self._features, self._patterns)
        self._mentors = MentorSide(context, self._layout, self._features, self._patterns)
        for mentee in mentees:
            self.put_mentee(mentee)
        for mentor in mentors:
            self.put_mentor(mentor)

    @property
    def mentor_ids(self) -> Set[UUID]:
        """Who is there as a mentor."""
        return self._mentors.lines.keys()

    @property
    def mentee_ids(self) -> Set[UUID]:
        """Who is there as a mentee."""
        return self._mentees.lines.keys()

    def put_mentee(self, mentee: Mentee) -> None:
        """Take a mentee in, or as they are now.

        Raises:
            OutgrownError: they do not fit in as the pool is laid out: build a new one.
            ValueError: they want less than one mentor, or too many.
        """
        _refuse(checks.of_mentee(mentee))
        self._where.know(mentee.person)
        new = self._mentees.put(mentee)
        self._mentors.make_room()
        for fresh in new:
            self._mentors.fill(fresh)

    def put_mentor(self, mentor: Mentor) -> None:
        """Take a mentor in, or as they are now.

        Raises:
            OutgrownError: they do not fit in as the pool is laid out: build a new one.
            ValueError: they have less than no seat, or too many.
        """
        _refuse(checks.of_mentor(mentor))
        self._where.know(mentor.person)
        self._mentors.put(mentor)

    def drop_mentee(self, person_id: UUID) -> None:
        """Forget a mentee."""
        self._mentees.drop(person_id)

    def drop_mentor(self, person_id: UUID) -> None:
        """Forget a mentor."""
        self._mentors.drop(person_id)

    def best_mentors(self, mentee_ids: Sequence[UUID], k: int) -> list[list[Candidate]]:
        """Return each mentee's k best eligible mentors, the best first; exact.

        Raises:
            KeyError: somebody is not in the pool.
        """
        lines = np.array([self._mentees.lines[one] for one in mentee_ids], np.int64)
        keys, found = self.best_lines(lines, k)
        return [_candidates(self._mentors, *best) for best in zip(keys, found, strict=True)]

    def best_mentees(self, mentor_id: UUID, k: int) -> list[Candidate]:
        """Return the k mentees who fit a mentor best, the best first; exact.

        Raises:
            KeyError: the mentor is not in the pool.
            ValueError: k is below 1.
        """
        _refuse(checks.of_count(k))
        keys, found = np.empty(k), np.empty(k, np.int32)
        scan.best_mentees(self._mentors.lines[mentor_id], self.market, keys, found)
        return _candidates(self._mentees, keys, found)

    def best_lines(self, lines: I64, k: int) -> tuple[F64, I32]:
        """Return (keys, mentors' lines), both [len(lines), k], of the mentees on these lines.

        See `scan.best_mentors`. It runs on all processors and without the interpreter's lock.

        Raises:
            ValueError: k is below 1.
        """
        _refuse(checks.of_count(k))
        return scan.best_lines(self.market, lines, k)

    @property
    def market(self) -> scan.Market:
        """The arrays as they are now: both sides, and what decides between them."""
        return scan.Market(
            self._mentees.arrays, self._mentors.arrays, self._patterns.scale, self._where.centers
        )

    @property
    def seed(self) -> str:
        """What lots are drawn from, with each person's id."""
        return self._mentees.seed

    @property
    def views(self) -> Views:
        """The market as each side sees it alone."""
        ours, theirs = self._patterns.of_one_side(scan.LEFT), self._patterns.of_one_side(scan.RIGHT)
        return Views(self.market._replace(scale=ours), self.market._replace(scale=theirs))

    def cohort(self, incumbents: Iterable[tuple[UUID, UUID]] = ()) -> Cohort:
        """Return who takes part in a round: all who break no rule by themselves.

        Args:
            incumbents: (mentee, mentor) who are together now; who is not in the pool is left out.
        """
        mentees, mentors = self._mentees.takes_part(), self._mentors.takes_part()
        ours = {self._mentees.ids[line]: n for n, line in enumerate(mentees)}
        theirs = {self._mentors.ids[line]: n for n, line in enumerate(mentors)}
        known = [(ours[j], theirs[i]) for j, i in incumbents if j in ours and i in theirs]
        together = np.array(sorted(set(known)), np.int64).reshape(-1, 2)
        return Cohort(
            self.market, mentees, mentors, self._mentees.room[mentees], self._mentors.room[mentors],
            (together[:, 0], together[:, 1]),
        )  # fmt: skip

    def lines_of(self, mentee_id: UUID, mentor_id: UUID) -> tuple[int, int]:
        """Return the lines that two people are on.

        Raises:
            KeyError: one of them is not in the pool.
        """
        return self._mentees.lines[mentee_id], self._mentors.lines[mentor_id]

    def mentee_at(self, line: int) -> UUID:
        """Return the mentee on a line."""
        return self._mentees.ids[line]

    def mentor_at(self, line: int) -> UUID:
        """Return the mentor on a line."""
        return self._mentors.ids[line]

    @property
    def features(self) -> Features:
        """What the scores are made of."""
        return self._features

    @property
    def readable(self) -> tuple[list[int], list[int]]:
        """See `Patterns.readable`."""
        return self._patterns.readable

    @property
    def centers(self) -> Mapping[str, int]:
        """The number of each center."""
        return {name: self._layout.centers[name] for name in self._where.known}

    def broken(self, mentee_id: UUID, mentor_id: UUID) -> list[Rule]:
        """Return every rule that a pair in the pool breaks."""
        j, i = self._mentees.lines[mentee_id], self._mentors.lines[mentor_id]
        mentees, mentors = self._mentees.arrays.columns, self._mentors.arrays.columns
        between = broken(mentees, j, mentors, i, self._where.centers)
        here, there = self._mentees.center(j), self._mentors.center(i)
        apart = int(self._where.centers.broken[here, there])
        return [
            *self._mentees.alone[j],
            *self._mentors.alone[i],
            *(rule for bit, rule in enumerate(BETWEEN_CENTERS) if apart >> bit & 1),
            *(rule for bit, rule in enumerate(BETWEEN_PEOPLE) if between >> bit & 1),
        ]


def _refuse(complaints: Iterable[str]) -> None:
    for complaint in complaints:
        raise ValueError(complaint)


def _candidates(side: Side, keys: F64, found: I32) -> list[Candidate]:
    return [
        Candidate(side.ids[line], key % scan.FIRST, key < scan.FIRST)
        for key, line in zip(keys.tolist(), found.tolist(), strict=True)
        if line >= 0
    ]


class Where:
    """The centers of the pool's people, and what they allow with each other."""

    def __init__(self, context: Context, layout: Layout) -> None:
        """Begin with nobody."""
        self._context, self._layout = context, layout
        self.known: dict[str, Person] = {}
        """Somebody of each center."""
        self.centers = Centers(
            np.zeros((0, 0), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.float64)
        )

    def know(self, person: Person) -> None:
        """Have the person's center.

        Raises:
            OutgrownError: it allows something else now.
        """
        center = person.center
        known = self.known.setdefault(center.institution_id, person)
        if known.center != center:
            raise OutgrownError(f"{center.institution_id} has another policy now")
        if self._layout.centers[center.institution_id] == len(self.centers.later):
            self._lay_out()

    def _lay_out(self) -> None:
        people = list(self.known.values())
        now = self._context.now.timestamp()
        limits = [person.center.max_profile_age for person in people]
        self.centers = Centers(
            np.array([[self._bits(a, b) for b in people] for a in people], np.uint8),
            np.array([p.center.cross_institution == "preferred" for p in people], np.uint8),
            np.array([now - limit.total_seconds() if limit else -np.inf for limit in limits]),
        )

    def _bits(self, mentee: Person, mentor: Person) -> int:
        pair = Pair(Mentee(mentee), Mentor(mentor))
        rules = enumerate(BETWEEN_CENTERS)
        return sum(1 << bit for bit, rule in rules if not rule.holds(pair, self._context))
