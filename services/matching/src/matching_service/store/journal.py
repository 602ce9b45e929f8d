"""Writing down what a step made of a match: its row, its story, its timers, its facts.

A step is decided in the domain and written here whole, so that no state changes without the
event that says it, whoever decided.
"""

import json
from collections.abc import Sequence

from matching_service.domain import lifecycle
from matching_service.domain.match import Match, State, Step
from matching_service.store import facts, work
from oncomentor_contracts.event import Event
from servicekit.tx import Tx


async def insert_match(tx: Tx, step: Step, proposal: facts.Proposal) -> Sequence[Event]:
    """Write a new match; return what to say, nothing where the pair was proposed before.

    The caller holds both people's places.
    """
    match = step.match
    created = await tx.conn.fetchval(
        """
        INSERT INTO matches
               (match_id, programme_id, mentor_id, mentor_institution_id, mentor_version,
                mentor_clears_at, mentor_cleared, mentee_id, mentee_institution_id,
                mentee_version, mentee_clears_at, mentee_cleared, state, clear_by,
                response_window, score, explanation, proposed_at, steps)
        VALUES ($1, $2, $3, $4, $5, $6, false, $7, $8, $9, $10, false, 'proposed', $11, $12, $13,
                $14, $15, 0)
        ON CONFLICT DO NOTHING
        RETURNING true
        """,
        match.match_id,
        match.programme_id,
        match.mentor.person_id,
        match.mentor.institution_id,
        match.mentor.version,
        match.mentor.clears_at,
        match.mentee.person_id,
        match.mentee.institution_id,
        match.mentee.version,
        match.mentee.clears_at,
        match.clear_by,
        match.response_window,
        proposal.score,
        proposal.explanation.model_dump_json(),
        tx.now,
    )
    if not created:
        return []
    events, lines = facts.told(step, tx.now, proposal)
    await _update(tx, match, lines)
    await work.schedule_advance(tx, match.match_id, lifecycle.next_look(match, tx.now))
    return events


async def record_step(tx: Tx, before: Match, step: Step) -> Sequence[Event]:
    """Write what a step made of a match; return what to say.

    The caller holds the match's row. Besides the row and the story, the timer of the match is
    set to when time changes it next, and what its end sets off is put on the work queue: another
    mentor for the mentee, and for a seat that is free again those who wait.
    """
    after = step.match
    events, lines = facts.told(step, tx.now)
    if lines:
        await _update(tx, after, lines)
    await work.schedule_advance(tx, after.match_id, lifecycle.next_look(after, tx.now))
    if before.open and not after.open and after.state is not State.ACTIVE:
        await work.schedule_proposal(tx, after.programme_id, after.mentee.person_id)
    if before.holds_seat and not after.holds_seat:
        await work.schedule_waiting(tx, [after.programme_id])

    return events


async def _update(tx: Tx, after: Match, lines: Sequence[facts.Line]) -> None:
    """Write the row and the story.

    Lines are numbered from a count that the row keeps, since not everyone may see all of them.
    """
    await tx.conn.execute(
        """
        UPDATE matches
           SET state = $2, mentor_cleared = $3, mentee_cleared = $4, respond_by = $5,
               barred_at = CASE WHEN $6 THEN coalesce(barred_at, $10) END, barred_by = $7,
               declined_by = $8, steps = steps + $9,
               held_at = CASE WHEN $11 THEN coalesce(held_at, $10) ELSE held_at END,
               settled_at = CASE WHEN $12 THEN NULL ELSE coalesce(settled_at, $10) END
         WHERE match_id = $1
        """,
        after.match_id,
        after.state.value,
        after.mentor.cleared,
        after.mentee.cleared,
        after.respond_by,
        after.barred,
        after.barred_by,
        after.declined_by.value if after.declined_by else None,
        len(lines),
        tx.now,
        after.holds_seat,
        after.open,
    )
    await tx.conn.execute(
        """
        INSERT INTO match_steps (match_id, step, at, fact, detail, private_to)
        SELECT m.match_id, m.steps - cardinality($3::text[]) + line.number, $2, line.fact,
               line.detail::jsonb, line.private_to
          FROM matches AS m,
               unnest($3::text[], $4::text[], $5::text[]) WITH ORDINALITY
                   AS line (fact, detail, private_to, number)
         WHERE m.match_id = $1
        """,
        after.match_id,
        tx.now,
        [line.fact for line in lines],
        [json.dumps(line.detail) for line in lines],
        [line.private_to for line in lines],
    )
