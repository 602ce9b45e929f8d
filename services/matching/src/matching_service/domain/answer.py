"""What a center's answer does to a match, and when it is no answer to what was asked."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from matching_service.domain import lifecycle
from matching_service.domain.match import (
    OFFERED,
    Accepted,
    Activated,
    Cleared,
    Declined,
    Match,
    Side,
    State,
    Step,
    Unheeded,
)


@dataclass(frozen=True, slots=True)
class Response:
    """One answer of one center, as it was given."""

    institution_id: str
    answer: str
    person_id: UUID | None


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same answer had been given before, and counts."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No answer to what was asked; the texts are for the center that gave it."""

    rule: str
    field: str
    message: str
    fix: str
    suggestions: tuple[str, ...] = ()


Result = Step | Repeated | Refused

ANSWERS = ("clear", "veto", "accept", "decline")


def answer(match: Match, response: Response, now: datetime) -> Result:
    """Return what an answer makes of a match.

    The center is a party of the match. A barred match takes answers as if it were not, so that
    nobody can find out by answering.
    """
    match response.answer:
        case "clear":
            return _clear(match, response)
        case "veto":
            return _veto(match, response)
        case "accept" | "decline":
            return _person_answers(match, response, now)
        case _:
            return Refused(
                "unknown_answer",
                "answer",
                "this answer is not known",
                "Send an answer that is known.",
                ANSWERS,
            )


def _clear(match: Match, response: Response) -> Result:
    center = response.institution_id
    if match.barred_by == center:
        return _unexpected(match, "this center has said no to the pair before")
    if all(match.party(side).cleared for side in match.sides_of(center)):
        return Repeated()
    if match.state is not State.PROPOSED:
        return _unexpected(match, "clearance is over")

    return Step(lifecycle.clear(match, center), (Cleared(center, by_policy=False),))


def _veto(match: Match, response: Response) -> Result:
    center = response.institution_id
    if match.barred_by == center:
        return Repeated()
    if not match.open:
        return _unexpected(match, "a veto counts until the pair is active")
    if match.barred:
        return Step(match, (Unheeded(center, "veto"),))

    return lifecycle.bar(match, center)


def _person_answers(match: Match, response: Response, now: datetime) -> Result:
    side = _side(match, response)
    if side is None:
        return Refused(
            "wrong_person",
            "person_id",
            "accept and decline name the center's own person of this match",
            "Send the person_id that the match names for your center.",
        )
    if response.answer == "accept" and _has_accepted(match, side):
        return Repeated()
    if match.state is State.DECLINED and response.answer == "decline" and match.declined_by is side:
        return Repeated()
    if OFFERED.get(match.state) is not side:
        return _unexpected(match, f"the {side.value} is not being asked")
    if response.answer == "decline":
        fact = Declined(side, match.party(side).person_id)
        declined = replace(match, declined_by=side)
        return lifecycle.end(declined, State.DECLINED, fact)

    return _accept(match, side, response, now)


def _side(match: Match, response: Response) -> Side | None:
    """Return the half that the answer is given for; None where it names nobody of the center."""
    return next(
        (
            side
            for side in match.sides_of(response.institution_id)
            if match.party(side).person_id == response.person_id
        ),
        None,
    )


def _has_accepted(match: Match, side: Side) -> bool:
    if side is Side.MENTOR:
        return match.state in {State.OFFERED_TO_MENTEE, State.ACTIVE}
    return match.state is State.ACTIVE


def _accept(match: Match, side: Side, response: Response, now: datetime) -> Step:
    if match.barred:
        return Step(match, (Unheeded(response.institution_id, "accept"),))
    accepted = Accepted(side, match.party(side).person_id)
    if side is Side.MENTOR:
        offered = lifecycle.offer(match, Side.MENTEE, now)
        return Step(offered.match, (accepted, *offered.facts))

    return Step(replace(match, state=State.ACTIVE), (accepted, Activated()))


def _unexpected(match: Match, why: str) -> Refused:
    return Refused(
        "not_expected_now",
        "answer",
        f"{why}; the match is {match.state.value}",
        _expected(match),
    )


def _expected(match: Match) -> str:
    asked = OFFERED.get(match.state)
    if asked is not None:
        return f"Expected now: accept or decline of the {asked.value}, or veto."
    if match.state is State.PROPOSED:
        return "Expected now: clear or veto of each center."
    return "No answer is expected any more."
