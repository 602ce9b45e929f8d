"""What became of messages, for the centers whose people they are for."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from notification_service.store import deliveries as store
from servicekit.edge.http import Api, Caller

router = APIRouter(prefix="/v1")


class Delivery(BaseModel):
    """One decided message: ids, words and times; never a name, an address or what it said."""

    delivery_id: UUID
    person_id: UUID
    institution_id: str
    match_id: UUID
    session_id: UUID | None
    template: str
    channel: str
    state: str
    reason: str | None
    decided_at: AwareDatetime
    settled_at: AwareDatetime | None


class Deliveries(BaseModel):
    """Newest first; for older ones ask again with `after` = the last one's `delivery_id`."""

    deliveries: list[Delivery]


class Wanted(BaseModel):
    """Which deliveries to list; what is left out asks for any."""

    model_config = ConfigDict(extra="forbid")

    match_id: UUID | None = None
    person_id: UUID | None = None
    state: Literal["intended", "sent", "failed"] | None = None
    after: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


@router.get("/deliveries")
async def list_deliveries(
    wanted: Annotated[Wanted, Query()], caller: Caller, api: Api
) -> Deliveries:
    """List a center's deliveries, or everybody's to an operator."""
    page = store.Page(wanted.match_id, wanted.person_id, wanted.state, wanted.after, wanted.limit)
    async with api.transaction(institution_id=caller.scope) as tx:
        found = await store.list_deliveries(tx, page)
    return Deliveries(
        deliveries=[Delivery.model_validate(delivery, from_attributes=True) for delivery in found]
    )
