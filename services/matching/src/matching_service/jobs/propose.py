"""Finding a mentor for a mentee who waits for one."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from matching_service.domain import lifecycle
from matching_service.domain.match import Step
from matching_service.domain.pool import Context, Pair
from matching_service.domain.rules.book import checked, first_broken
from matching_service.domain.score import score
from matching_service.jobs.judge import Judge
from matching_service.store import changes, facts, journal, places, pool, work
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import derived_id
from servicekit.subscription import Timer
from servicekit.tx import Tx

WAITING_BATCH = 200
"""Mentees who are put on the queue in one transaction."""


async def propose(timer: Timer, tx: Tx, *, judge: Judge) -> Sequence[Event]:
    """Propose the best eligible mentor to a mentee, if one is wanted and there is one.

    Done twice, it proposes once: a pair has one match, and a mentee who has enough is passed
    over. A mentee for whom there is nobody waits for the next change of the pool.

    Emits:
        MatchProposed, then MatchCleared for centers that clear at once, then MatchOffered if
        both do.
    """
    programme_id, mentee_id = work.proposal_of(timer.key)
    context = await judge.context(tx, programme_id)
    if context is None or not await pool.is_waiting(tx, programme_id, mentee_id):
        return []
    async for mentor_id in judge.candidates(tx, context, mentee_id):
        pair = await judge.pair(tx, context, (mentee_id, mentor_id))
        if pair is not None and first_broken(pair, context) is None:
            said = await _propose_pair(tx, context, pair, judge)
            # Another mentor may be wanted, or somebody else took the seat: look again.
            if await pool.is_waiting(tx, programme_id, mentee_id):
                await work.schedule_proposal(tx, programme_id, mentee_id)
            return said
    return []


async def _propose_pair(tx: Tx, context: Context, pair: Pair, judge: Judge) -> Sequence[Event]:
    """Propose a pair unless it ceased to be eligible before its places were locked."""
    programme_id = context.programme.programme_id
    mentee_id, mentor_id = (person.person_id for person in pair.people)
    await places.lock_places(tx, programme_id, (mentee_id, mentor_id))
    kept = [center.institution_id for center in pair.centers]
    now = await judge.pair(tx, context, (mentee_id, mentor_id), kept=kept)
    if now is None or first_broken(now, context) is not None:
        return []
    if not await pool.is_waiting(tx, programme_id, mentee_id):
        return []

    match_id = derived_id("match", programme_id, str(mentor_id), str(mentee_id))
    fit = score(now, context)
    explanation = facts.explained(checked(now, context), fit, context.programme.criteria_version)
    step = _proposed(match_id, now, context)
    return await journal.insert_match(tx, step, facts.Proposal(fit.value, explanation))


def _proposed(match_id: UUID, pair: Pair, context: Context) -> Step:
    """Return the proposal, moved on as far as the centers' policies take it at once."""
    first = lifecycle.propose(match_id, pair, context.programme, context.now)
    then = lifecycle.advance(first.match, context.now, seats_free=pair.mentor.seats_free)
    return Step(then.match, (*first.facts, *then.facts))


async def propose_waiting(timer: Timer, tx: Tx) -> Sequence[Event]:
    """Put a programme's waiting mentees on the queue, who waits longest first, batch by batch."""
    programme_id = work.waiting_of(timer.key)
    if not timer.payload:
        await changes.forget(tx)
    waiting = await pool.list_waiting(tx, programme_id, after=_read(timer), limit=WAITING_BATCH)
    for mentee in waiting:
        await work.schedule_proposal(tx, programme_id, mentee.person_id)
    if len(waiting) == WAITING_BATCH:
        last = waiting[-1]
        payload = {"since_at": last.since_at.isoformat(), "person_id": str(last.person_id)}
        await tx.schedule(timer.kind, timer.key, tx.now, payload)
    return []


def _read(timer: Timer) -> pool.Waiting | None:
    """Return whom the batch before ended with; None for the first batch."""
    if not timer.payload:
        return None
    since_at = datetime.fromisoformat(timer.payload["since_at"])
    return pool.Waiting(UUID(timer.payload["person_id"]), since_at)
