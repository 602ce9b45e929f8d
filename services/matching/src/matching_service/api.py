"""The HTTP edge: how matches stand, each one's story, and the pool of a programme."""

import json
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from matching_service.domain.match import State
from matching_service.store import views
from oncomentor_contracts.event import Slug
from oncomentor_contracts.matching import Explanation
from servicekit.edge.http import Api, Caller, Operator, ProblemError

router = APIRouter(prefix="/v1", tags=["matching"])

_LONGEST_PAGE = 200
_WAITING_SHOWN = 100


class PartyView(BaseModel):
    """One half of a match."""

    person_id: UUID
    institution_id: str
    profile_version: int
    cleared: bool


class MatchView(BaseModel):
    """How a match stands."""

    match_id: UUID
    programme_id: str
    state: State
    score: float
    mentor: PartyView
    mentee: PartyView
    proposed_at: AwareDatetime
    clear_by: AwareDatetime
    respond_by: AwareDatetime | None
    settled_at: AwareDatetime | None

    @classmethod
    def of(cls, row: views.Row) -> Self:
        """Return what a row of the store says."""
        return cls(mentor=_party(row, "mentor"), mentee=_party(row, "mentee"), **_own(row))


class MatchPage(BaseModel):
    """Matches, the newest first; `next` is the `before` of the next page, if there is one."""

    matches: list[MatchView]
    next: UUID | None


class StepView(BaseModel):
    """One thing that happened to a match."""

    at: AwareDatetime
    fact: str
    detail: dict[str, Any]


class MatchStory(MatchView):
    """A match with why the pair was proposed and everything that happened since."""

    explanation: Explanation
    history: list[StepView]


class CenterPool(BaseModel):
    """One center's part of a programme's pool."""

    institution_id: str
    mentors: int
    mentees: int
    paused: int
    seats: int
    seats_taken: int
    waiting: int


class WaitingView(BaseModel):
    """A mentee who waits for a mentor."""

    person_id: UUID
    institution_id: str
    since_at: AwareDatetime


class PoolView(BaseModel):
    """A programme's pool, and the first of those who wait, longest first."""

    programme_id: str
    centers: list[CenterPool]
    waiting: int
    waiting_longest: list[WaitingView]


@router.get("/matches")
async def list_matches(
    caller: Caller,
    api: Api,
    programme: Slug | None = None,
    state: State | None = None,
    before: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=_LONGEST_PAGE)] = 50,
) -> MatchPage:
    """Return a center's own matches, or every match to an operator."""
    async with api.transaction(institution_id=caller.scope) as tx:
        rows = await views.list_matches(
            tx,
            programme_id=programme,
            state=state.value if state else None,
            before=before,
            limit=limit + 1,
        )
    page = [MatchView.of(row) for row in rows[:limit]]
    return MatchPage(matches=page, next=page[-1].match_id if len(rows) > limit else None)


@router.get("/matches/{match_id}")
async def get_match(match_id: UUID, caller: Caller, api: Api) -> MatchStory:
    """Return one match with its explanation and its story, to its centers and to operators."""
    async with api.transaction(institution_id=caller.scope) as tx:
        row = await views.get_match(tx, match_id)
        steps = await views.list_steps(tx, match_id)
    if row is None:
        raise ProblemError(
            404, "No such match", "Look it up in GET /v1/matches; a center sees its own."
        )

    return MatchStory(
        mentor=_party(row, "mentor"),
        mentee=_party(row, "mentee"),
        explanation=Explanation.model_validate_json(row["explanation"]),
        history=[StepView(**{**step, "detail": json.loads(step["detail"])}) for step in steps],
        **_own(row),
    )


@router.get("/programmes/{programme_id}/pool")
async def get_pool(programme_id: Slug, operator: Operator, api: Api) -> PoolView:
    """Return how many mentors, seats and mentees each center has in a programme, and who waits."""
    async with api.transaction(institution_id=operator.scope) as tx:
        if not await views.has_programme(tx, programme_id):
            raise ProblemError(
                404, "No such programme", "Matching has not heard of it; check the id."
            )
        centers = await views.count_pool(tx, programme_id)
        waiting = await views.list_longest_waiting(tx, programme_id, _WAITING_SHOWN)

    return PoolView(
        programme_id=programme_id,
        centers=[CenterPool(**row) for row in centers],
        waiting=sum(row["waiting"] for row in centers),
        waiting_longest=[WaitingView(**row) for row in waiting],
    )


def _party(row: views.Row, side: str) -> PartyView:
    return PartyView(
        person_id=row[f"{side}_id"],
        institution_id=row[f"{side}_institution_id"],
        profile_version=row[f"{side}_version"],
        cleared=row[f"{side}_cleared"],
    )


def _own(row: views.Row) -> dict[str, Any]:
    """Return the fields of a row that stand in the view under the same name."""
    names = MatchView.model_fields.keys() - {"mentor", "mentee"}
    return {name: row[name] for name in names}
