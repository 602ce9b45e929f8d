"""The contracts as the next release may have them: an optional field and a type more."""

import json
from collections.abc import Sequence
from typing import Any

from oncomentor_contracts import topics
from oncomentor_contracts.event import Event, MatchId, PersonId
from oncomentor_contracts.events import BY_TYPE
from oncomentor_contracts.matching import MatchAccepted, ResponseGiven
from servicekit.subscription import Handler
from servicekit.tx import Tx
from testkit.faults import store


class MatchNoted(Event):
    """A fact that today's code does not know."""

    TYPE = "match.noted.v1"
    TOPIC = topics.MATCHING_MATCH
    SUBJECT = "match_id"

    match_id: MatchId
    person_id: PersonId


def know_more() -> None:
    """Read and write the next release's contracts in this process."""
    BY_TYPE[MatchNoted.TYPE] = MatchNoted
    plain: Any = MatchAccepted.data

    def with_more(event: MatchAccepted) -> bytes | None:
        data = plain(event)
        return json.dumps({**json.loads(data or b"{}"), "weather": "fair"}).encode()

    MatchAccepted.data = with_more  # type: ignore[method-assign, assignment]


def noting(handler: Handler) -> Handler:
    """Return a handler of answers that says the new fact too."""

    async def handle(event: ResponseGiven, tx: Tx) -> Sequence[Event]:
        said = await handler(event, tx)
        assert event.person_id is not None
        return [*said, MatchNoted(match_id=event.match_id, person_id=event.person_id)]

    return handle


async def hear_noted(event: MatchNoted, tx: Tx) -> Sequence[Event]:
    """Note the new fact."""
    await store.insert_heard(tx, [event])
    return []
