"""Checks of pairs: their steps, the rules they keep, the seats they take."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from oncomentor_cli.demo.cast import PROGRAMMES
from oncomentor_cli.demo.observed import Match
from oncomentor_cli.demo.rules import broken_rules, seats, wanted
from oncomentor_cli.demo.world import PROGRAMME_BY_ID, World
from oncomentor_contracts.event import Event
from oncomentor_contracts.matching import (
    MatchAccepted,
    MatchActivated,
    MatchCleared,
    MatchOffered,
    Side,
)

_TOLERANCE: Final = 1e-6


def programme_failures(world: World) -> Iterator[str]:
    """Yield programmes without an active match."""
    served = {match.proposal.programme_id for match in world.observation.active()}
    for programme in PROGRAMMES:
        if programme.programme_id not in served:
            yield f"{programme.programme_id} has none"


def step_failures(world: World) -> Iterator[str]:
    """Yield matches that stopped on their way, and active ones that skipped a step."""
    for match in world.observation.matches.values():
        match_id = match.proposal.match_id
        if match.ending is not None:
            continue
        if not match.is_active:
            told = [_step(one.event) for one in match.steps] or ["nothing"]
            yield f"match {match_id} stopped after: {', '.join(told)}"
            continue
        for wrong in _disorder(match):
            yield f"match {match_id}: {wrong}"


def rule_failures(world: World) -> Iterator[str]:
    """Yield pairs that break a hard rule."""
    for match in world.observation.matches.values():
        programme_id, mentor_id, mentee_id = match.pair
        programme = PROGRAMME_BY_ID.get(programme_id)
        mentor, mentee = world.people.get(mentor_id), world.people.get(mentee_id)
        if programme is None or mentor is None or mentee is None:
            yield f"match {match.proposal.match_id} is of a person or programme nobody published"
            continue
        if broken := broken_rules(mentor, mentee, programme, match.proposed.at):
            yield (
                f"match {match.proposal.match_id} ({mentor.center_id} {mentor.local_id} and "
                f"{mentee.center_id} {mentee.local_id}) breaks {', '.join(broken)}"
            )


def score_failures(world: World) -> Iterator[str]:
    """Yield proposals whose parts don't sum to their score."""
    for match in world.observation.matches.values():
        said = match.proposal
        total = sum(part.points for part in said.explanation.contributions)
        if abs(total - said.score) > _TOLERANCE:
            yield f"match {said.match_id}: the parts sum to {total:.6f}, the score is {said.score:.6f}"
        if not said.explanation.rules:
            yield f"match {said.match_id} names no rule that was checked"


def seat_failures(world: World) -> Iterator[str]:
    """Yield people with more active matches than they have seats, or want mentors."""
    pairs = [match.pair for match in world.observation.active()]
    for (programme_id, mentor_id), taken in Counter((p, m) for p, m, _ in pairs).items():
        mentor = world.people.get(mentor_id)
        if mentor and taken > (has := seats(mentor, PROGRAMME_BY_ID[programme_id])):
            yield f"{mentor.center_id} {mentor.local_id} has {has} seats, {taken} are taken"
    for (programme_id, mentee_id), taken in Counter((p, m) for p, _, m in pairs).items():
        mentee = world.people.get(mentee_id)
        if mentee and taken > (asks := wanted(mentee, PROGRAMME_BY_ID[programme_id])):
            yield f"{mentee.center_id} {mentee.local_id} wants {asks} mentors, has {taken}"


def _disorder(match: Match) -> Iterator[str]:
    said = match.proposal
    cleared = {
        one.event.institution_id for one in match.steps if isinstance(one.event, MatchCleared)
    }
    needed = {said.mentor.institution_id, said.mentee.institution_id}
    if cleared != needed:
        yield f"cleared by {sorted(cleared)}, not by {sorted(needed)}"
    wanted_order = [
        ("offered", Side.MENTOR), ("accepted", Side.MENTOR),
        ("offered", Side.MENTEE), ("accepted", Side.MENTEE),
    ]  # fmt: skip
    order = [step for one in match.steps if (step := _ask_or_answer(one.event)) is not None]
    if order != wanted_order:
        yield f"asked and answered as {order}"
    if len(match.of(MatchActivated)) != 1:
        yield f"activated {len(match.of(MatchActivated))} times"


def _ask_or_answer(event: Event) -> tuple[str, Side] | None:
    if isinstance(event, MatchOffered):
        return "offered", event.to
    if isinstance(event, MatchAccepted):
        return "accepted", event.by
    return None


def _step(event: Event) -> str:
    asked = _ask_or_answer(event)
    if asked is not None:
        return f"{asked[0]} ({asked[1].value})"
    if isinstance(event, MatchCleared):
        return f"cleared by {event.institution_id}"
    return event.TYPE
