"""The hard rules read once more, from the centers' own files, to hold the network against.

Written from the rules' text and not from the matching service's code: an error would have to be
made twice to go unseen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from oncomentor_cli.demo.cast import CENTERS, PROGRAMMES, PersonPlan
from oncomentor_client.people import Submission
from oncomentor_contracts.institution import CrossInstitution
from oncomentor_contracts.profile import (
    CodedProfile,
    ContactBlock,
    MenteeRole,
    MentorRole,
    Purpose,
    ReadinessState,
    SurvivorBlock,
)
from oncomentor_contracts.programme import Programme, ProgrammeKind

WEEKS = 8  # a pair counts as having common hours when it has them in each of these weeks
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Known:
    """A person as their own center knows them, and under which pseudonym the network does."""

    person_id: UUID
    center_id: str
    local_id: str
    profile: CodedProfile
    contact: ContactBlock
    survivor: SurvivorBlock | None
    lab: str | None

    def mentors_in(self, programme_id: str) -> MentorRole | None:
        """Return the person's role as a mentor in a programme."""
        return next((r for r in self.profile.mentor_roles if r.programme_id == programme_id), None)

    def wants_in(self, programme_id: str) -> MenteeRole | None:
        """Return the person's role as a mentee in a programme."""
        return next((r for r in self.profile.mentee_roles if r.programme_id == programme_id), None)


def known(plan: PersonPlan, person_id: UUID) -> Known:
    """Return the person that a row describes."""
    said = Submission.model_validate(plan.tree)
    return Known(
        person_id, plan.center_id, said.local_id, said.profile, said.contact, said.survivor,
        said.local.lab,
    )  # fmt: skip


def broken_rules(mentor: Known, mentee: Known, programme: Programme, now: datetime) -> list[str]:
    """Return the hard rules that the pair breaks; empty where it may be matched."""
    checks = {
        "roles": bool(
            mentor.mentors_in(programme.programme_id) and mentee.wants_in(programme.programme_id)
        ),
        "participants": {mentor.center_id, mentee.center_id} <= set(programme.participants or ()),
        "cross institution": _may_be_together(mentor.center_id, mentee.center_id),
        "two people": mentor.person_id != mentee.person_id,
        "consent": all(_consents(one, programme) for one in (mentor, mentee)),
        "training": _is_trained(mentor.profile, programme, now.date()),
        "language": bool(_languages(mentor) & _languages(mentee)),
        "lab": mentor.lab is None
        or (mentor.center_id, mentor.lab) != (mentee.center_id, mentee.lab),
        "common hours": has_common_hours(mentor, mentee, programme.session_minutes, now),
        "survivor lane": _fits_lane(mentor, mentee, programme),
    }
    return [name for name, holds in checks.items() if not holds]


def seats(mentor: Known, programme: Programme) -> int:
    """Return how many mentees a mentor takes in a programme."""
    role = mentor.mentors_in(programme.programme_id)
    if role is None:
        return 0
    return programme.mentor_capacity if role.capacity is None else role.capacity


def wanted(mentee: Known, programme: Programme) -> int:
    """Return how many mentors a mentee wants in a programme."""
    role = mentee.wants_in(programme.programme_id)
    return 0 if role is None else role.wanted_mentors


def is_within_hours(person: Known, span: Span) -> bool:
    """Return whether the person is free then, by their own weekly hours and clock."""
    around = span[0] - timedelta(days=1)
    return any(
        free[0] <= span[0] and span[1] <= free[1] for free in free_spans(person, around, days=3)
    )


def has_common_hours(mentor: Known, mentee: Known, minutes: int, now: datetime) -> bool:
    """Return whether both share one session's length in every one of the coming weeks."""
    return all(
        _longest_common(mentor, mentee, now + timedelta(weeks=week)) >= timedelta(minutes=minutes)
        for week in range(WEEKS)
    )


def free_spans(person: Known, begin: datetime, *, days: int) -> Iterator[Span]:
    """Yield when somebody is free, as instants, on the local days from `begin` on."""
    zone = ZoneInfo(person.profile.time_zone)
    first = begin.astimezone(zone).date()
    for day in (first + timedelta(days=ahead) for ahead in range(days)):
        for hours in person.profile.weekly_hours:
            if hours.weekday == day.isoweekday():
                last_day = day + timedelta(days=1) if hours.ends == time(0) else day
                yield _instant(day, hours.starts, zone), _instant(last_day, hours.ends, zone)


def _instant(day: date, clock: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, clock, tzinfo=zone).astimezone(UTC)


def _longest_common(mentor: Known, mentee: Known, begin: datetime) -> timedelta:
    """Return the longest time both are free that starts in the seven days from `begin`'s in UTC.

    People's own days are looked at from the day before to the day after: when a new day has begun
    in UTC, it is still the old one in America.
    """
    week = datetime.combine(begin.astimezone(UTC).date(), time(), UTC)
    ours, theirs = (
        list(free_spans(one, week - timedelta(days=1), days=10)) for one in (mentor, mentee)
    )
    common = [(max(a[0], b[0]), min(a[1], b[1])) for a in ours for b in theirs]
    inside = (end - start for start, end in common if week <= start < week + timedelta(days=7))
    return max(inside, default=timedelta(0))


def _may_be_together(one: str, other: str) -> bool:
    policies = {center.id: center.entry.policy.cross_institution for center in CENTERS}
    required = CrossInstitution.REQUIRED in (policies[one], policies[other])
    return one != other or not required


def _consents(person: Known, programme: Programme) -> bool:
    needed = {Purpose.MATCHING}
    if programme.kind is ProgrammeKind.SURVIVORSHIP:
        needed.add(Purpose.SURVIVOR_DATA)
    given = {one.purpose for one in person.profile.consents if one.withdrawn_at is None}
    return needed <= given


def _is_trained(profile: CodedProfile, programme: Programme, today: date) -> bool:
    valid = {
        one.code
        for one in profile.training
        if one.completed_on <= today and (one.valid_until_on is None or one.valid_until_on >= today)
    }
    return set(programme.required_training) <= valid


def _languages(person: Known) -> set[str]:
    return {tag.partition("-")[0] for tag in person.profile.languages}


def _fits_lane(mentor: Known, mentee: Known, programme: Programme) -> bool:
    if programme.kind is not ProgrammeKind.SURVIVORSHIP:
        return True
    if mentor.survivor is None or mentee.survivor is None:
        return False
    both_ready = {mentor.survivor.readiness, mentee.survivor.readiness} == {ReadinessState.READY}
    years = mentor.survivor.years_since_treatment
    return both_ready and years is not None and years >= programme.min_years_past_treatment


def unserved(
    people: Mapping[UUID, Known],
    active: Sequence[tuple[str, UUID, UUID]],
    tried: frozenset[tuple[str, UUID, UUID]],
    now: datetime,
) -> Iterator[tuple[Known, Known, Programme]]:
    """Yield (mentee, mentor, programme) where a seat stays empty that the mentee could have.

    `active` and `tried` are (programme, mentor, mentee); a pair that was tried is not tried again.
    """
    for programme in PROGRAMMES:
        mentors_taken = [m for p, m, _ in active if p == programme.programme_id]
        mentees_served = [m for p, _, m in active if p == programme.programme_id]
        free = [
            one for one in people.values()
            if mentors_taken.count(one.person_id) < seats(one, programme)
        ]  # fmt: skip
        for mentee in people.values():
            if mentees_served.count(mentee.person_id) >= wanted(mentee, programme):
                continue
            for mentor in free:
                pair = (programme.programme_id, mentor.person_id, mentee.person_id)
                if pair not in tried and not broken_rules(mentor, mentee, programme, now):
                    yield mentee, mentor, programme
