"""Websockets: the same frames as text messages, and between them progress, for clients that have asked for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, assert_never

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from penstock_api.push.hub import PING_SECONDS, Hint, Over, Subscription

SEND_SECONDS_MAX = 10.0
CLOSE_SECONDS_MAX = 1.0

NORMAL, RESTARTING, TRY_LATER, BROKEN = 1000, 1012, 1013, 1011
"""Close codes: nothing will follow; connect again at once; you were too slow, connect again; connect again later."""

Socket = WebSocket[Any, Any, Any]


async def serve(socket: Socket, subscription: Subscription, *, progress: bool) -> None:
    """The server pings by itself (uvicorn's ws_ping_interval), so silence needs no frames here."""
    watcher = asyncio.create_task(_until_gone(socket, subscription))
    try:
        code = await _deliver(socket, subscription, progress=progress)
    except TimeoutError:
        code = TRY_LATER
    except WebSocketDisconnect:
        code = None
    finally:
        watcher.cancel()
    if code is not None:
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await socket.close(code)


async def _deliver(socket: Socket, subscription: Subscription, *, progress: bool) -> int | None:
    """The code to close with; None when nobody is there to hear it."""
    while True:
        match await subscription.next(PING_SECONDS):
            case Over.COMPLETE:
                return NORMAL
            case Over.CLOSING:
                return RESTARTING
            case Over.FAILED:
                return BROKEN
            case Over.GONE:
                return None
            case Hint(frame):
                # A websocket has no names for its messages: who has not asked for this expects events alone.
                if progress:
                    await _send(socket, [b'{"progress":%b}' % frame])
            case list() as frames:
                await _send(socket, frames)
            case _ as never:
                assert_never(never)


async def _send(socket: Socket, frames: Sequence[bytes]) -> None:
    async with asyncio.timeout(SEND_SECONDS_MAX):
        for frame in frames:
            await socket.send_text(frame.decode())


async def _until_gone(socket: Socket, subscription: Subscription) -> None:
    """What a client says is read and ignored: only its leaving counts."""
    with contextlib.suppress(WebSocketDisconnect):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
    subscription.end(Over.GONE)
