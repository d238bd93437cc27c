"""The socket of the store: reads frames from all clients, runs them in groups, writes the answers at once."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, cast

import msgspec

from penstock_backbone.embedded import wire
from penstock_backbone.embedded.store import Store
from penstock_backbone.ports import Clock

TICK_SECONDS = 0.1
OUTGOING_BYTES_MAX = 256 * 1024 * 1024
"""A client that does not read its answers is cut off."""


class _Connection(asyncio.Protocol):
    def __init__(self, server: StoreServer) -> None:
        self._server = server
        self._frames = wire.Frames()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from asyncio's
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                request_id, request = wire.decode_request(body)
                self._server.submit(self, request_id, request)
        except (wire.BadFrame, msgspec.DecodeError):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._server.connections.discard(self)
        self._server.store.drop(self)

    def reply(self, request_id: int, kind: int, body: Any) -> None:
        if not self._outgoing:
            self._server.dirty.append(self)
        self._outgoing.append(wire.frame((request_id, kind, body)))

    def flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > OUTGOING_BYTES_MAX:
            self.abort()
        else:
            self._transport.write(b"".join(outgoing))

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class StoreServer:
    """Serves one Store on a Unix socket, on the running loop."""

    def __init__(self, store: Store, path: Path, clock: Clock) -> None:
        self.store = store
        self.connections: set[_Connection] = set()
        self.dirty: list[_Connection] = []
        self._path = path
        self._clock = clock
        self._waiting: list[tuple[Any, int, wire.Request]] = []
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)  # left by an earlier life: the folder's lock says that it is ours
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Connection(self), path=str(self._path))
        self._path.chmod(0o600)
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()
        self.store.close()
        self._path.unlink(missing_ok=True)

    def submit(self, connection: _Connection, request_id: int, request: wire.Request) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._run_group)
        self._waiting.append((connection, request_id, request))

    def _run_group(self) -> None:
        waiting, self._waiting = self._waiting, []
        changes = self.store.run_group(waiting, self._flush)
        self._flush()
        self.store.announce(changes)
        self._flush()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(TICK_SECONDS)
            self.store.tick()
            self._flush()

    def _flush(self) -> None:
        dirty, self.dirty = self.dirty, []
        for connection in dirty:
            connection.flush()
