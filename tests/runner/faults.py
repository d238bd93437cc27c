"""Ports that lose requests and responses, and that cut a process off in the middle of what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeAlias, TypeVar

from penstock_backbone.errors import Retryable
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.vocabulary import (
    BlobRef,
    Item,
    Key,
    Message,
    Origin,
    Outcome,
    Outgoing,
    Page,
    Query,
    TransactionOutcome,
    TransactionPart,
    Write,
)

Answer = TypeVar("Answer")

Fault: TypeAlias = Literal["none", "lose request", "lose response", "die before", "die after"]
Decide: TypeAlias = Callable[[int, str], Fault]
"""From the number of the port call (from 1) and its name."""


def never(number: int, name: str) -> Fault:
    return "none"


class Faults:
    """Stands before each port of one process. Once dead, nothing that the process does has any effect."""

    def __init__(self, engine: MemoryEngine, decide: Decide = never) -> None:
        self._engine = engine
        self.decide = decide
        self.calls: list[str] = []
        self.died = asyncio.Event()
        self.tables = FaultyTables(self, engine)
        self.queues = FaultyQueues(self, engine)
        self.blobs = FaultyBlobs(self, engine)

    async def call(self, name: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        await self._unless_dead()
        self.calls.append(name)
        fault = self.decide(len(self.calls), name)
        if fault == "lose request":
            raise Retryable("the request was lost")
        if fault == "die before":
            self.died.set()
            await self._unless_dead()
        answer = await call()
        if fault == "lose response":
            raise Retryable("the response was lost")
        if fault == "die after":
            self.died.set()
        await self._unless_dead()
        return answer

    async def _unless_dead(self) -> None:
        if self.died.is_set():
            await asyncio.get_running_loop().create_future()


class FaultyTables:
    def __init__(self, faults: Faults, engine: MemoryEngine) -> None:
        self._call = faults.call
        self._tables = engine.tables

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        return await self._call("get", lambda: self._tables.get(keys))

    async def query(self, query: Query) -> Page:
        return await self._call("query", lambda: self._tables.query(query))

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        name = f"write {writes[0].key.table}"
        return await self._call(name, lambda: self._tables.write(writes))

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        return await self._call("write_after", lambda: self._tables.write_after(guard, followers))

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        return await self._call("transact", lambda: self._tables.transact(parts))


class FaultyQueues:
    def __init__(self, faults: Faults, engine: MemoryEngine) -> None:
        self._call = faults.call
        self._queues = engine.queues

    async def send(self, queue: str, messages: Sequence[Outgoing], origin: Origin | None = None) -> list[str | None]:
        return await self._call("send", lambda: self._queues.send(queue, messages, origin))

    async def receive(self, queue: str, limit: int, wait_seconds: float) -> list[Message]:
        return await self._call("receive", lambda: self._queues.receive(queue, limit, wait_seconds))

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        return await self._call("delete", lambda: self._queues.delete(queue, receipts))

    async def extend(self, queue: str, receipts: Sequence[str], seconds: float) -> None:
        return await self._call("extend", lambda: self._queues.extend(queue, receipts, seconds))


class FaultyBlobs:
    def __init__(self, faults: Faults, engine: MemoryEngine) -> None:
        self._call = faults.call
        self._blobs = engine.blobs

    async def put(self, key: str, data: bytes) -> BlobRef:
        return await self._call("put", lambda: self._blobs.put(key, data))

    async def get(self, ref: BlobRef) -> bytes:
        return await self._call("get blob", lambda: self._blobs.get(ref))
