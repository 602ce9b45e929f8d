"""The people, centers and programmes that a pair is judged from."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from matching_service.domain.overlap import Hours
from matching_service.domain.taxonomy import Taxonomy

OPEN_MODE = "open"
SURVIVORSHIP = "survivorship"
UNKNOWN = "unknown"
"""What a word of a newer writer reads as; whatever depends on it is not decided."""


@dataclass(frozen=True, slots=True)
class Center:
    """A member center and what it allows."""

    institution_id: str
    jurisdiction: str
    active: bool = True
    cross_institution: str = "preferred"
    partners_allowed: frozenset[str] | None = None
    partners_refused: frozenset[str] = frozenset()
    jurisdictions_allowed: frozenset[str] | None = None
    clearance: str = "manual"
    clearance_window: timedelta = timedelta(hours=72)
    survivor_lane: bool = False
    max_profile_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme as it stands now."""

    programme_id: str
    kind: str = "research"
    mode: str = OPEN_MODE
    active: bool = True
    participants: frozenset[str] | None = None
    session_minutes: int = 60
    mentor_capacity: int = 2
    protected_minutes_month: int = 0
    required_training: tuple[str, ...] = ()
    response_window: timedelta = timedelta(hours=72)
    min_years_past_treatment: int = 1
    weights: tuple[tuple[str, float], ...] = ()
    mentor_weights: tuple[tuple[str, float], ...] = ()
    """What counts otherwise in the mentor's view; the rest counts alike."""
    criteria_version: int = 1

    @property
    def survivor_lane(self) -> bool:
        """Whether its pairs are survivors, whose blocks are then needed."""
        return self.kind == SURVIVORSHIP


@dataclass(frozen=True, slots=True)
class Training:
    """A training that was completed, and until when it counts."""

    code: str
    completed_on: date
    valid_until_on: date | None = None


@dataclass(frozen=True, slots=True)
class Survivor:
    """What a survivor declared; none of it is ever printed, logged or told as it is."""

    cancer_type: str = field(repr=False)
    treatments: frozenset[str] = field(default=frozenset(), repr=False)
    age_band: str | None = field(default=None, repr=False)
    years_since_treatment: float | None = field(default=None, repr=False)
    family_situation: frozenset[str] = field(default=frozenset(), repr=False)
    concerns: frozenset[str] = field(default=frozenset(), repr=False)
    ready: bool = field(default=True, repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """What matching knows of one person, at one version of the profile."""

    person_id: UUID
    center: Center
    version: int
    changed_at: datetime
    time_zone: str
    languages: tuple[str, ...]
    active: bool = True
    hours: Hours = ()
    career_stage: str | None = None
    modalities: frozenset[str] = frozenset()
    communication_styles: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    unit_key: str | None = None
    lab_key: str | None = None
    reporting_line_keys: frozenset[str] = frozenset()
    evaluated_unit_keys: frozenset[str] = frozenset()
    blocked_person_ids: frozenset[UUID] = frozenset()
    identity_tokens: frozenset[str] = frozenset()
    conflict_tokens: frozenset[str] = frozenset()
    training: tuple[Training, ...] = ()
    consents: frozenset[str] = frozenset()
    survivor: Survivor | None = None
    survivor_unreadable: bool = False
    """There is a block, but not (yet) the key that opens it: nothing can be said of it."""


@dataclass(frozen=True, slots=True)
class Mentor:
    """A person who offers to mentor in a programme, and the room they have."""

    person: Person
    offers: frozenset[str] = frozenset()
    seats: int = 1
    seats_taken: int = 0
    """Active matches and held offers."""
    minutes_left: int | None = None
    """Protected minutes left this month; None where nothing was pledged."""

    @property
    def seats_free(self) -> int:
        """Seats that a new hold may take; never negative."""
        return max(0, self.seats - self.seats_taken)

    def room(self, protected_minutes: int) -> int:
        """Return how many more mentees there is room for, each of whom takes so many minutes a month."""
        if protected_minutes == 0:
            return self.seats_free
        return min(self.seats_free, (self.minutes_left or 0) // protected_minutes)


@dataclass(frozen=True, slots=True)
class Mentee:
    """A person who looks for a mentor in a programme."""

    person: Person
    goals: frozenset[str] = frozenset()
    urgency: str = "whenever"
    met_before: frozenset[UUID] = frozenset()
    """People this person was proposed to before, or was matched with."""
    wanted: int = 1
    """How many mentors this person would like."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people, held against the rules."""

    mentee: Mentee
    mentor: Mentor

    @property
    def people(self) -> tuple[Person, Person]:
        """The mentee's and the mentor's person."""
        return self.mentee.person, self.mentor.person

    @property
    def centers(self) -> tuple[Center, Center]:
        """The mentee's and the mentor's center."""
        return self.mentee.person.center, self.mentor.person.center

    @property
    def across_centers(self) -> bool:
        """Whether they belong to two centers."""
        mentee, mentor = self.centers
        return mentee.institution_id != mentor.institution_id


@dataclass(frozen=True, slots=True)
class Context:
    """What a judgement depends on beside the pair."""

    programme: Programme
    now: datetime
    taxonomy: Taxonomy

    @property
    def today(self) -> date:
        """The UTC day that trainings must be valid on."""
        return self.now.date()
