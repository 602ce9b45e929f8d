"""Checks of what follows a match: sessions, messages, calendars, and who may read what."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from oncomentor_cli.demo.inbox import Calendar, Mail
from oncomentor_cli.demo.observed import Match
from oncomentor_cli.demo.rules import Known, is_within_hours
from oncomentor_cli.demo.world import World
from oncomentor_contracts.notification import DeliveryIntended, Template
from oncomentor_contracts.scheduling import SessionBooked


def session_failures(world: World) -> Iterator[str]:
    """Yield active matches without their one session, and sessions at a wrong hour."""
    for match in world.observation.active():
        match_id = match.proposal.match_id
        booked = [one.event for one in world.observation.booked(match_id)]
        if len(booked) != 1:
            told = [s.event.TYPE for s in world.observation.sessions.get(match_id, [])]
            yield f"match {match_id} has {len(booked)} sessions ({', '.join(told) or 'nothing said'})"
        for session in booked:
            if isinstance(session, SessionBooked):
                yield from _hour_failures(session, match, world)
    yield from _overlaps(world)


def delivery_failures(world: World) -> Iterator[str]:
    """Yield deliveries that are missing, failed or doubled, and mails nobody decided on."""
    for match in world.observation.active():
        told = Counter(one.template for one in world.deliveries(match))
        wanted = Counter(world.expected_templates(match))
        if told != wanted:
            yield (
                f"match {match.proposal.match_id}: {_counts(told)} were decided, "
                f"not {_counts(wanted)}"
            )
    for seen in world.observation.intended.values():
        if isinstance(seen.event, DeliveryIntended):
            yield from _mail_failures(seen.event, world)
    for message_id, number in Counter(mail.message_id for mail in world.mails).items():
        if number > 1:
            yield f"the mail {message_id} is in the inbox {number} times"
    if (mails := len(world.mails)) > (sent := world.observation.counts()["sent"]):
        yield f"{mails} mails are in the inbox, {sent} were sent"


def calendar_failures(world: World) -> Iterator[str]:
    """Yield invitations whose calendar differs from what was booked."""
    for match in world.observation.active():
        for delivery in world.deliveries(match):
            if delivery.template is not Template.SESSION_INVITATION:
                continue
            for mail in world.mail_of(delivery.delivery_id):
                if wrong := _calendar_wrong(mail.calendar, delivery, world):
                    yield f"mail {mail.id} for match {delivery.match_id}: {wrong}"


def privacy_failures(world: World) -> Iterator[str]:
    """Yield public records and offers that say more than they may."""
    secrets = {
        text.casefold().encode()
        for one in world.people.values()
        for text in (one.contact.display_name, one.contact.email)
    } | {f'"{one.local_id}"'.casefold().encode() for one in world.people.values()}
    for topic, value in world.observation.values:
        if any(secret in value.lower() for secret in secrets):
            yield f"a record on {topic} holds a name, an address or a local id"
    for seen in world.observation.intended.values():
        event = seen.event
        if isinstance(event, DeliveryIntended) and event.template is Template.MATCH_OFFERED:
            yield from _names_in_offer(event, world)


def _hour_failures(session: SessionBooked, match: Match, world: World) -> Iterator[str]:
    span = (session.starts_at, session.starts_at + timedelta(minutes=session.duration_minutes))
    if {one.person_id for one in session.attendees} != set(match.pair[1:]):
        yield f"session {session.session_id} is not for the two people of its match"
    for attendee in session.attendees:
        person = world.people.get(attendee.person_id)
        if person is not None and not is_within_hours(person, span):
            yield (
                f"session {session.session_id} at {session.starts_at} is outside the hours of "
                f"{person.center_id} {person.local_id}"
            )


def _overlaps(world: World) -> Iterator[str]:
    busy: dict[UUID, list[tuple[datetime, datetime]]] = {}
    for match_id in world.observation.matches:
        for one in world.observation.booked(match_id):
            if isinstance(session := one.event, SessionBooked):
                ends = session.starts_at + timedelta(minutes=session.duration_minutes)
                for attendee in session.attendees:
                    busy.setdefault(attendee.person_id, []).append((session.starts_at, ends))
    for person_id, spans in busy.items():
        for before, after in pairwise(sorted(spans)):
            if after[0] < before[1]:
                yield f"{_name(world.people.get(person_id))} is in two sessions at {after[0]}"


def _mail_failures(delivery: DeliveryIntended, world: World) -> Iterator[str]:
    what = f"{delivery.template.value} for match {delivery.match_id}"
    if world.observation.sent(delivery.delivery_id) is None:
        told = [one.event for one in world.observation.settled.get(delivery.delivery_id, [])]
        yield f"{what} was not sent: {told or 'nothing was said about it'}"
        return
    mails = world.mail_of(delivery.delivery_id)
    if len(mails) != 1:
        yield f"{what} is in the inbox {len(mails)} times"
    person = world.people.get(delivery.person_id)
    for mail in mails:
        if person is None or mail.recipients != (person.contact.email,):
            yield f"{what} went to {', '.join(mail.recipients)}, not to {_name(person)}"


def _calendar_wrong(
    calendar: Calendar | None, delivery: DeliveryIntended, world: World
) -> str | None:
    if calendar is None:
        return "there is no calendar in it"
    invitation, person = delivery.invitation, world.people.get(delivery.person_id)
    if invitation is None or person is None:
        return "the delivery has no session"
    seen = (calendar.method, calendar.uid, calendar.starts_at, calendar.attendees)
    booked = ("REQUEST", invitation.ical_uid, invitation.starts_at, (person.contact.email,))
    return None if seen == booked else f"it says {seen}, booked was {booked}"


def _names_in_offer(delivery: DeliveryIntended, world: World) -> Iterator[str]:
    match = world.observation.matches.get(delivery.match_id)
    if match is None:
        return
    others = [world.people.get(one) for one in match.pair[1:] if one != delivery.person_id]
    for mail in world.mail_of(delivery.delivery_id):
        if any(one and _is_named(one, mail) for one in others):
            yield f"the offer in mail {mail.id} names the other half before both said yes"


def _is_named(person: Known, mail: Mail) -> bool:
    return person.contact.display_name in mail.words or person.contact.email in mail.words


def _counts(templates: Counter[Template]) -> str:
    return ", ".join(f"{number} {one.value}" for one, number in sorted(templates.items())) or "none"


def _name(person: Known | None) -> str:
    return "an unknown person" if person is None else f"{person.center_id} {person.local_id}"
