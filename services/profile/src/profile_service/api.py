"""The HTTP edge: the registry, a center's own people and receipts, and the intake key."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from oncomentor_contracts.event import Body, InstitutionId, Slug
from oncomentor_contracts.institution import Institution, InstitutionChanged
from oncomentor_contracts.profile import CodedProfile
from oncomentor_contracts.programme import Programme, ProgrammeChanged
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation import (
    institution_problems,
    problems_of,
    programme_problems,
)
from oncomentor_contracts.vocabulary import nearest
from profile_service.domain import CONSORTIUM
from profile_service.store import people, receipts, registry
from servicekit.edge.auth import Principal
from servicekit.edge.http import Api, Caller, Member, Operator, ProblemError
from servicekit.tx import Tx

router = APIRouter(prefix="/v1", tags=["registry"])
M = TypeVar("M", Institution, Programme)


def _puts(model: type[Body]) -> dict[str, Any]:
    """Return the OpenAPI words of a PUT whose body the route reads itself, to tell problems better."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    content = {"application/json": {"schema": schema}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": {200: {"model": model}, 201: {"model": model}},
    }


class PersonView(Body):
    """A person as their own center may see them; contact and survivor block are not for reading."""

    person_id: UUID
    institution_id: str
    version: int
    profile: CodedProfile
    changed_at: datetime


class ReceiptView(Body):
    """What an event was answered: `outcome` is `applied` or `rejected`."""

    receipt_for: str
    event_type: str | None
    about: str | None
    outcome: str
    problems: tuple[Problem, ...]
    at: datetime


def intake_router(jwk: Mapping[str, str]) -> APIRouter:
    """Return the route that publishes the key to which centers seal; it asks for no token."""
    made = APIRouter(prefix="/v1", tags=["keys"])

    @made.get("/keys/intake")
    async def show_intake_key() -> JSONResponse:
        """The hub's public key as a JWK: seal to it with ECDH-ES and A256GCM, naming its `kid`."""
        return JSONResponse(
            dict(jwk),
            media_type="application/jwk+json",
            headers={"Cache-Control": "public, max-age=300"},
        )

    return made


@router.put("/institutions/{institution_id}", **_puts(Institution))
async def put_institution(
    institution_id: InstitutionId, request: Request, caller: Operator, api: Api
) -> JSONResponse:
    """Register a center or change its entry. 201 where it is new; an equal entry says nothing."""
    said = await _read(Institution, request)
    _require_same("institution_id", institution_id, said.institution_id)
    _require_none(institution_problems(said))
    async with api.transaction(institution_id=caller.scope) as tx:
        before, sequence = await registry.lock_institution(tx, institution_id) or (None, None)
        if said != before:
            await registry.upsert_institution(tx, said, sequence)
            await tx.say([InstitutionChanged(**dict(said))])
    return _put(said, is_new=before is None)


@router.get("/institutions")
async def list_institutions(caller: Caller, api: Api) -> list[dict[str, Any]]:
    """Return every center, by id. A center sees no one's policy but its own."""
    async with api.transaction(institution_id=caller.scope) as tx:
        found = await registry.list_institutions(tx)
    return [_shown(institution, caller) for institution in found]


@router.get("/institutions/{institution_id}")
async def show_institution(
    institution_id: InstitutionId, caller: Caller, api: Api
) -> dict[str, Any]:
    """Return a center; its policy only to itself and to operators."""
    async with api.transaction(institution_id=caller.scope) as tx:
        found = {i.institution_id: i for i in await registry.list_institutions(tx)}
    if institution_id not in found:
        raise _not_found("institution_id", "institution", institution_id, tuple(found))
    return _shown(found[institution_id], caller)


@router.put("/programmes/{programme_id}", **_puts(Programme))
async def put_programme(
    programme_id: Slug, request: Request, caller: Caller, api: Api
) -> JSONResponse:
    """Define or change a programme: operators the consortium's, a center its own.

    201 where it is new; an equal one says nothing.
    """
    said = await _read(Programme, request)
    _require_same("programme_id", programme_id, said.programme_id)
    _require_owner(said.owner, caller)
    _require_none(programme_problems(said))
    async with api.transaction(institution_id=caller.scope) as tx:
        before, sequence = await registry.lock_programme(tx, programme_id) or (None, None)
        if before is not None and before.owner != said.owner:
            raise ProblemError(409, "The id is taken", "Choose another programme id.")
        await _require_members(tx, said)
        if said != before:
            await registry.upsert_programme(tx, said, sequence)
            await tx.say([ProgrammeChanged(**dict(said))])
    return _put(said, is_new=before is None)


@router.get("/programmes")
async def list_programmes(caller: Caller, api: Api) -> list[Programme]:
    """Return every programme, by id."""
    async with api.transaction(institution_id=caller.scope) as tx:
        return await registry.list_programmes(tx)


@router.get("/programmes/{programme_id}")
async def show_programme(programme_id: Slug, caller: Caller, api: Api) -> Programme:
    """Return a programme."""
    async with api.transaction(institution_id=caller.scope) as tx:
        found = {p.programme_id: p for p in await registry.list_programmes(tx)}
    if programme_id not in found:
        raise _not_found("programme_id", "programme", programme_id, tuple(found))
    return found[programme_id]


@router.get("/people/{person_id}")
async def show_person(person_id: UUID, caller: Caller, api: Api) -> PersonView:
    """Return one of the caller's own people; anyone else's is not found."""
    async with api.transaction(institution_id=caller.scope) as tx:
        person = await people.get_person(tx, person_id)
    if person is None:
        raise ProblemError(404, "No such person", "Ask for a person whom your center submitted.")
    return PersonView(
        person_id=person.person_id,
        institution_id=person.institution_id,
        version=person.version,
        profile=person.profile,
        changed_at=person.changed_at,
    )


@router.get("/receipts/{event_id}")
async def show_receipt(event_id: str, member: Member, api: Api) -> ReceiptView:
    """Return what one of the center's events was answered, by Kafka or by HTTP."""
    institution_id = member.institution_id or ""
    async with api.transaction(institution_id=institution_id) as tx:
        receipt = await receipts.get_receipt(tx, institution_id, event_id)
    if receipt is None:
        raise ProblemError(
            404,
            "No receipt",
            "The event is not answered yet, or never came: look again, or resend.",
        )
    return ReceiptView(
        receipt_for=receipt.receipt_for,
        event_type=receipt.event_type,
        about=receipt.about,
        outcome=receipt.outcome,
        problems=receipt.problems,
        at=receipt.at,
    )


async def _read(model: type[M], request: Request) -> M:
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise _unprocessable(problems_of(error)) from error


def _require_none(problems: list[Problem]) -> None:
    if problems:
        raise _unprocessable(problems)


def _require_same(field: str, in_path: str, in_body: str) -> None:
    if in_path != in_body:
        fix = f"send {in_path}, or put to the path of the other"
        _require_none(
            [Problem(field=field, rule="differs", message="differs from the path", fix=fix)]
        )


def _require_owner(owner: str, caller: Principal) -> None:
    """Row-level security would refuse it too, but without saying how to mend it."""
    if owner == caller.scope:
        return
    fix = f"set owner to {caller.scope}"
    problem = Problem(
        field="owner", rule="not_owner", message="only its owner may define a programme", fix=fix
    )
    raise ProblemError(403, "Not the owner", "Define programmes of your own.", [problem])


async def _require_members(tx: Tx, programme: Programme) -> None:
    participants = programme.participants or ()
    owners = () if programme.owner == CONSORTIUM else (programme.owner,)
    unknown = await registry.list_unknown_institutions(tx, [*owners, *participants])
    if not unknown:
        return
    known = [institution.institution_id for institution in await registry.list_institutions(tx)]
    places = [("owner", owner) for owner in owners]
    places += [(f"participants[{i}]", name) for i, name in enumerate(participants)]
    _require_none(
        [_unknown(place, "institution", name, known) for place, name in places if name in unknown]
    )


def _unknown(field: str, kind: str, wanted: str, known: Collection[str]) -> Problem:
    return Problem(
        field=field,
        rule=f"unknown_{kind}",
        message=f"the registry has no {kind} {wanted}",
        fix=f"use the id of a registered {kind}",
        suggestions=nearest(wanted, known),
    )


def _not_found(field: str, kind: str, wanted: str, known: Collection[str]) -> ProblemError:
    problem = _unknown(field, kind, wanted, known)
    return ProblemError(404, f"No such {kind}", "See 'suggestions' for the nearest.", [problem])


def _unprocessable(problems: list[Problem]) -> ProblemError:
    return ProblemError(
        422, "Not accepted", "Mend what 'problems' names; nothing was stored.", problems
    )


def _shown(institution: Institution, caller: Principal) -> dict[str, Any]:
    """Whom a center refuses as partners is between it and the network."""
    is_own = caller.scope in {CONSORTIUM, institution.institution_id}
    return institution.model_dump(mode="json", exclude=None if is_own else {"policy"})


def _put(said: Body, *, is_new: bool) -> JSONResponse:
    return JSONResponse(said.model_dump(mode="json"), status_code=201 if is_new else 200)
