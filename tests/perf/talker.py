"""A service of the kernel that says what it is told to: `POST /say?count=n`, n events a commit."""

import asyncio
import time
from pathlib import Path
from uuid import uuid4

from fastapi import APIRouter

from oncomentor_contracts.profile import ProfileChanged
from servicekit.edge.http import Worker
from servicekit.observing import log
from servicekit.process import serving
from servicekit.service import Service
from servicekit.settings import Settings

router = APIRouter()


@router.post("/say")
async def say(count: int, worker: Worker) -> dict[str, float | list[str]]:
    """Say events of as many new people in one transaction; tell who, and when it was committed."""
    events = [_state(str(uuid4())) for _ in range(count)]
    async with worker.transaction() as tx:
        await tx.say(events)
    return {"committed_at": time.time(), "people": [event.subject for event in events]}


def _state(person_id: str) -> ProfileChanged:
    return ProfileChanged.model_validate(
        {
            "person_id": person_id,
            "institution_id": "harbor-demo",
            "version": 1,
            "profile": {
                "profession": "medical_oncologist",
                "languages": ["en", "pt"],
                "time_zone": "Europe/Lisbon",
            },
            "changed_at": "2026-01-05T09:00:00Z",
        }
    )


if __name__ == "__main__":
    settings = Settings()
    log.configure("profile", "info")
    asyncio.run(
        serving.run(
            Service(
                name="profile",
                settings=settings,
                subscriptions=[],
                routers=[router],
                migrations=Path(),
            )
        )
    )
