"""Answering matches: for the center itself, or for one of its people who told it so."""

from datetime import UTC, datetime
from uuid import UUID

from oncomentor_client.credentials import Credentials
from oncomentor_client.message import Outgoing, Route, outgoing
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.matching import Answer, ResponseGiven


class Responder:
    """Says clear, veto, accept or decline over a route that is open (to `matching` for HTTP).

    The event's id follows from what is answered: an answer that is given twice, by a retry or by
    a second system of the center, is one answer.
    """

    def __init__(self, credentials: Credentials, route: Route) -> None:
        """Speak as the center whose credentials these are."""
        self._institution_id = credentials.institution_id
        self._route = route

    async def respond(
        self,
        match_id: UUID,
        answer: Answer,
        person_id: UUID | None = None,
        *,
        traceparent: str | None = None,
    ) -> UUID:
        """Answer a match; `person_id` says who accepted or declined.

        With the `traceparent` of the update that asked, the answer and all that follows stay in
        its trace.

        Returns the event's id, to which a receipt will come (the route's `answers`).

        Raises:
            UnreachableError: not delivered; the same call again does no harm.
            RefusedError: the credentials don't allow it.
        """
        said = response(self._institution_id, match_id, answer, person_id, traceparent=traceparent)
        await self._route.send([said])
        return said.envelope.id


def response(
    institution_id: str,
    match_id: UUID,
    answer: Answer,
    person_id: UUID | None = None,
    *,
    traceparent: str | None = None,
) -> Outgoing:
    """Return the answer as an event whose id is the same every time."""
    now = datetime.now(UTC)
    said = ResponseGiven(
        institution_id=institution_id, match_id=match_id, answer=answer, person_id=person_id
    )
    parts = (institution_id, str(match_id), answer.value, str(person_id or ""))
    return outgoing(
        said,
        institution_id,
        event_id=derived_id("response", *parts),
        sequence=int(now.timestamp() * 1000),
        now=now,
        traceparent=traceparent,
    )
