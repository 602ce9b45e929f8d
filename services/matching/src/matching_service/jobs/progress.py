"""Moving matches on: when time has passed, and when what they were judged by has changed."""

from collections.abc import Sequence
from uuid import UUID

from matching_service.domain import lifecycle
from matching_service.domain.match import Match, Step
from matching_service.domain.rules.book import first_broken_since
from matching_service.domain.rules.rule import Cause
from matching_service.jobs.judge import Judge
from matching_service.store import journal, matches, people, places, pool, work
from oncomentor_contracts.event import Event
from servicekit.subscription import Timer
from servicekit.tx import Tx


async def advance(timer: Timer, tx: Tx) -> Sequence[Event]:
    """Clear by policy, offer, or end a match whose time has come; otherwise only look later.

    Seats are counted under the lock of the mentor's place, so that of several matches that are
    cleared at once no more are offered than there are seats.
    """
    match_id = UUID(timer.key)
    pair = await matches.get_pair_ids(tx, match_id)
    if pair is None:
        return []
    programme_id, mentor_id, mentee_id = pair
    await places.lock_places(tx, programme_id, (mentor_id, mentee_id))
    match = await matches.lock_match(tx, match_id)
    if match is None or not match.open:
        return []

    seats, taken = await pool.count_seats(tx, programme_id, mentor_id)
    step = lifecycle.advance(match, tx.now, seats_free=seats - taken)
    return await journal.record_step(tx, match, step)


async def recheck(timer: Timer, tx: Tx, *, judge: Judge) -> Sequence[Event]:
    """Judge open matches again: a person's at once, a center's or programme's mentor by mentor.

    Emits:
        MatchWithdrawn: a person left or paused, a center left, or a rule does not hold any more.
        MatchSuperseded: the mentor now has fewer seats; the newest holds go.
        Nothing at once for what reads like a veto: that is said when the window ends.
    """
    kind, subject = work.recheck_of(timer.key)
    match kind:
        case work.PERSON:
            return await _recheck_person(tx, UUID(subject), judge)
        case work.INSTITUTION:
            found = await matches.list_mentors_with_open_matches(tx, institution_id=subject)
        case _:
            found = await matches.list_mentors_with_open_matches(tx, programme_id=subject)
    for person_id in found:
        await work.schedule_recheck(tx, work.PERSON, person_id)
    return []


async def _recheck_person(tx: Tx, person_id: UUID, judge: Judge) -> Sequence[Event]:
    await places.lock_places_of(tx, person_id)
    said: list[Event] = []
    for match in await matches.lock_open_matches(tx, person_id):
        step = await _judged_again(tx, match, judge)
        if step.facts:
            said += await journal.record_step(tx, match, step)
    said += await _release_holds(tx, person_id)
    await places.delete_stray_places(tx, person_id)
    return said


async def _judged_again(tx: Tx, match: Match, judge: Judge) -> Step:
    context = await judge.context(tx, match.programme_id)
    if context is None:
        return lifecycle.after_broken(match, Cause.RULE)
    people_ids = (match.mentee.person_id, match.mentor.person_id)
    pair = await judge.pair(tx, context, people_ids)
    if pair is None:
        return lifecycle.withdraw(match, lifecycle.PERSON_LEFT)

    broken = first_broken_since(pair, context)
    return Step(match, ()) if broken is None else lifecycle.after_broken(match, broken.cause)


async def _release_holds(tx: Tx, mentor_id: UUID) -> list[Event]:
    """Let go of the newest holds of a mentor who has fewer seats than are taken."""
    said: list[Event] = []
    for _, side, programme_id in await people.list_roles(tx, [mentor_id]):
        if side != "mentor":
            continue
        seats, taken = await pool.count_seats(tx, programme_id, mentor_id)
        for match in await matches.lock_newest_holds(
            tx, programme_id, mentor_id, max(0, taken - seats)
        ):
            said += await journal.record_step(tx, match, lifecycle.supersede(match))
    return said
