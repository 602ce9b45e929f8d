"""Booking the first session of a match, as often as it takes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from math import ceil
from typing import Final
from uuid import UUID

from oncomentor_contracts import matching
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.scheduling import (
    Attendee as AttendeeSaid,
)
from oncomentor_contracts.scheduling import (
    LinkIssued,
    SessionBooked,
    SessionUnbookable,
    UnbookableReason,
)
from scheduling_service import gateways
from scheduling_service.domain import work
from scheduling_service.domain.booking import (
    HORIZON,
    RETRY_UNBOOKABLE,
    Calendar,
    Reason,
    Wish,
    bookable_starts,
    wait,
    why_unbookable,
)
from scheduling_service.domain.match import Booking, Match
from scheduling_service.domain.session import Attendee, Draw, Session, Side
from scheduling_service.domain.zone import month_of, zone_of
from scheduling_service.jobs.availability import say_availability
from scheduling_service.store import calendar, projection
from scheduling_service.store import session as store
from servicekit.errors import TransientError
from servicekit.subscription import Timer
from servicekit.tx import Tx

_MOST_TRIES: Final = 20
"""Starts tried before the calendars are read afresh; under their lock none should be refused."""


async def book_first_session(timer: Timer, tx: Tx, *, meeting_base_url: str) -> Sequence[Event]:
    """Book the first hour the pair has free, with a day's notice, and issue its link.

    A match that is booked already is left alone, so a repeated job changes nothing. While a fact
    is missing the job is set again; so it is where no hour was found, to look again later.

    Emits:
        SessionBooked: the hour is theirs and free in neither calendar.
        LinkIssued: beside it, on a topic of its own.
        AvailabilityChanged: the session drew on the mentor's pledge for this month.
        SessionUnbookable: they share no free hour, or the mentor has no minutes left for one;
            said once, until the reason changes.

    Raises:
        TransientError: starts were taken although the calendars are locked; try again.
    """
    match = await _lock_match(tx, UUID(timer.key))
    if match is None or match.booking is Booking.BOOKED:
        return []
    wish = await _wish(tx, match)
    if wish is None:
        return await _wait(tx, match)
    session = await _book(tx, match, wish)
    if session is None:
        return await _call_unbookable(tx, match, why_unbookable(wish), wish)

    await projection.update_match(tx, replace(match, booking=Booking.BOOKED, reason=None))
    url = gateways.mint_link(meeting_base_url)
    await store.insert_link(tx, session.session_id, url)
    drawn_on = [match.mentor_id] if _draw(wish, session.start) else []
    return [
        _booked(session),
        LinkIssued(session_id=session.session_id, url=url),
        *await say_availability(tx, drawn_on),
    ]


async def retry_bookings(timer: Timer, tx: Tx) -> Sequence[Event]:
    """Set the booking of every match that the timer's fact concerns and that has no session.

    Each goes on with the cause of its match, so that the session belongs to the match's story.
    """
    matches = await projection.list_open_matches(
        tx,
        person_ids=[UUID(text) for text in timer.payload.get("person_ids", ())],
        programme_id=timer.payload.get("programme_id"),
        institution_id=timer.payload.get("institution_id"),
    )
    for match_id, cause in matches.items():
        tx.cause = cause
        await tx.schedule(work.BOOK_FIRST_SESSION, str(match_id), tx.now)
    return []


async def _lock_match(tx: Tx, match_id: UUID) -> Match | None:
    """Return the match as it is once both calendars are locked."""
    match = await projection.get_match(tx, match_id)
    if match is None:
        return None

    await calendar.lock_calendars(tx, (match.mentor_id, match.mentee_id))
    return await projection.get_match(tx, match_id)


async def _wish(tx: Tx, match: Match) -> Wish | None:
    """Return all that choosing an hour needs; None while some of it has not arrived.

    A center that does not take part now counts as one that has not arrived.
    """
    person_ids = (match.mentor_id, match.mentee_id)
    people = await projection.list_people(tx, person_ids)
    minutes = await projection.get_session_minutes(tx, match.programme_id)
    if len(people) < len(person_ids) or minutes is None:
        return None
    centers = {person.institution_id for person in people.values()}
    if await projection.list_active_institutions(tx, centers) < centers:
        return None

    taken = await calendar.list_taken(tx, person_ids, tx.now, tx.now + HORIZON + timedelta(days=1))
    drawn = await calendar.list_minutes_drawn(tx, [match.mentor_id])
    return Wish(
        mentor=Calendar(people[match.mentor_id], taken[match.mentor_id]),
        mentee=Calendar(people[match.mentee_id], taken[match.mentee_id]),
        programme_id=match.programme_id,
        minutes=minutes,
        drawn=drawn.get(match.mentor_id, {}),
        now=ceil(tx.now.timestamp()),
    )


async def _book(tx: Tx, match: Match, wish: Wish) -> Session | None:
    """Return the session that was booked at the first start it could be; None without a start."""
    refused = 0
    for start in islice(bookable_starts(wish), _MOST_TRIES):
        session = _session(match, wish, start)
        if await store.insert_session(tx, session, _draw(wish, start)):
            return session
        refused += 1
    if refused:
        raise TransientError(f"{refused} starts were taken while the calendars were read")

    return None


async def _wait(tx: Tx, match: Match) -> Sequence[Event]:
    """Set the booking again for later; past its deadline, call it unbookable."""
    if match.reason is not None:
        return await _call_unbookable(tx, match, match.reason, None)
    again_at = wait(match.tries, tx.now, match.deadline_at)
    if again_at is None:
        return await _call_unbookable(tx, match, Reason.NO_COMMON_HOUR, None)

    await _try_again(tx, match, None, again_at)
    waiting = replace(match, booking=Booking.WAITING, tries=match.tries + 1)
    await projection.update_match(tx, waiting)
    return []


async def _call_unbookable(
    tx: Tx, match: Match, reason: Reason, wish: Wish | None
) -> Sequence[Event]:
    await _try_again(tx, match, wish, tx.now + RETRY_UNBOOKABLE)
    if match.reason is reason:
        return []

    unbookable = replace(match, booking=Booking.UNBOOKABLE, reason=reason)
    await projection.update_match(tx, unbookable)
    return [
        SessionUnbookable(
            session_id=_session_id(match),
            match_id=match.match_id,
            reason=UnbookableReason(reason.value),
        )
    ]


async def _try_again(tx: Tx, match: Match, wish: Wish | None, again_at: datetime) -> None:
    """Set the booking for later, or for now where what `wish` was made of has changed since.

    Setting it locks its row: a retry that a new fact sets off comes after this transaction and
    wins. One that came before is overwritten, but then its fact is there to be read now.
    """
    key = str(match.match_id)
    await tx.schedule(work.BOOK_FIRST_SESSION, key, again_at)
    if await _wish(tx, match) != wish:
        await tx.schedule(work.BOOK_FIRST_SESSION, key, tx.now)


def _session(match: Match, wish: Wish, start: int) -> Session:
    mentor, mentee = wish.mentor.person, wish.mentee.person
    return Session(
        session_id=_session_id(match),
        match_id=match.match_id,
        programme_id=match.programme_id,
        attendees=(Attendee.of(mentor, Side.MENTOR), Attendee.of(mentee, Side.MENTEE)),
        start=start,
        minutes=wish.minutes,
        time_zone=mentor.time_zone,
    )


def _session_id(match: Match) -> UUID:
    return derived_id("session", str(match.match_id), "1")


def _draw(wish: Wish, start: int) -> Draw | None:
    """Return what the session takes from the mentor's pledge; None where nothing was pledged."""
    mentor = wish.mentor.person
    pledged = mentor.pledges.get(wish.programme_id)
    if pledged is None:
        return None

    month = month_of(start, zone_of(mentor.time_zone))
    return Draw(mentor.person_id, wish.programme_id, month, wish.minutes, pledged)


def _booked(session: Session) -> SessionBooked:
    return SessionBooked(
        session_id=session.session_id,
        match_id=session.match_id,
        programme_id=session.programme_id,
        attendees=tuple(
            AttendeeSaid(
                person_id=attendee.person_id,
                institution_id=attendee.institution_id,
                side=matching.Side(attendee.side.value),
                time_zone=attendee.time_zone,
            )
            for attendee in session.attendees
        ),
        starts_at=session.starts_at,
        duration_minutes=session.minutes,
        time_zone=session.time_zone,
        ical_uid=session.ical_uid,
        ical_sequence=0,
    )
