"""Server-sent events: the id of each is its sequence, so that a browser resumes by itself."""

from __future__ import annotations

import asyncio
from typing import assert_never

from litestar.types import Receive, Scope, Send

from penstock_api.push.hub import PING_SECONDS, Hint, Hub, Over, Subscription
from penstock_backbone.records.projects import ProjectItem

SEND_SECONDS_MAX = 10.0
RETRY_MILLISECONDS = 1_000
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Otherwise a proxy may collect what should arrive at once.
    (b"x-accel-buffering", b"no"),
]
PING = b": ping\n\n"
END = b"event: end\ndata: {}\n\n"


class EventStream:
    """An ASGI application that answers one request. Raises Full before its first byte."""

    def __init__(self, hub: Hub, project: ProjectItem, after: int) -> None:
        self._hub = hub
        self._project = project
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        async with self._hub.subscribe(self._project, self._after) as subscription:
            watcher = asyncio.create_task(_until_gone(receive, subscription))
            try:
                await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                await _body(send, b"retry: %d\n\n" % RETRY_MILLISECONDS, more=True)
                await _deliver(send, subscription)
            finally:
                watcher.cancel()


async def _deliver(send: Send, subscription: Subscription) -> None:
    while True:
        position = subscription.position
        match await subscription.next(PING_SECONDS):
            case Over.COMPLETE:
                return await _body(send, END, more=False)
            case Over.CLOSING | Over.FAILED:
                # Without an end event the browser connects again and resumes.
                return await _body(send, b"", more=False)
            case Over.GONE:
                return None
            case Hint(frame):
                await _body(send, b"event: progress\ndata: %b\n\n" % frame, more=True)
            case list() as frames:
                body = b"".join(
                    b"id: %d\ndata: %b\n\n" % (sequence, frame)
                    for sequence, frame in enumerate(frames, start=position + 1)
                )
                await _body(send, body or PING, more=True)
            case _ as never:
                assert_never(never)


async def _body(send: Send, body: bytes, *, more: bool) -> None:
    """A client that takes nothing for SEND_SECONDS_MAX is cut off; it may come back and resume."""
    async with asyncio.timeout(SEND_SECONDS_MAX):
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _until_gone(receive: Receive, subscription: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.end(Over.GONE)
