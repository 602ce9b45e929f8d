"""How a match moves on: by time, by what a rule says, and what an ended one means.

proposed --(both centers cleared)--> offered_to_mentor --accept--> offered_to_mentee
         --accept--> active
"""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from matching_service.domain.match import (
    OFFERED,
    Barred,
    Cleared,
    Expired,
    Fact,
    Match,
    NotAvailable,
    Offered,
    Party,
    Proposed,
    Side,
    State,
    Step,
    Superseded,
    Withdrawn,
)
from matching_service.domain.pool import Center, Pair, Person, Programme
from matching_service.domain.rules.rule import Cause

PERSON_LEFT = "person_left"
_REASONS = {
    Cause.RULE: "rule_broken",
    Cause.PAUSED: "person_paused",
    Cause.CENTER: "institution_left",
}


def propose(match_id: UUID, pair: Pair, programme: Programme, now: datetime) -> Step:
    """Return the match of a pair that breaks no rule.

    Both centers have until the longer of their windows: then the end of it tells nothing about
    whose it was.
    """
    window = max(center.clearance_window for center in pair.centers)
    match = Match(
        match_id=match_id,
        programme_id=programme.programme_id,
        mentor=_party(pair.mentor.person, now),
        mentee=_party(pair.mentee.person, now),
        state=State.PROPOSED,
        clear_by=now + window,
        response_window=programme.response_window,
    )
    return Step(match, (Proposed(),))


def _party(person: Person, now: datetime) -> Party:
    return Party(
        person_id=person.person_id,
        institution_id=person.center.institution_id,
        version=person.version,
        clears_at=_clears_at(person.center, now),
    )


def _clears_at(center: Center, now: datetime) -> datetime | None:
    match center.clearance:
        case "auto":
            return now
        case "window":
            return now + center.clearance_window
        case (
            _
        ):  # by a person, or a policy that a newer version knows: then a person had better look
            return None


def next_look(match: Match, now: datetime) -> datetime | None:
    """Return when to `advance` a match again: at once, at a later instant, or never (None)."""
    if not match.open:
        return None
    if match.state is State.PROPOSED and match.cleared and not match.barred:
        return now
    instants = [match.deadline]
    if match.state is State.PROPOSED:
        parties = (match.mentor, match.mentee)
        instants += [p.clears_at for p in parties if p.clears_at and _clears(match, p)]
    return min(instants)


def advance(match: Match, now: datetime, *, seats_free: int) -> Step:
    """Return what the passing of time, and clearances that came in, make of a match.

    `seats_free` is what the mentor's seats were under the lock of the mentor's place. Nothing
    happens to a match that is settled or still has time; asking again changes nothing.
    """
    if not match.open:
        return Step(match, ())

    step = _clear_by_policy(match, now)
    match = step.match
    if match.barred:
        later = end(match, State.NOT_AVAILABLE, NotAvailable()) if now >= match.deadline else None
    elif match.state is State.PROPOSED and match.cleared:
        later = offer(match, Side.MENTOR, now) if seats_free > 0 else supersede(match)
    elif now >= match.deadline:
        asked = OFFERED.get(match.state)
        later = end(match, State.EXPIRED, Expired(asked.value if asked else "clearance"))
    else:
        later = None
    return step if later is None else Step(later.match, (*step.facts, *later.facts))


def _clears(match: Match, party: Party) -> bool:
    """Whether the center's policy will still say yes; it will not after the center's own no."""
    return not party.cleared and not (match.barred and match.barred_by == party.institution_id)


def _clear_by_policy(match: Match, now: datetime) -> Step:
    facts: list[Fact] = []
    if match.state is not State.PROPOSED:
        return Step(match, ())
    for side in Side:
        party = match.party(side)  # of the match as the other side's clearance left it
        if party.clears_at is not None and party.clears_at <= now and _clears(match, party):
            match = clear(match, party.institution_id)
            facts.append(Cleared(party.institution_id, by_policy=True))
    return Step(match, tuple(facts))


def clear(match: Match, institution_id: str) -> Match:
    """Return the match as it is once a center has said yes; one yes counts for both its people."""
    for side in match.sides_of(institution_id):
        match = with_party(match, side, replace(match.party(side), cleared=True))
    return match


def with_party(match: Match, side: Side, party: Party) -> Match:
    """Return the match with one half changed."""
    if side is Side.MENTOR:
        return replace(match, mentor=party)
    return replace(match, mentee=party)


def offer(match: Match, to: Side, now: datetime) -> Step:
    """Return the match with a person asked, for as long as the programme gives them."""
    state = State.OFFERED_TO_MENTOR if to is Side.MENTOR else State.OFFERED_TO_MENTEE
    respond_by = now + match.response_window
    fact = Offered(to, match.party(to).person_id, respond_by)
    return Step(replace(match, state=state, respond_by=respond_by), (fact,))


def supersede(match: Match) -> Step:
    """Return the match ended because no seat was left, or is left any more."""
    return end(match, State.SUPERSEDED, Superseded())


def withdraw(match: Match, reason: str) -> Step:
    """Return the match taken back; only an open one is."""
    return end(match, State.WITHDRAWN, Withdrawn(reason)) if match.open else Step(match, ())


def after_broken(match: Match, cause: Cause) -> Step:
    """Return what a rule that does not hold any more makes of an open match."""
    if cause is Cause.BLIND:
        return bar(match, None)
    reason = _REASONS.get(cause)
    return Step(match, ()) if reason is None else withdraw(match, reason)


def bar(match: Match, institution_id: str | None) -> Step:
    """Return the match that will not go on: its seat is free at once, the answer comes later.

    Barred twice it stays as it was barred first.
    """
    if not match.open or match.barred:
        return Step(match, ())
    barred = replace(match, barred=True, barred_by=institution_id)
    return Step(barred, (Barred(institution_id),))


def end(match: Match, state: State, fact: Fact) -> Step:
    """Return the match ended in a state, with the fact that says so."""
    return Step(replace(match, state=state), (fact,))
