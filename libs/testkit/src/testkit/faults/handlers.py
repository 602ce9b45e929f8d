"""The test services' handlers: each event is noted, and folded into a table or two."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from uuid import UUID

from oncomentor_contracts.event import Event
from oncomentor_contracts.matching import (
    Answer,
    Explanation,
    MatchAccepted,
    MatchDeclined,
    MatchProposed,
    Party,
    ResponseGiven,
    Side,
)
from oncomentor_contracts.notification import DeliverySent
from oncomentor_contracts.profile import (
    PersonSubmitted,
    PersonWithdrawn,
    ProfileChanged,
    ProfileDeleted,
)
from oncomentor_contracts.receipt import Outcome, Problem, ReceiptAccepted, ReceiptRejected
from oncomentor_contracts.scheduling import (
    Attendee,
    AvailabilityChanged,
    LinkIssued,
    SessionBooked,
)
from servicekit.subscription import Refusal, Timer
from servicekit.tx import Tx
from testkit.faults import store
from testkit.faults.words import (
    LATER_POISON,
    POISON,
    bucket_of,
    is_poison,
    match_of,
    pledger_of,
    session_of,
)

BOOK, SEND = "book_session", "send_message"
_CENTER = "faults-center"
_LATER = datetime(2030, 1, 7, 9, 0, tzinfo=UTC)
_BOOKING_DELAYS = 5  # timers are due at once or some tens of milliseconds later
_DELAY = timedelta(milliseconds=40)


def _break_at(mark: UUID, ending: int = POISON) -> None:
    if is_poison(mark, ending):
        raise LookupError("a handler's bug, on purpose")


def receipt(event: Event, now: datetime, outcome: Outcome = Outcome.APPLIED) -> ReceiptAccepted:
    """Return the answer that the event was taken in."""
    envelope = event.envelope
    return ReceiptAccepted(
        institution_id=str(envelope.institution_id),
        receipt_for=str(envelope.id),
        event_type=envelope.type,
        about=envelope.subject,
        outcome=outcome,
        at=now,
    )


async def answer_duplicate(event: Event, tx: Tx) -> Sequence[Event]:
    """Say again that the event was taken in."""
    return [receipt(event, tx.now, Outcome.DUPLICATE)]


async def answer_refused(refusal: Refusal, tx: Tx) -> Sequence[Event]:
    """Tell the center what it sent that could not be taken."""
    if refusal.institution_id is None:
        return []
    field, rule = refusal.problems[0]
    return [
        ReceiptRejected(
            institution_id=refusal.institution_id,
            receipt_for=refusal.event_id or f"{refusal.topic}/{refusal.partition}/{refusal.offset}",
            problems=(Problem(field=field, rule="refused", message=rule, fix="Mend it."),),
            at=tx.now,
        )
    ]


# profile


async def take_person(event: PersonSubmitted, tx: Tx) -> Sequence[Event]:
    """Keep a person and say the new state."""
    await store.insert_heard(tx, [event])
    version = await store.update_member(tx, event.person_id, str(event.profile.unit_key))
    changed = ProfileChanged(
        person_id=event.person_id,
        institution_id=event.institution_id,
        version=version,
        profile=event.profile,
        changed_at=tx.now,
    )
    return [changed, receipt(event, tx.now)]


async def withdraw_person(event: PersonWithdrawn, tx: Tx) -> Sequence[Event]:
    """Take a person away and say so, where there was one."""
    await store.insert_heard(tx, [event])
    if await store.delete_member(tx, event.person_id):
        return [ProfileDeleted(person_id=event.person_id), receipt(event, tx.now)]
    return [receipt(event, tx.now)]


# matching


async def pool_people(events: Sequence[ProfileChanged], tx: Tx) -> Sequence[Event]:
    """Project people; propose a match for each that is new."""
    for event in events:
        _break_at(UUID(hex=str(event.profile.unit_key)))
    await project_people(events, tx)
    last = {event.person_id: event for event in events}
    new = await store.update_people(
        tx, {p: (e.version, str(e.profile.unit_key)) for p, e in last.items()}
    )
    said = []
    for person_id in sorted(new):
        event = last[person_id]
        proposal = _proposal(event)
        await store.extend_chain(tx, "matches", proposal.match_id, [_fact(proposal)])
        said.append(proposal)
    return said


async def forget_person(event: ProfileDeleted, tx: Tx) -> Sequence[Event]:
    """Take a person out of the projection."""
    await store.insert_heard(tx, [event])
    await store.delete_person(tx, event.person_id)
    return []


async def take_response(event: ResponseGiven, tx: Tx) -> Sequence[Event]:
    """Turn an answer into a fact; a yes locks the match, a no leaves order to the outbox."""
    await store.insert_heard(tx, [event])
    mark = event.person_id
    assert mark is not None
    _break_at(mark)
    if event.answer is Answer.DECLINE:
        await store.insert_decline(tx, event.match_id, mark)
        declined = MatchDeclined(match_id=event.match_id, by=Side.MENTEE, person_id=mark)
        return [declined, receipt(event, tx.now)]
    accepted = MatchAccepted(match_id=event.match_id, by=Side.MENTEE, person_id=mark)
    await store.extend_chain(tx, "matches", event.match_id, [_fact(accepted)])
    return [accepted, receipt(event, tx.now)]


async def project_hours(event: AvailabilityChanged, tx: Tx) -> Sequence[Event]:
    """Project what is left of a person's pledge."""
    await store.insert_heard(tx, [event])
    await store.update_hours(tx, event.person_id, event.minutes_left_month or 0)
    return []


# scheduling


async def project_people(events: Sequence[ProfileChanged], tx: Tx) -> Sequence[Event]:
    """Project people."""
    await store.insert_heard(tx, events)
    last = {event.person_id: event for event in events}
    if tx.source != "/services/matching":
        await store.update_people(
            tx, {p: (e.version, str(e.profile.unit_key)) for p, e in last.items()}
        )
    return []


async def log_fact(event: MatchProposed | MatchDeclined, tx: Tx) -> Sequence[Event]:
    """Add a fact to its match's chain."""
    return await log_facts([event], tx)


async def log_facts(
    events: Sequence[MatchProposed | MatchDeclined | MatchAccepted], tx: Tx
) -> Sequence[Event]:
    """Add facts to their matches' chains, in order."""
    for event in events:
        if isinstance(event, MatchAccepted):
            _break_at(event.person_id, LATER_POISON)
    await store.insert_heard(tx, events)
    by_match = sorted(events, key=lambda event: event.match_id)  # stable: the order stays
    for match_id, facts in groupby(by_match, key=lambda event: event.match_id):
        await store.extend_chain(tx, "match_logs", match_id, [_fact(fact) for fact in facts])
    return []


async def book(event: MatchAccepted, tx: Tx) -> Sequence[Event]:
    """Add the fact to its chain, count the pledge, keep a link, and have a session booked."""
    await log_facts([event], tx)
    mark = event.person_id
    person_id, session_id = pledger_of(event.match_id), bucket_of("session", mark)
    minutes = await store.update_pledge(tx, person_id, mark.int & 0xFFFF)
    await store.insert_link(tx, session_id, mark)
    due_at = tx.now + (mark.int % _BOOKING_DELAYS) * _DELAY
    await tx.schedule(
        BOOK, str(session_of(mark)), due_at, {"match_id": str(event.match_id), "mark": str(mark)}
    )
    changed = AvailabilityChanged(
        person_id=person_id,
        institution_id=_CENTER,
        time_zone="Europe/Lisbon",
        weekly_hours=(),
        minutes_left_month=minutes % 100_000,
    )
    return [changed, LinkIssued(session_id=session_id, url=f"https://meet.example.invalid/{mark}")]


async def book_session(timer: Timer, tx: Tx) -> Sequence[Event]:
    """Book the session that an accepted match waits for."""
    match_id, mark = UUID(timer.payload["match_id"]), UUID(timer.payload["mark"])
    await store.insert_session(tx, UUID(timer.key), match_id)
    attendees = (_attendee(mark, Side.MENTOR), _attendee(match_id, Side.MENTEE))
    return [
        SessionBooked(
            session_id=UUID(timer.key),
            match_id=match_id,
            programme_id="faults",
            attendees=attendees,
            starts_at=_LATER,
            duration_minutes=60,
            time_zone="Europe/Lisbon",
            ical_uid=f"{timer.key}@faults.invalid",
            ical_sequence=0,
        )
    ]


# notification


async def note_link(event: LinkIssued, tx: Tx) -> Sequence[Event]:
    """Keep a link."""
    await store.insert_heard(tx, [event])
    await store.insert_link(tx, event.session_id, UUID(event.url.rpartition("/")[2]))
    return []


async def announce(event: SessionBooked, tx: Tx) -> Sequence[Event]:
    """Have a message sent."""
    await store.insert_heard(tx, [event])
    await tx.schedule(SEND, str(event.session_id), tx.now)
    return []


async def record_sent(timer: Timer, result: datetime, tx: Tx) -> Sequence[Event]:
    """Keep and say that the message is out."""
    await store.insert_delivery(tx, UUID(timer.key))
    sent = DeliverySent(delivery_id=UUID(timer.key), message_id=timer.key, sent_at=result)
    return [sent]


async def give_up(timer: Timer, error: Exception, tx: Tx) -> Sequence[Event]:
    """Leave the message; the sink never refuses, so that this is found as a lost one."""
    return []


Perform = Callable[[Timer], Awaitable[datetime]]


def _proposal(event: ProfileChanged) -> MatchProposed:
    party = Party(
        person_id=event.person_id,
        institution_id=event.institution_id,
        profile_version=event.version,
    )
    return MatchProposed(
        match_id=match_of(event.person_id),
        programme_id="faults",
        mentor=party,
        mentee=party,
        score=1.0,
        explanation=Explanation(criteria_version=1, rules=(), contributions=()),
        clear_by=_LATER,
    )


def _fact(event: MatchProposed | MatchDeclined | MatchAccepted) -> tuple[str, ...]:
    """Return what a fact adds to its match's chain."""
    if isinstance(event, MatchProposed):
        return event.TYPE, str(event.mentor.profile_version)
    return event.TYPE, str(event.person_id)


def _attendee(person_id: UUID, side: Side) -> Attendee:
    return Attendee(
        person_id=person_id, institution_id=_CENTER, side=side, time_zone="Europe/Lisbon"
    )
