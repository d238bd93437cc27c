"""Every error as a problem document (RFC 9457): one sentence that says what is wrong and what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, InternalServerException, MethodNotAllowedException, NotFoundException

from penstock_api.domain.views import ProblemView, ViolationView
from penstock_api.parts import parts_of
from penstock_api.push.hub import Full
from penstock_backbone.errors import BadCursor, BlobCorrupt, BlobMissing, Retryable

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:penstock:problem:"
RETRY_AFTER_SECONDS = "1"

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of problem, as the documentation lists it."""

    name: str
    status: int
    title: str


INVALID = Kind("invalid-request", 400, "The request is not valid")
NOT_JSON = Kind("not-json", 400, "The body is not JSON")
UNKNOWN_WORKFLOW = Kind("unknown-workflow", 400, "There is no such workflow")
BAD_CURSOR = Kind("bad-cursor", 400, "The cursor cannot be used")
FOREIGN_PAGE = Kind("foreign-page", 403, "This page may not do that")
NOT_FOUND = Kind("not-found", 404, "Not found")
TRACES_ELSEWHERE = Kind("traces-elsewhere", 404, "Traces are kept elsewhere")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "This method cannot be used here")
KEY_REUSED = Kind("idempotency-key-reused", 409, "This idempotency key was used for another request")
ALREADY_OVER = Kind("already-over", 409, "The run is over")
NOT_OVER_YET = Kind("not-over", 409, "The run is not over")
NOT_ASKED_FOR = Kind("not-asked", 409, "Nothing is asked that this would answer")
ANSWERED_BEFORE = Kind("answered-before", 409, "It was answered otherwise before")
RUN_FULL = Kind("run-full", 409, "The run can take no more")
LIMIT_CHANGED = Kind("limit-changed", 409, "Another change came first")
TOO_LARGE = Kind("too-large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "The body must be JSON")
UNKNOWN_HOST = Kind("unknown-host", 421, "The API does not go by this name")
INPUT_MISFIT = Kind("input-misfit", 422, "The input does not fit the workflow")
INTERNAL = Kind("internal", 500, "Something unexpected happened")
ARTIFACT_LOST = Kind("artifact-lost", 500, "The file is damaged or gone")
UNAVAILABLE = Kind("unavailable", 503, "Not available at the moment")
NO_RUNNER = Kind("no-runner", 503, "No runner has announced itself yet")
TOO_MANY_STREAMS = Kind("too-many-streams", 503, "Too many streams are open")

KINDS = (
    INVALID, NOT_JSON, UNKNOWN_WORKFLOW, BAD_CURSOR, FOREIGN_PAGE, NOT_FOUND, TRACES_ELSEWHERE, METHOD_NOT_ALLOWED, KEY_REUSED,
    ALREADY_OVER, NOT_OVER_YET, NOT_ASKED_FOR, ANSWERED_BEFORE, RUN_FULL, LIMIT_CHANGED, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, UNKNOWN_HOST, INPUT_MISFIT, INTERNAL, ARTIFACT_LOST, UNAVAILABLE, NO_RUNNER, TOO_MANY_STREAMS,
)  # fmt: skip


class Problem(Exception):
    """Ends a request with this document; `extensions` are the further members of ProblemView."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        errors: Sequence[ViolationView] = (),
        *,
        headers: dict[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}
        self.extensions = extensions

    def view(self, instance: str) -> ProblemView:
        return ProblemView(
            type=TYPE_PREFIX + self.kind.name,
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            instance=instance,
            errors=list(self.errors),
            **self.extensions,
        )


def allowed_methods(methods: Iterable[str]) -> str:
    """What the Allow header says. HEAD is answered wherever GET is."""
    named = set(methods)
    return ", ".join(sorted(named | {"HEAD"} if "GET" in named else named))


def invalid_parameter(parameter: str, message: str) -> tuple[Kind, str, list[ViolationView]]:
    return INVALID, f"The query parameter {parameter} {message}.", [ViolationView(parameter=parameter, message=message)]


def invalid_header(header: str, message: str) -> tuple[Kind, str, list[ViolationView]]:
    return INVALID, f"The header {header} {message}.", [ViolationView(header=header, message=message)]


def not_found(what: str) -> Problem:
    return Problem(NOT_FOUND, f"There is no such {what}.")


def unavailable(reason: str, kind: Kind = UNAVAILABLE) -> Problem:
    return Problem(kind, reason, headers={"Retry-After": RETRY_AFTER_SECONDS})


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    problem = as_problem(request, error)
    return Response(
        document(problem, request.scope["path"]),
        status_code=problem.kind.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=problem.headers,
    )


def document(problem: Problem, instance: str) -> bytes:
    return _encode(problem.view(instance))


def as_problem(connection: ASGIConnection[Any, Any, Any, Any], error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case BadCursor():
            return Problem(BAD_CURSOR, f"{_sentence(error)}", [ViolationView(parameter="cursor", message=str(error))])
        case Retryable():
            _log.warning("%s could not be answered: %s", _address(connection), error)
            return unavailable("The storage behind the API does not answer at the moment: try again in a second.")
        case Full():
            return unavailable(
                "This process has all the streams open that it may: try again in a second.", TOO_MANY_STREAMS
            )
        case BlobMissing() | BlobCorrupt():
            _log.error("%s cannot be served: %s", _address(connection), error)
            return Problem(ARTIFACT_LOST, "The file was listed, but its storage no longer has it as it was written.")
        case HTTPException() if not isinstance(error, InternalServerException):
            return _of_http(error)
        case InternalServerException() if "disconnected" in error.detail:
            return Problem(INVALID, "The connection ended before the whole body had arrived.")
        case _:
            return _unexpected(connection, error)


def _of_http(error: HTTPException) -> Problem:
    """What Litestar refuses by itself, before a route is called."""
    headers = {name: str(value) for name, value in (error.headers or {}).items()}
    match error:
        case NotFoundException():
            return Problem(NOT_FOUND, "There is nothing at this address. GET /docs lists the addresses that exist.")
        case MethodNotAllowedException():
            given = headers.get("allow") or headers.get("Allow") or ""
            allowed = allowed_methods(filter(None, given.split(", ")))
            return Problem(METHOD_NOT_ALLOWED, f"Use {allowed} at this address.", headers={"Allow": allowed})
        case _ if error.status_code == TOO_LARGE.status:
            return Problem(TOO_LARGE, "The body may have at most 256 KB.", headers=headers)
        case _:
            phrase = HTTPStatus(error.status_code).phrase
            kind = Kind(phrase.lower().replace(" ", "-"), error.status_code, phrase)
            return Problem(kind, _sentence(error), headers=headers)


def _unexpected(connection: ASGIConnection[Any, Any, Any, Any], error: Exception) -> Problem:
    """Nothing of the cause leaves the house; the log has it under the request's id."""
    request_id = parts_of(connection).ids.new("req")
    _log.error("%s: %s failed", request_id, _address(connection), exc_info=error)
    return Problem(
        INTERNAL, f"The request failed. The server's log explains it under {request_id}.", request_id=request_id
    )


def _sentence(error: Exception) -> str:
    text = error.detail if isinstance(error, HTTPException) else str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    scope: Any = connection.scope
    return f"{scope.get('method', 'WEBSOCKET')} {scope['path']}"
