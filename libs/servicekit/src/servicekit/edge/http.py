"""The HTTP edge of every service: who calls, what went wrong, and the database to answer from."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.responses import Response

from oncomentor_contracts.receipt import Problem
from servicekit.edge.auth import Authenticator, InvalidTokenError, Principal
from servicekit.errors import TransientError
from servicekit.observing import telemetry
from servicekit.observing.log import logger
from servicekit.tx import Database

MAX_BODY_BYTES = 1_000_000
_log = logger(__name__)


class ProblemError(Exception):
    """An answer in the 4xx or 5xx range, told as application/problem+json (RFC 9457)."""

    def __init__(
        self, status: int, title: str, detail: str, problems: Sequence[Problem] = ()
    ) -> None:
        """Keep what the answer is made of; `detail` says how to mend it."""
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.problems = tuple(problems)


async def _caller(request: Request) -> Principal:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise ProblemError(
            401, "No bearer token", "Send 'Authorization: Bearer <token of the identity provider>'."
        )
    authenticator: Authenticator = request.app.state.authenticator
    try:
        return await authenticator.principal(token.strip())
    except InvalidTokenError as error:
        raise ProblemError(401, "Invalid token", f"{error}. Fetch a new token.") from error
    except httpx.HTTPError as error:
        raise ProblemError(
            503, "Identity provider away", "Its keys could not be fetched; try again."
        ) from error


async def _operator(principal: Annotated[Principal, Depends(_caller)]) -> Principal:
    if "operator" not in principal.roles:
        raise ProblemError(403, "Operators only", "Use the token of an operator.")
    return principal


async def _member(principal: Annotated[Principal, Depends(_caller)]) -> Principal:
    if "institution" not in principal.roles or principal.institution_id is None:
        raise ProblemError(403, "Member centers only", "Use the token of a member center.")
    return principal


def _api(request: Request) -> Database:
    database: Database = request.app.state.api_database
    return database


def _worker(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


Caller = Annotated[Principal, Depends(_caller)]
"""Anyone with a valid token."""
Operator = Annotated[Principal, Depends(_operator)]
"""A consortium operator."""
Member = Annotated[Principal, Depends(_member)]
"""A member center's own system."""
Api = Annotated[Database, Depends(_api)]
"""The API role's database: `async with api.transaction(institution_id=caller.scope) as tx`."""
Worker = Annotated[Database, Depends(_worker)]
"""The worker role's database: for the kernel's own doors, where no row-level security applies."""


def make_app(
    name: str,
    *,
    database: Database,
    api_database: Database,
    authenticator: Authenticator,
    routers: Sequence[APIRouter],
) -> FastAPI:
    """Return the service's HTTP application: routers, body limit, problem+json for every error."""
    app = FastAPI(title=f"OncoMentor {name}", version="1", docs_url=None, redoc_url=None)
    app.state.database = database
    app.state.api_database = api_database
    app.state.authenticator = authenticator
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(ProblemError, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(404, _answer_http)
    app.add_exception_handler(405, _answer_http)
    app.add_exception_handler(TransientError, _answer_transient)
    app.add_exception_handler(Exception, _answer_bug)
    app.middleware("http")(_limit_body)
    app.add_middleware(telemetry.Requests)
    return app


async def _limit_body(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    length = request.headers.get("content-length")
    chunked = "transfer-encoding" in request.headers  # it would win over any length
    if chunked or (request.method in {"POST", "PUT", "PATCH"} and length is None):
        return _problem(411, "Length required", "Send a Content-Length header, and no chunks.")
    if length is not None and not (length.isdecimal() and int(length) <= MAX_BODY_BYTES):
        return _problem(413, "Body too large", f"Send at most {MAX_BODY_BYTES} bytes.")
    return await call_next(request)


def _problem(
    status: int, title: str, detail: str, problems: Sequence[Problem] = ()
) -> JSONResponse:
    body = {"type": "about:blank", "status": status, "title": title, "detail": detail}
    listed = [problem.model_dump(mode="json") for problem in problems]
    return JSONResponse(
        body | ({"problems": listed} if listed else {}),
        status_code=status,
        media_type="application/problem+json",
        headers={"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None,
    )


async def _answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for this class alone
    return _problem(error.status, error.title, error.detail, error.problems)


async def _answer_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    problems = [
        Problem(
            field=".".join(map(str, item["loc"])) or "body",
            rule=str(item["type"]),
            message=str(item["msg"])[:200],
            fix="Send a value that the contract allows.",
        )
        for item in error.errors()[:50]
    ]
    return _problem(422, "Invalid request", "Mend the fields named in 'problems'.", problems)


async def _answer_http(_: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    title = str(getattr(error, "detail", "Error"))
    return _problem(status, title, "See the service's README for its paths and methods.")


async def _answer_transient(_: Request, error: Exception) -> Response:
    _log.warning("request_failed_transiently", error=type(error).__name__)
    return _problem(503, "Try again", "A part of the service is away; nothing was stored.")


async def _answer_bug(request: Request, error: Exception) -> Response:
    _log.error("request_failed", path=request.url.path, error=type(error).__name__, exc_info=error)
    return _problem(500, "Internal error", "This is our fault; it was logged. Try again later.")
