"""The life of a match, each step as its own fact."""

from typing import Annotated

from pydantic import Field

from oncomentor_contracts import topics
from oncomentor_contracts.event import (
    Body,
    Event,
    Instant,
    InstitutionId,
    Line,
    MatchId,
    OpenEnum,
    PersonId,
    Share,
    Slug,
)
from oncomentor_contracts.programme import Criterion


class Side(OpenEnum):
    """Which half of a pair."""

    MENTOR = "mentor"
    MENTEE = "mentee"
    UNKNOWN = "unknown"


class ClearedBy(OpenEnum):
    """Who cleared a pair for a center."""

    PERSON = "person"
    POLICY = "policy"
    UNKNOWN = "unknown"


class Stage(OpenEnum):
    """What a match was waiting for."""

    CLEARANCE = "clearance"
    MENTOR = "mentor"
    MENTEE = "mentee"
    UNKNOWN = "unknown"


class WithdrawalReason(OpenEnum):
    """Why an open proposal was taken back."""

    PERSON_LEFT = "person_left"
    PERSON_PAUSED = "person_paused"
    RULE_BROKEN = "rule_broken"
    INSTITUTION_LEFT = "institution_left"
    UNKNOWN = "unknown"


class Answer(OpenEnum):
    """What a center answers: for itself (clear, veto) or on a person's behalf."""

    CLEAR = "clear"
    VETO = "veto"
    ACCEPT = "accept"
    DECLINE = "decline"
    UNKNOWN = "unknown"


class Party(Body):
    """One person of a pair, at the version of the profile that was judged."""

    person_id: PersonId
    institution_id: InstitutionId
    profile_version: Annotated[int, Field(ge=1)]


class RuleChecked(Body):
    """A hard rule the pair was held against, and the fact that satisfied it."""

    rule: Slug
    fact: Line


class Contribution(Body):
    """What one criterion gave; the points of all of them sum to the score."""

    criterion: Criterion
    weight: Share
    """The programme's weight, as a share of all weights."""
    value: Share | None
    """None where data is missing: neutral, its weight is shared by the others."""
    points: Share
    reason: Line


class Explanation(Body):
    """Why this pair: rules checked with facts, and contributions that sum to the score."""

    criteria_version: Annotated[int, Field(ge=1)]
    rules: tuple[RuleChecked, ...]
    contributions: tuple[Contribution, ...]


class MatchProposed(Event):
    """A pair was found; both centers are asked to clear it."""

    TYPE = "match.proposed.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId
    programme_id: Slug
    mentor: Party
    mentee: Party
    score: Share
    explanation: Explanation
    clear_by: Instant


class MatchCleared(Event):
    """One center has said yes to the pair."""

    TYPE = "match.cleared.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId
    institution_id: InstitutionId
    by: ClearedBy


class MatchOffered(Event):
    """A person is asked; from the offer to the mentor on, a seat of the mentor is held."""

    TYPE = "match.offered.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId
    to: Side
    person_id: PersonId
    respond_by: Instant


class MatchAccepted(Event):
    """A person has said yes."""

    TYPE = "match.accepted.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId
    by: Side
    person_id: PersonId


class MatchActivated(Event):
    """Both centers and both people have said yes: the pair may meet."""

    TYPE = "match.activated.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId
    programme_id: Slug
    mentor: Party
    mentee: Party
    activated_at: Instant


class MatchDeclined(Event):
    """A person has said no; the pair is not proposed again."""

    TYPE = "match.declined.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId
    by: Side
    person_id: PersonId


class MatchExpired(Event):
    """Nobody answered in time."""

    TYPE = "match.expired.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId
    waiting_for: Stage


class MatchNotAvailable(Event):
    """The pair cannot be; whatever the cause, it reads alike."""

    TYPE = "match.not_available.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId


class MatchSuperseded(Event):
    """No seat was left when the offer would have gone out."""

    TYPE = "match.superseded.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId


class MatchWithdrawn(Event):
    """The proposal was taken back before it became a match."""

    TYPE = "match.withdrawn.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId
    reason: WithdrawalReason


class ResponseGiven(Event):
    """A center answers for itself, or passes on what one of its people answered."""

    TYPE = "response.given.v1"
    TOPIC = topics.INGRESS_RESPONSE
    SUBJECT = "match_id"

    institution_id: InstitutionId
    match_id: MatchId
    answer: Answer
    person_id: PersonId | None = None
    """Who accepted or declined; None where the center answers for itself."""
