"""The ports over the store's socket, and files in a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from penstock_backbone.embedded import wire
from penstock_backbone.embedded.blobs import FolderBlobs
from penstock_backbone.embedded.client import StoreClient
from penstock_backbone.errors import Retryable
from penstock_backbone.inventory import INVENTORY, Inventory
from penstock_backbone.local.limits import check_keys, check_query, check_writes
from penstock_backbone.local.waiting import Bell
from penstock_backbone.ports import Clock
from penstock_backbone.vocabulary import (
    BusEntry,
    Item,
    Key,
    Message,
    Origin,
    Outcome,
    Outgoing,
    Page,
    Query,
    StreamRecord,
    TransactionOutcome,
    TransactionPart,
    Write,
)

READ_TRIES_MAX = 3

_items = msgspec.msgpack.Decoder(list[dict[str, Any] | None])
_page = msgspec.msgpack.Decoder(Page)
_outcomes = msgspec.msgpack.Decoder(list[Outcome])
_guarded = msgspec.msgpack.Decoder(tuple[Outcome, list[Outcome]])
_transaction: msgspec.msgpack.Decoder[TransactionOutcome] = msgspec.msgpack.Decoder(TransactionOutcome)
_records = msgspec.msgpack.Decoder(list[StreamRecord])
_messages = msgspec.msgpack.Decoder(list[Message])
_reasons = msgspec.msgpack.Decoder(list[str | None])
_number = msgspec.msgpack.Decoder(int)
_nothing = msgspec.msgpack.Decoder(None)


class EmbeddedTables:
    def __init__(self, client: StoreClient, inventory: Inventory) -> None:
        self._client = client
        self._names = {table.name: table for table in inventory.tables}

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        check_keys(keys, self._names)
        found: list[Item | None] = await self._read(wire.GetItems(list(keys)), _items)
        return found

    async def query(self, query: Query) -> Page:
        check_query(query, self._names)
        page: Page = await self._read(wire.QueryItems(query), _page)
        return page

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        check_writes(writes, self._names)
        outcomes: list[Outcome] = await self._client.request(wire.WriteItems(list(writes)), _outcomes)
        return outcomes

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        check_writes([guard, *followers], self._names)
        request = wire.WriteAfter(guard, list(followers))
        outcomes: tuple[Outcome, list[Outcome]] = await self._client.request(request, _guarded)
        return outcomes

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        check_writes(parts, self._names)
        outcome: TransactionOutcome = await self._client.request(wire.Transact(list(parts)), _transaction)
        return outcome

    async def _read(self, request: wire.Request, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
        """A read may be repeated without asking: the store came back, nothing was applied."""
        for _ in range(READ_TRIES_MAX - 1):
            try:
                return await self._client.request(request, decoder)
            except Retryable:
                continue
        return await self._client.request(request, decoder)


class EmbeddedStreams:
    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self._read_on: dict[str, int] = {}

    async def read(self, consumer: str, limit: int, wait_seconds: float) -> list[StreamRecord]:
        """On a new connection the consumer begins after its settled position."""
        if self._read_on.get(consumer) != self._client.connections:
            await self.rewind(consumer)
            self._read_on[consumer] = self._client.connections
        request = wire.ReadStream(consumer, limit, wait_seconds)
        records: list[StreamRecord] = await self._client.request(request, _records)
        return records

    async def settle(self, consumer: str, through: str) -> None:
        await self._client.request(wire.SettleStream(consumer, through), _nothing)

    async def rewind(self, consumer: str) -> None:
        await self._client.request(wire.RewindStream(consumer), _nothing)


class EmbeddedBus:
    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def publish(self, entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        answers: list[str | None] = await self._client.request(wire.Publish(list(entries), origin), _reasons)
        return answers


class EmbeddedQueues:
    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def send(self, queue: str, messages: Sequence[Outgoing], origin: Origin | None = None) -> list[str | None]:
        answers: list[str | None] = await self._client.request(wire.Send(queue, list(messages), origin), _reasons)
        return answers

    async def receive(self, queue: str, limit: int, wait_seconds: float) -> list[Message]:
        messages: list[Message] = await self._client.request(wire.Receive(queue, limit, wait_seconds), _messages)
        return messages

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        await self._client.request(wire.DeleteMessages(queue, list(receipts)), _nothing)

    async def extend(self, queue: str, receipts: Sequence[str], seconds: float) -> None:
        await self._client.request(wire.ExtendMessages(queue, list(receipts), seconds), _nothing)


class EmbeddedWatch:
    """Notices are pushed by the store; after a reconnect every watched key counts as changed."""

    def __init__(self, client: StoreClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._changed: dict[Key, bool] = {}
        self._watched_on: dict[Key, int] = {}
        self._bells: dict[Key, Bell] = {}

    def notice(self, key: Key) -> None:
        if key in self._bells:
            self._changed[key] = True
            self._bells[key].ring()

    async def changed(self, key: Key, wait_seconds: float) -> bool:
        bell = self._bells.setdefault(key, Bell())
        if self._watched_on.get(key) != self._client.connections:
            await self._client.request(wire.WatchKey(key), _nothing)
            self._watched_on[key] = self._client.connections
            self._changed[key] = False
            return True
        if not self._changed[key]:
            await bell.wait(self._clock, wait_seconds)
        changed, self._changed[key] = self._changed.get(key, False), False
        return changed

    async def forget(self, key: Key) -> None:
        self._bells.pop(key, None)
        self._changed.pop(key, None)
        if self._watched_on.pop(key, None) == self._client.connections:
            await self._client.request(wire.ForgetKey(key), _nothing)


class EmbeddedEngine:
    """The store need not be up yet: the first calls wait for it a while."""

    def __init__(self, socket: Path, blobs: Path, clock: Clock, inventory: Inventory = INVENTORY) -> None:
        self._client = StoreClient(socket, clock, lambda key: self.watch.notice(key))  # noqa: PLW0108  # the watch is made after the client
        self.tables = EmbeddedTables(self._client, inventory)
        self.streams = EmbeddedStreams(self._client)
        self.bus = EmbeddedBus(self._client)
        self.queues = EmbeddedQueues(self._client)
        self.blobs = FolderBlobs(blobs)
        self.watch = EmbeddedWatch(self._client, clock)

    async def requests_served(self) -> int:
        """Port calls of all processes that the store has taken since it started."""
        served: int = await self._client.request(wire.CountRequests(), _number)
        return served

    async def close(self) -> None:
        await self._client.close()
        await asyncio.sleep(0)  # noqa: TID251  # one turn of the loop, so that the transport closes; no time passes
