"""A publishing session put together: journal, key and route of one center."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from oncomentor_client.credentials import Credentials
from oncomentor_client.http_route import HttpRoute
from oncomentor_client.intake import pinned_intake_key
from oncomentor_client.journal import Journal
from oncomentor_client.kafka_route import KafkaRoute
from oncomentor_client.publisher import Publisher

_SKEW = timedelta(minutes=5)  # a receipt carries the hub's clock, an event id the center's


class Via(StrEnum):
    """How events travel."""

    KAFKA = "kafka"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What may differ from one run to the next."""

    via: Via = Via.KAFKA
    patience: timedelta = timedelta(seconds=60)
    accept_key: str | None = None
    """Thumbprint of a new intake key that the operator announced."""


def journal_path(folder: Path) -> Path:
    """Return the journal's file in a center's journal folder."""
    return folder / "journal.log"


@asynccontextmanager
async def publishing(
    credentials: Credentials, folder: Path, options: SessionOptions | None = None
) -> AsyncIterator[Publisher]:
    """Yield a publisher that goes on where the last run stopped, however it stopped.

    `folder` belongs to this center and this network, and must outlive the run.

    Raises:
        ClientError: each of its kinds; nothing was sent.
    """
    chosen = options or SessionOptions()
    journal_file = journal_path(folder)
    with Journal(journal_file, credentials.institution_id, credentials.center_key) as journal:
        key = await pinned_intake_key(
            credentials, folder / "intake-key.json", accept=chosen.accept_key
        )
        if chosen.via is Via.HTTP:
            async with HttpRoute(credentials, "profile") as http:
                yield Publisher(credentials, journal, key, http, patience=chosen.patience)
            return
        oldest = journal.oldest_open_at()
        async with KafkaRoute(credentials, oldest and oldest - _SKEW) as kafka:
            publisher = Publisher(credentials, journal, key, kafka, patience=chosen.patience)
            if oldest is not None:
                publisher.take(await kafka.answered_so_far())
            yield publisher
