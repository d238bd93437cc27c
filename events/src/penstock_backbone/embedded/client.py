"""One process's connection to the store: many requests in flight, reconnecting when the store comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from penstock_backbone import errors
from penstock_backbone.embedded import wire
from penstock_backbone.errors import BackboneError, Fatal, Retryable
from penstock_backbone.ports import Clock
from penstock_backbone.vocabulary import Key

RECONNECT_SECONDS = 0.05
RECONNECT_FOR_SECONDS = 10.0
REQUESTS_IN_FLIGHT_MAX = 100_000

_errors_by_name: dict[str, type[BackboneError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, BackboneError)
}
_error_decoder = msgspec.msgpack.Decoder(tuple[str, str])
_key_decoder = msgspec.msgpack.Decoder(Key)


class StoreClient(asyncio.Protocol):
    """A request in flight when the connection breaks raises Retryable: it may or may not have been applied."""

    def __init__(self, path: Path, clock: Clock, on_notice: Callable[[Key], None]) -> None:
        self._path = path
        self._clock = clock
        self._on_notice = on_notice
        self._frames = wire.Frames()
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._in_flight: dict[int, tuple[asyncio.Future[Any], msgspec.msgpack.Decoder[Any]]] = {}
        self._next_id = 1
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False
        self.connections = 0

    async def request(self, request: wire.Request, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
        if self._transport is None:
            await self._connect()
        if len(self._in_flight) >= REQUESTS_IN_FLIGHT_MAX:
            raise Retryable(f"{REQUESTS_IN_FLIGHT_MAX} requests wait for the store already: try again later")
        request_id, self._next_id = self._next_id, self._next_id + 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._in_flight[request_id] = (future, decoder)
        if not self._outgoing:
            loop.call_soon(self._flush)
        self._outgoing.append(wire.frame((request_id, request)))
        try:
            return await future
        finally:
            self._in_flight.pop(request_id, None)

    async def close(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError, BackboneError):
                await self._connecting
        if self._transport is not None:
            self._flush()
            self._transport.close()

    # --- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from asyncio's
        self._frames = wire.Frames()
        self._outgoing = []
        self.connections += 1

    def data_received(self, data: bytes) -> None:
        for body in self._frames.feed(data):
            request_id, kind, raw = wire.decode_reply(body)
            if kind == wire.NOTICE:
                self._on_notice(_key_decoder.decode(raw))
                continue
            entry = self._in_flight.get(request_id)
            if entry is None or entry[0].done():
                continue
            future, decoder = entry
            if kind == wire.ANSWER:
                future.set_result(decoder.decode(raw))
            else:
                name, text = _error_decoder.decode(raw)
                future.set_exception(_errors_by_name.get(name, Fatal)(text))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._outgoing = []
        for future, _ in self._in_flight.values():
            if not future.done():
                future.set_exception(Retryable("the store went away: the call may or may not have been applied"))

    # --- connecting ---------------------------------------------------------------------------

    async def _connect(self) -> None:
        """All who wait share one attempt."""
        if self._closed:
            raise Fatal("the engine is closed")
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.ensure_future(self._reconnect())
        await asyncio.shield(self._connecting)

    async def _reconnect(self) -> None:
        loop = asyncio.get_running_loop()
        end = self._clock.monotonic() + RECONNECT_FOR_SECONDS
        while True:
            try:
                await loop.create_unix_connection(lambda: self, str(self._path))
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if self._clock.monotonic() > end:
                    raise Retryable(f"no store answers at {self._path}: start it with `penstock up`") from error
                await self._clock.sleep(RECONNECT_SECONDS)
            except OSError as error:
                raise Fatal(
                    f"the store's socket {self._path} cannot be used ({error}): check the folder's rights"
                ) from error
            else:
                return

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and self._transport is not None:
            self._transport.write(b"".join(outgoing))
