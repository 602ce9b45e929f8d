"""The quarantine over HTTP: operators list, look, retry and discard.

Values may be personal: they leave only by their own path, and who read one is logged.
"""

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from oncomentor_contracts.envelope import Header
from servicekit.edge.http import Operator, ProblemError, Worker
from servicekit.hearing import quarantine
from servicekit.hearing.quarantine import Selection
from servicekit.keeping.kept import RefusedError, UnknownRecordError
from servicekit.keeping.requeue import Answer, Requeue
from servicekit.observing.log import logger

_log = logger(__name__)
router = APIRouter(prefix="/ops/quarantine", tags=["operations"])


class Discard(BaseModel):
    """Why a record is given up; it is kept with the record, so nothing personal belongs in it."""

    reason: str = Field(min_length=3, max_length=500)


def _requeue(request: Request, worker: Worker) -> Requeue:
    return Requeue(worker, request.app.state.running.service.subscriptions)


RecordId = Annotated[int, Path(ge=1, lt=2**63)]
Desk = Annotated[Requeue, Depends(_requeue)]


@router.get("")
async def list_records(
    _: Operator, worker: Worker, wanted: Annotated[Selection, Query()]
) -> dict[str, Any]:
    """Return counts by reason and state, and the open records that were asked for."""
    async with worker.transaction() as tx:
        counted = await quarantine.counts(tx)
        records = await quarantine.list_open(tx, wanted)
    counts = [
        {"reason_class": reason_class, "state": state, "records": number}
        for (reason_class, state), number in counted.items()
    ]
    return {"counts": counts, "records": records}


@router.get("/{quarantine_id}")
async def show_record(quarantine_id: RecordId, _: Operator, worker: Worker) -> dict[str, Any]:
    """Return everything known of a record but its value."""
    async with worker.transaction() as tx:
        record = await quarantine.get(tx, quarantine_id)
    if record is None:
        raise _unknown(quarantine_id)
    names, values = record.pop("header_names"), record.pop("header_values")
    headers = [_header(header) for header in zip(names, values, strict=True)]
    return record | {"record_key": _text(record["record_key"]), "headers": headers}


@router.get("/{quarantine_id}/value")
async def read_value(quarantine_id: RecordId, caller: Operator, worker: Worker) -> Response:
    """Return the bytes of a record's value, and log who read them."""
    async with worker.transaction() as tx:
        record = await quarantine.get(tx, quarantine_id)
        value = await quarantine.get_value(tx, quarantine_id)
    if record is None:
        raise _unknown(quarantine_id)
    _log.info(
        "quarantine_read",
        by=caller.subject,
        quarantine_id=quarantine_id,
        topic=record["topic"],
        event_id=str(record["event_id"]) if record["event_id"] else None,
    )
    if value is None:
        raise ProblemError(404, "No value", "The record is a tombstone: it has none.")
    return Response(value, media_type="application/octet-stream")


@router.post("/{quarantine_id}/retry")
async def retry_record(quarantine_id: RecordId, caller: Operator, desk: Desk) -> Answer:
    """Apply a record after all, with its first id and cause, and release what waited for it."""
    try:
        return await desk.retry(quarantine_id, caller.subject)
    except UnknownRecordError as error:
        raise _unknown(quarantine_id) from error
    except RefusedError as error:
        raise _refused(quarantine_id, error) from error


@router.post("/{quarantine_id}/discard")
async def discard_record(
    quarantine_id: RecordId, discard: Discard, caller: Operator, desk: Desk
) -> Answer:
    """Give a record up; what waited for it goes on without it."""
    try:
        return await desk.discard(quarantine_id, caller.subject, discard.reason)
    except UnknownRecordError as error:
        raise _unknown(quarantine_id) from error
    except RefusedError as error:
        raise _refused(quarantine_id, error) from error


def _unknown(quarantine_id: int) -> ProblemError:
    return ProblemError(404, "Not in quarantine", f"There is no record {quarantine_id} here.")


def _refused(quarantine_id: int, error: RefusedError) -> ProblemError:
    _log.info("quarantine_refused", quarantine_id=quarantine_id)
    return ProblemError(409, "Refused", str(error))


def _header(header: Header) -> dict[str, str | None]:
    name, value = header
    return {"name": name, "value": _text(value)}


def _text(value: bytes | None) -> str | None:
    """Return bytes as text where they are text, else base64 that says so."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(value).decode()}"
