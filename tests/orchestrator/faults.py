"""Tables that fail where a test says so, and that give others a turn before and after every call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from penstock_backbone.errors import Retryable
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.vocabulary import (
    Item,
    Key,
    Outcome,
    Page,
    Query,
    TransactionOutcome,
    TransactionPart,
    Unsettled,
    Write,
    Written,
)

Answer = TypeVar("Answer")


class FaultyTables:
    """`calls` names every call. Each list below is used up from its front, one entry a call; empty: nothing fails.

    `lose_request` and `lose_response` by the call's name; `unsettle` counts followers of write_after that are
    not tried; `stop_after_head` ends the caller (Crash) between the guard and its followers.
    """

    def __init__(self, engine: MemoryEngine, breathe: Callable[[], Any] | None = None) -> None:
        self._tables = engine.tables
        self._breathe = breathe
        self.calls: list[str] = []
        self.lose_request: list[str] = []
        self.lose_response: list[str] = []
        self.unsettle = 0
        self.stop_after_head = False

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        await self._begin("get")
        return await self._end("get", await self._tables.get(keys))

    async def query(self, query: Query) -> Page:
        await self._begin("query")
        return await self._end("query", await self._tables.query(query))

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        await self._begin("write")
        return await self._end("write", await self._tables.write(writes))

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        await self._begin("write_after")
        if self.stop_after_head:
            await self._tables.write([guard])
            raise Crash
        tried = followers[: len(followers) - self.unsettle]
        outcome, outcomes = await self._tables.write_after(guard, tried)
        if isinstance(outcome, Written):
            outcomes += [Unsettled("throttled")] * (len(followers) - len(tried))
            self.unsettle = 0
        return await self._end("write_after", (outcome, outcomes))

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        await self._begin("transact")
        return await self._end("transact", await self._tables.transact(parts))

    async def _begin(self, call: str) -> None:
        self.calls.append(call)
        await self._others()
        if call in self.lose_request:
            self.lose_request.remove(call)
            raise Retryable(f"the request of {call} was lost: look again")

    async def _end(self, call: str, answer: Answer) -> Answer:
        await self._others()
        if call in self.lose_response:
            self.lose_response.remove(call)
            raise Retryable(f"the response of {call} was lost: look again")
        return answer

    async def _others(self) -> None:
        for _ in range(self._breathe() if self._breathe else 0):
            loop = asyncio.get_running_loop()
            breath: asyncio.Future[None] = loop.create_future()
            loop.call_soon(breath.set_result, None)
            await breath


class Crash(BaseException):
    """The process ends here."""


class FaultyEngine:
    """The engine with those tables."""

    def __init__(self, engine: MemoryEngine, breathe: Callable[[], Any] | None = None) -> None:
        self.tables = FaultyTables(engine, breathe)
        self.streams = engine.streams
        self.bus = engine.bus
        self.queues = engine.queues
        self.blobs = engine.blobs
        self.watch = engine.watch

    async def close(self) -> None:
        """Nothing to release."""
