"""What operators and orchestrators ask a service: is it alive, is it ready, where does it stand."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from servicekit.edge import quarantine_api
from servicekit.edge.http import Operator
from servicekit.observing import telemetry

if TYPE_CHECKING:
    from servicekit.process.running import Running

_FROZEN_SECONDS = 30.0  # a poll loop that has not come round for this long will not by itself
router = APIRouter()
router.include_router(quarantine_api.router)


@router.get("/health/live")
async def live(request: Request) -> JSONResponse:
    """Tell whether the poll loops still turn; restart the process when they don't."""
    running: Running = request.app.state.running
    age = max((time.monotonic() - c.polling.ticked_at for c in running.consumers), default=0.0)
    ok = age < _FROZEN_SECONDS
    body = {"status": "ok" if ok else "frozen", "tick_age_seconds": round(age, 1)}
    return JSONResponse(body, status_code=200 if ok else 503)


@router.get("/health/ready")
async def ready(request: Request) -> JSONResponse:
    """Tell whether the service does its work: partitions assigned, database there, relay up.

    `degraded` is ready with complaints: what `missing` names would be no better elsewhere.
    """
    running: Running = request.app.state.running
    health = await running.health()
    body = {"status": health.word, "missing": health.missing + health.complaints}
    return JSONResponse(body, status_code=503 if health.missing else 200)


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Return the metrics for Prometheus; asked within the cluster, they hold no secret."""
    text = await asyncio.to_thread(telemetry.exposition)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/ops/status")
async def status(request: Request, _: Operator) -> dict[str, Any]:
    """Return every partition, the relay, and what waits, for an operator."""
    running: Running = request.app.state.running
    return await running.status()
