"""Things the tests need, each with defaults: say only what the test is about."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from oncomentor_contracts.envelope import Envelope, from_headers
from oncomentor_contracts.event import Event
from oncomentor_contracts.events import BY_TYPE
from oncomentor_contracts.identifiers import derived_id, uuid7
from oncomentor_contracts.institution import InstitutionChanged, InstitutionState
from oncomentor_contracts.matching import MatchActivated, Party
from oncomentor_contracts.profile import (
    CodedProfile,
    MenteeRole,
    MentorRole,
    ProfileChanged,
    ProfileDeleted,
    WeeklyHours,
)
from oncomentor_contracts.programme import ProgrammeChanged, ProgrammeKind
from scheduling_service import handlers
from scheduling_service.domain.booking import Calendar, Wish
from scheduling_service.domain.hours import WeeklyWindow
from scheduling_service.domain.pledge import MonthsDrawn, Person
from scheduling_service.domain.session import Attendee, Session, Side
from scheduling_service.domain.span import Span
from scheduling_service.jobs import jobs
from servicekit.saying import record_headers
from servicekit.saying.outbox import Cause
from servicekit.subscription import Timer
from servicekit.tx import Tx

ADA, BEN, CAT = (derived_id("person", name) for name in ("ada", "ben", "cat"))
MATCH = derived_id("match", "ada and ben")
MEETING_BASE_URL = "https://meet.example.org/rooms"
JOBS = jobs(meeting_base_url=MEETING_BASE_URL)

Hours = Sequence[tuple[int, str, str]]
"""(weekday, starts, ends), such as (1, "09:00", "17:00")."""
MONDAY_MORNING: Hours = ((1, "09:00", "12:00"),)


def second(iso: str) -> int:
    """The instant of an ISO text, as the domain counts it."""
    return int(datetime.fromisoformat(iso).timestamp())


def windows(hours: Hours) -> tuple[WeeklyWindow, ...]:
    return tuple(
        WeeklyWindow(day, _seconds(starts), _seconds(ends) or 86_400) for day, starts, ends in hours
    )


def _seconds(text: str) -> int:
    return int(text[:2]) * 3600 + int(text[3:]) * 60


def a_person(
    person_id: UUID = ADA,
    *,
    zone: str = "Etc/UTC",
    hours: Hours = MONDAY_MORNING,
    institution_id: str = "north",
    pledges: dict[str, int] | None = None,
) -> Person:
    return Person(person_id, institution_id, zone, windows(hours), pledges or {})


def a_wish(
    *,
    mentor: Person | None = None,
    mentee: Person | None = None,
    minutes: int = 60,
    taken: Sequence[Span] = (),
    drawn: MonthsDrawn | None = None,
    now: int = second("2026-03-02T09:00Z"),
) -> Wish:
    """A wish of a mentor and a mentee who are both free on Monday mornings, UTC."""
    return Wish(
        mentor=Calendar(mentor or a_person(ADA), taken),
        mentee=Calendar(mentee or a_person(BEN), ()),
        programme_id="research",
        minutes=minutes,
        drawn=drawn or {},
        now=now,
    )


def a_session(
    *,
    number: int = 1,
    people: tuple[UUID, UUID] = (ADA, BEN),
    centers: tuple[str, str] = ("north", "south"),
    starts: str = "2026-03-09T09:00Z",
    minutes: int = 60,
    zone: str = "Etc/UTC",
) -> Session:
    mentor, mentee = people
    return Session(
        session_id=derived_id("session", str(number)),
        match_id=derived_id("match", str(number)),
        programme_id="research",
        attendees=(
            Attendee(mentor, centers[0], Side.MENTOR, zone),
            Attendee(mentee, centers[1], Side.MENTEE, zone),
        ),
        start=second(starts),
        minutes=minutes,
        time_zone=zone,
    )


def heard(event: Event, *, sequence: int = 1) -> Event:
    """The event as it arrives: with the envelope of the service that says it."""
    service = min(event.TOPIC.writers)
    event_id = uuid7(datetime(2026, 3, 2, tzinfo=UTC))
    event._envelope = Envelope(
        id=event_id,
        source=f"/services/{service}",
        type=event.TYPE,
        subject=event.subject,
        time=datetime(2026, 3, 2, tzinfo=UTC),
        sequence=sequence,
        correlationid=f"story of {event.subject}",
    )
    return event


def a_profile(
    person_id: UUID = ADA,
    *,
    zone: str = "Etc/UTC",
    hours: Hours = MONDAY_MORNING,
    institution_id: str = "north",
    pledges: dict[str, int | None] | None = None,
) -> ProfileChanged:
    roles = [
        MentorRole(programme_id=programme_id, protected_minutes_month=minutes)
        for programme_id, minutes in (pledges or {}).items()
    ]
    event = ProfileChanged(
        person_id=person_id,
        institution_id=institution_id,
        version=1,
        profile=CodedProfile(
            profession="nurse",
            languages=("en",),
            time_zone=zone,
            weekly_hours=tuple(
                WeeklyHours(
                    weekday=day, starts=time.fromisoformat(starts), ends=time.fromisoformat(ends)
                )
                for day, starts, ends in hours
            ),
            mentor_roles=tuple(roles),
            mentee_roles=(MenteeRole(programme_id="research"),),
        ),
        changed_at=datetime(2026, 3, 2, tzinfo=UTC),
    )
    heard(event)
    return event


def a_departure(person_id: UUID = ADA) -> ProfileDeleted:
    event = ProfileDeleted(person_id=person_id)
    heard(event)
    return event


def a_programme(*, minutes: int = 60) -> ProgrammeChanged:
    return ProgrammeChanged(
        programme_id="research",
        owner="consortium",
        name="Research mentoring",
        kind=ProgrammeKind.RESEARCH,
        session_minutes=minutes,
        weights=(),
    )


def an_institution(
    institution_id: str = "north", state: InstitutionState = InstitutionState.ACTIVE
) -> InstitutionChanged:
    return InstitutionChanged(
        institution_id=institution_id,
        name="A cancer center",
        time_zone="Etc/UTC",
        jurisdiction="PT",
        state=state,
    )


def a_match(
    match_id: UUID = MATCH, *, mentor_id: UUID = ADA, mentee_id: UUID = BEN
) -> MatchActivated:
    return MatchActivated(
        match_id=match_id,
        programme_id="research",
        mentor=Party(person_id=mentor_id, institution_id="north", profile_version=1),
        mentee=Party(person_id=mentee_id, institution_id="south", profile_version=1),
        activated_at=datetime(2026, 3, 2, tzinfo=UTC),
    )


async def a_known_pair(tx: Tx, *profiles: ProfileChanged) -> None:
    """All that booking Ada and Ben needs; profiles given replace the ones that share Monday."""
    known = {profile.person_id: profile for profile in (a_profile(ADA), a_profile(BEN), *profiles)}
    await handlers.project_institution(an_institution("north"), tx)
    await handlers.project_programme(a_programme(), tx)
    await handlers.project_people(list(known.values()), tx)


async def work_off(tx: Tx) -> list[Event]:
    """Do the work that is due, as the kernel does it, until none is; return what was said."""
    before = set(await _outbox(tx))
    while row := await tx.conn.fetchrow(
        "SELECT * FROM kit.timers WHERE due_at <= $1 ORDER BY due_at, kind, key LIMIT 1", tx.now
    ):
        await tx.cancel(row["kind"], row["key"])
        cause = Cause(row["traceparent"], row["correlationid"], row["causationid"])
        payload = json.loads(row["payload"])
        timer = Timer(row["kind"], row["key"], payload, row["attempts"], row["version"], cause)
        tx.cause = cause
        await tx.say(await JOBS[timer.kind](timer, tx), cause)
    return [event for seq, event in (await _outbox(tx)).items() if seq not in before]


def alike(left: Event, right: Event) -> bool:
    """Whether two events say the same, whatever envelope they came in."""
    return (type(left), left.model_dump()) == (type(right), right.model_dump())


async def _outbox(tx: Tx) -> dict[int, Event]:
    rows = await tx.conn.fetch(
        "SELECT seq, headers, sequence, record_value FROM kit.outbox ORDER BY seq"
    )
    said = {}
    for row in rows:
        envelope = from_headers(record_headers.unpack(row["headers"], row["sequence"]))
        said[row["seq"]] = BY_TYPE[envelope.type].received(envelope, row["record_value"])
    return said


def later(tx: Tx, **passed: float) -> None:
    """Let time pass for what happens in `tx`."""
    tx.now += timedelta(**passed)
