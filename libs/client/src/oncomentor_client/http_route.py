"""Over HTTPS to a service's edge; the answer to a request is the receipt."""

import asyncio
import random
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import TypeAdapter, ValidationError

from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import RefusedError, UnreachableError
from oncomentor_client.journal import Verdict
from oncomentor_client.message import Answer, Outgoing
from oncomentor_client.row import problem
from oncomentor_client.token import TokenSource
from oncomentor_contracts.envelope import STRUCTURED_CONTENT_TYPE
from oncomentor_contracts.receipt import Problem

_CONCURRENT = 8
_ATTEMPTS = 8
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 20.0
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_ACCEPTED = frozenset({httpx.codes.OK, httpx.codes.ACCEPTED})
_REJECTED = frozenset(
    {
        httpx.codes.BAD_REQUEST,
        httpx.codes.CONFLICT,
        httpx.codes.REQUEST_ENTITY_TOO_LARGE,
        httpx.codes.UNPROCESSABLE_ENTITY,
    }
)
_AGAIN = frozenset(
    {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS}
)
_PROBLEMS = TypeAdapter(tuple[Problem, ...])


class HttpRoute:
    """Posts structured CloudEvents, a few at a time, each until it is answered for good.

    The event's id is the `Idempotency-Key`: a request that is repeated after a lost answer is
    the same request.
    """

    def __init__(self, credentials: Credentials, service: str) -> None:
        """Take the service whose edge it is: `profile` for people, `matching` for answers."""
        self._url = f"{credentials.address(service)}/v1/events"
        self._access = credentials.oidc
        self._client = httpx.AsyncClient(timeout=_TIMEOUT)
        self._tokens = TokenSource(self._access, self._client)
        self._answers: list[Answer] = []
        self._slots = asyncio.Semaphore(_CONCURRENT)

    async def __aenter__(self) -> Self:
        """Get the first token."""
        try:
            await self._tokens.token()
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Return when every event of the batch is answered; the answers wait in `answers`.

        Raises:
            UnreachableError: some are not answered after retries; the others' answers wait too.
            RefusedError: the token or the rights are wrong.
        """
        posts = [asyncio.create_task(self._post(one)) for one in batch]
        try:
            await asyncio.gather(*posts)
        except BaseException:
            for post in posts:
                post.cancel()
            await asyncio.gather(*posts, return_exceptions=True)
            raise

    async def answers(self, wait_seconds: float) -> Sequence[Answer]:
        """Return the answers since the last call; all are there already, so it never waits."""
        answers, self._answers = self._answers, []
        return answers

    async def _post(self, one: Outgoing) -> None:
        async with self._slots:
            answer: httpx.Response | None = None
            for attempt in range(_ATTEMPTS):
                answer = await self._try(one)
                if answer is not None and _is_final(answer, attempt):
                    self._answers.append(self._judged(one, answer))
                    return
                if attempt < _ATTEMPTS - 1:
                    await asyncio.sleep(_pause_seconds(attempt, answer))
        what = "no connection" if answer is None else f"HTTP {answer.status_code}"
        raise UnreachableError(
            f"{self._url} gave no answer after {_ATTEMPTS} tries (last: {what}): check that the "
            "service runs, then run the same command again; nothing is sent twice"
        )

    async def _try(self, one: Outgoing) -> httpx.Response | None:
        token = await self._tokens.token()
        try:
            answer = await self._client.post(
                self._url,
                content=one.envelope.structured(one.event.data()),
                headers={
                    "Authorization": f"Bearer {token}",
                    "Content-Type": STRUCTURED_CONTENT_TYPE,
                    "Idempotency-Key": str(one.envelope.id),
                },
            )
        except httpx.TransportError:
            return None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._tokens.forget(token)
        return answer

    def _judged(self, one: Outgoing, answer: httpx.Response) -> Answer:
        if answer.status_code in _ACCEPTED:
            return Answer(one.envelope.id, Verdict.ACCEPTED)
        if answer.status_code in _REJECTED:
            return Answer(one.envelope.id, Verdict.REJECTED, _problems(answer))
        raise RefusedError(
            f"{self._url} refuses {self._access.client_id} (HTTP {answer.status_code}, "
            f"{_body(answer).get('title', 'no reason given')}): ask your operator for the rights "
            "this needs"
        )


def _is_final(answer: httpx.Response, attempt: int) -> bool:
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return attempt > 0  # the first time the token may just have run out
    return answer.status_code not in _AGAIN and not answer.is_server_error


def _pause_seconds(attempt: int, answer: httpx.Response | None) -> float:
    """Return how long to wait: what the server asks for, else doubling with jitter."""
    asked = "" if answer is None else str(answer.headers.get("Retry-After", ""))
    if asked.isdigit():
        return min(float(asked), _LONGEST_PAUSE_SECONDS)
    pause: float = min(_FIRST_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS)
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def _problems(answer: httpx.Response) -> tuple[Problem, ...]:
    """Return what the answer has against the event; at least one problem."""
    body = _body(answer)
    try:
        listed = _PROBLEMS.validate_python(body.get("problems", ()))
    except ValidationError:
        listed = ()
    return listed or (
        problem(
            "event",
            f"http_{answer.status_code}",
            str(body.get("title") or f"HTTP {answer.status_code}"),
            str(body.get("detail") or "Compare the event with the contract."),
        ),
    )


def _body(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
