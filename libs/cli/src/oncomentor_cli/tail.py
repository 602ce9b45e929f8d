"""`oncomentor tail`: the records of a topic as they come."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from oncomentor_cli.console import emit, note, quiet_libraries, show
from oncomentor_cli.home import load_credentials
from oncomentor_client.subscriber import Received, Start, Subscriber
from oncomentor_contracts.topics import TOPICS, topic_of

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    topic: str
    holder: str
    start: str
    limit: int | None
    idle_seconds: float | None
    as_json: bool
    credentials: Path | None


def run(request: Request) -> None:
    """Print records until the limit, the silence or Ctrl-C."""
    quiet_libraries()
    asyncio.run(_tail(request))


async def _tail(request: Request) -> None:
    credentials = load_credentials(request.holder, request.credentials)
    name = topic_named(request.topic, credentials.own_institution_id)
    shown, heard_at = 0, time.monotonic()
    async with Subscriber(credentials, name, start=start_of(request.start)) as subscriber:
        note(f"listening to {name} as {request.holder}")
        while request.limit is None or shown < request.limit:
            for received in await subscriber.fetch(_POLL_SECONDS):
                heard_at = time.monotonic()
                _print(received, as_json=request.as_json)
                shown += 1
                if shown == request.limit:
                    return
            if (
                request.idle_seconds is not None
                and time.monotonic() - heard_at > request.idle_seconds
            ):
                return


def topic_named(word: str, institution_id: str | None) -> str:
    """Return the topic's full name: itself, or the one of the holder that ends in the word.

    Raises:
        typer.BadParameter: there is no such topic.
    """
    if topic_of(word) is not None:
        return word
    known = [
        topic.named(institution_id if topic.is_template else None)
        for topic in TOPICS
        if topic.is_template == (institution_id is not None)
    ]
    ending = [name for name in known if name.rpartition(".")[2] == word]
    readable = [name for name in ending if not name.startswith("ingress.")]
    if len(readable) == 1:
        return readable[0]
    raise typer.BadParameter(f"there is no topic '{word}': there are {', '.join(known)}")


def start_of(word: str) -> Start:
    """Return where to begin.

    Raises:
        typer.BadParameter: the word is none of those there are.
    """
    if word == "beginning":
        return "beginning"
    if word == "now":
        return "latest"
    try:
        instant = datetime.fromisoformat(word)
    except ValueError:
        raise typer.BadParameter(
            "--from is beginning, now, or an instant such as 2026-03-02T09:00Z"
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _print(received: Received, *, as_json: bool) -> None:
    if as_json:
        emit(_json(received))
        return
    envelope = received.envelope
    kind = envelope.type if envelope else "unreadable"
    about = envelope.subject if envelope else (received.key or b"").decode(errors="replace")
    told = received.fault or _compact(received.value)
    show(f"{received.at:%Y-%m-%d %H:%M:%S}  {kind}  {about}  {told}")


def _json(received: Received) -> dict[str, Any]:
    attributes = received.envelope.attributes() if received.envelope else None
    return {
        "topic": received.topic,
        "partition": received.partition,
        "offset": received.offset,
        "at": received.at.isoformat(),
        "attributes": attributes,
        "data": _parsed(received.value),
        "fault": received.fault,
    }


def _parsed(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value)
    except ValueError:
        return value.decode(errors="replace")


def _compact(value: bytes | None) -> str:
    return "deleted" if value is None else json.dumps(_parsed(value), ensure_ascii=False)
