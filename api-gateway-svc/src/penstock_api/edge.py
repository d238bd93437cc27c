"""The outermost layer: each request gets the parts and a span, named by its route; refused websockets a document.
What holds for every address is here as well: HEAD, the methods that OPTIONS lists, pages of other addresses, and the names
under which the API may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.trace import Span, SpanKind, StatusCode

from penstock_api.hosts import Hosts
from penstock_api.origins import SAFE_METHODS, Origins
from penstock_api.parts import Parts, give_parts
from penstock_api.problems import FOREIGN_PAGE, NOT_FOUND, PROBLEM_MEDIA_TYPE, UNKNOWN_HOST, Problem, document
from penstock_backbone.telemetry import context_from, current_traceparent

_SPAN: Final = "penstock.span"
_REFUSAL: Final = "penstock.refusal"
NAME_CHARS_MAX = 200
"""Of what a stranger calls itself, or us, in the answer."""
UNTRACED = ("/healthz", "/readyz", "/docs", "/openapi.json")


def traceparent_of(scope: Any) -> str | None:
    """What to store, so that the work that follows joins this request's trace."""
    span = scope.get(_SPAN)
    return current_traceparent(span) if span else None


def refuse(scope: Any, problem: Problem) -> None:
    """The reason why a websocket is about to be closed without having been accepted."""
    scope[_REFUSAL] = problem


class Edge:
    """Streams are traced up to their first byte: a span that lasts as long as a stream would be seen too late."""

    def __init__(
        self, application: ASGIApp, parts: Parts, origins: Origins, hosts: Hosts, methods: Mapping[str, str]
    ) -> None:
        """`methods`: what the Allow header says, by the template of the path."""
        self._application = application
        self._parts = parts
        self._origins = origins
        self._hosts = hosts
        self._methods = methods
        self._tracer = parts.telemetry.tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        complete, head = send, scope.get("method") == "HEAD"
        if head:
            # Whoever asks for no body is gone as soon as there is one: nobody is there to follow a stream.
            scope, receive, send = _as_get(scope), _gone, _without_body(send)
        give_parts(scope, self._parts)
        if scope["type"] == ScopeType.WEBSOCKET:
            send = _with_refusals(scope, send)
        elif self._origins.allowed or scope["method"] == "OPTIONS":
            send = self._for_pages(scope, send)
        if not scope["path"].startswith(UNTRACED):
            send = self._traced(scope, send)
        problem = self._refusal(scope)
        if problem is None:
            await self._application(scope, receive, send)
        else:
            await _answer(problem, scope, send)
        if head:
            await complete({"type": "http.response.body", "body": b"", "more_body": False})

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers.from_scope(scope)
        name = self._hosts.stranger(headers)
        if name is not None:
            return Problem(
                UNKNOWN_HOST,
                f"The API does not go by the name {name[:NAME_CHARS_MAX]}: ask it as localhost or by an IP address, or list "
                "the name in PENSTOCK_ALLOWED_HOSTS.",
            )
        if scope["type"] == ScopeType.WEBSOCKET or scope["method"] in SAFE_METHODS:
            return None
        page = self._origins.stranger(headers)
        if page is None:
            return None
        return Problem(
            FOREIGN_PAGE,
            f"A page of another address ({page[:NAME_CHARS_MAX]}) may not change anything here: the API allows the pages "
            "that PENSTOCK_ALLOWED_ORIGINS lists.",
        )

    def _for_pages(self, scope: Any, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked = Headers.from_scope(scope)
                added = list(self._origins.headers(scope["method"], asked))
                kept = list(message["headers"])
                # Litestar lists the methods of the first handler alone where several share a path.
                if scope["method"] == "OPTIONS" and (allowed := self._methods.get(scope.get("path_template", ""))):
                    kept = [(name, value) for name, value in kept if name != b"allow"]
                    added.append((b"allow", allowed.encode()))
                message["headers"] = [*kept, *added]
            await send(message)

        return sending

    def _traced(self, scope: Any, send: Send) -> Send:
        method = scope.get("method", "WEBSOCKET")
        traceparent = next((value for name, value in scope["headers"] if name == b"traceparent"), None)
        span = self._tracer.start_span(
            method,
            context=context_from(traceparent.decode("latin-1") if traceparent else None),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": scope["path"]},
        )
        scope[_SPAN] = span

        async def traced_send(message: Message) -> None:
            kind = message["type"]
            if kind in ("http.response.start", "websocket.accept", "websocket.http.response.start", "websocket.close"):
                _finish(span, scope, message)
            await send(message)

        return traced_send


def _finish(span: Span, scope: Any, message: Any) -> None:
    if not span.is_recording():
        return
    if template := scope.get("path_template"):
        span.update_name(f"{scope.get('method', 'WEBSOCKET')} {template}")
        span.set_attribute("http.route", template)
    if status := message.get("status"):
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(StatusCode.ERROR)
    span.end()


def _as_get(scope: Any) -> Any:
    return {**scope, "method": "GET"}


async def _gone() -> Any:
    return {"type": "http.disconnect"}


def _without_body(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)

    return sending


async def _answer(problem: Problem, scope: Any, send: Send) -> None:
    if scope["type"] == ScopeType.WEBSOCKET:
        refuse(scope, problem)
        await send({"type": "websocket.close", "code": 1008, "reason": problem.kind.title})
        return
    body = document(problem, scope["path"])
    headers = [(b"content-type", PROBLEM_MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": problem.kind.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _with_refusals(scope: Any, send: Send) -> Send:
    """A websocket that is closed before it was accepted is answered like any other request that fails."""
    accepted = False

    async def refusing_send(message: Message) -> None:
        nonlocal accepted
        if message["type"] == "websocket.accept":
            accepted = True
        refused = message["type"] == "websocket.close" and not accepted
        if not refused or "websocket.http.response" not in (scope.get("extensions") or {}):
            await send(message)
            return
        problem = scope.get(_REFUSAL) or Problem(NOT_FOUND, "There is no websocket at this address.")
        body = document(problem, scope["path"])
        headers = {"Content-Type": PROBLEM_MEDIA_TYPE, "Content-Length": str(len(body)), **problem.headers}
        start: Any = {
            "type": "websocket.http.response.start",
            "status": problem.kind.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        await send(start)
        end: Any = {"type": "websocket.http.response.body", "body": body}
        await send(end)

    return refusing_send
