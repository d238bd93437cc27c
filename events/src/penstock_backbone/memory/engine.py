"""The ports over memory. Everything happens at one instant between two awaits, as one writer would do it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import msgspec

from penstock_backbone.errors import BlobCorrupt, BlobMissing, Fatal, Invalid
from penstock_backbone.inventory import INVENTORY, Inventory
from penstock_backbone.local.blob_keys import check_blob_key
from penstock_backbone.local.cursors import decode_cursor, encode_cursor
from penstock_backbone.local.feed import feed_number
from penstock_backbone.local.limits import (
    MESSAGE_BYTES_MAX,
    check_keys,
    check_query,
    check_text_size,
    check_writes,
)
from penstock_backbone.local.messages import Queued
from penstock_backbone.local.routing import Router, event_body, refusal
from penstock_backbone.local.transactor import Transactor
from penstock_backbone.local.waiting import Bell
from penstock_backbone.memory.storage import MemoryStorage
from penstock_backbone.ports import Clock, Ids
from penstock_backbone.vocabulary import (
    PAGE_BYTES_MAX,
    BlobRef,
    BusEntry,
    Committed,
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
    Written,
)

Answer = TypeVar("Answer")

_HOLDING_NOTHING = (Written(), Committed())


def _detached(outcome: Answer, shape: Any) -> Answer:
    """A copy, so that the caller cannot change what is stored; most outcomes hold nothing of it."""
    if outcome in _HOLDING_NOTHING:
        return outcome
    return cast(Answer, msgspec.msgpack.decode(msgspec.msgpack.encode(outcome), type=shape))


class MemoryTables:
    def __init__(self, inventory: Inventory, storage: MemoryStorage, committed: Bell) -> None:
        self._names = {table.name: table for table in inventory.tables}
        self._storage = storage
        self._transactor = Transactor(storage)
        self._committed = committed

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        check_keys(keys, self._names)
        return [self._storage.read(key) for key in keys]

    async def query(self, query: Query) -> Page:
        check_query(query, self._names)
        position = decode_cursor(query)
        after = (position[0], position[1], position[2]) if position else None
        partition = (query.table, query.index or "", query.pk)
        places = self._storage.range(partition, prefix=query.prefix, after=after, descending=query.descending)
        items: list[Item] = []
        size = 0
        for place in places[: query.limit]:
            key = Key(query.table, place[1], place[2])
            size += self._storage.size(key)
            if items and size > PAGE_BYTES_MAX:
                break
            item = self._storage.read(key)
            assert item is not None, "an index entry without its item"
            items.append(item)
        more = len(items) < len(places)
        return Page(items, encode_cursor(query, places[len(items) - 1]) if more else None)

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        check_writes(writes, self._names)
        outcomes = self._transactor.write(writes)
        self._committed.ring()
        return [_detached(outcome, Outcome) for outcome in outcomes]

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        check_writes([guard, *followers], self._names)
        outcome, outcomes = self._transactor.write_after(guard, followers)
        self._committed.ring()
        return _detached(outcome, Outcome), [_detached(each, Outcome) for each in outcomes]

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        check_writes(parts, self._names)
        outcome = self._transactor.transact(parts)
        self._committed.ring()
        return _detached(outcome, TransactionOutcome)


class MemoryStreams:
    """Positions count records of the feed; a consumer's `read` position runs ahead of its settled one."""

    def __init__(self, inventory: Inventory, storage: MemoryStorage, committed: Bell, clock: Clock) -> None:
        self._consumers = {consumer.name: consumer for consumer in inventory.consumers}
        self._feed = storage.feed
        self._committed = committed
        self._clock = clock
        self._read_to: dict[str, int] = {}
        self._settled_to: dict[str, int] = {}

    async def read(self, consumer: str, limit: int, wait_seconds: float) -> list[StreamRecord]:
        definition = self._consumers.get(consumer)
        if definition is None:
            raise Fatal(f"there is no consumer {consumer!r} in the inventory")
        end = self._clock.monotonic() + wait_seconds
        while True:
            position = self._read_to.get(consumer, 0)
            found: list[StreamRecord] = []
            while position < len(self._feed) and len(found) < limit:
                record = self._feed[position]
                position += 1
                if definition.wants(record.key.table, record.key.pk):
                    found.append(record)
            self._read_to[consumer] = position
            left = end - self._clock.monotonic()
            if found or left <= 0:
                return found
            await self._committed.wait(self._clock, left)

    async def settle(self, consumer: str, through: str) -> None:
        self._settled_to[consumer] = max(feed_number(through), self._settled_to.get(consumer, 0))

    async def rewind(self, consumer: str) -> None:
        self._read_to[consumer] = self._settled_to.get(consumer, 0)


class MemoryQueues:
    def __init__(self, inventory: Inventory, clock: Clock) -> None:
        self._queued = Queued(inventory)
        self._clock = clock
        self._sent = Bell()

    async def send(self, queue: str, messages: Sequence[Outgoing], origin: Origin | None = None) -> list[str | None]:
        del origin  # nothing here survives the process anyway
        return [self.accept(queue, message) for message in messages]

    def accept(self, queue: str, message: Outgoing) -> str | None:
        reason = check_text_size(message.body, MESSAGE_BYTES_MAX, "the message")
        if reason is None and self._queued.send(queue, message.body, message.group, self._clock.monotonic()) is None:
            reason = f"the queue {queue} is full"
        self._sent.ring()
        return reason

    async def receive(self, queue: str, limit: int, wait_seconds: float) -> list[Message]:
        end = self._clock.monotonic() + wait_seconds
        while True:
            now = self._clock.monotonic()
            messages, _ = self._queued.receive(queue, limit, now)
            if messages or now >= end:
                return messages
            back = self._queued.next_visible(queue)
            await self._sent.wait(self._clock, min(end, back or end) - now)

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        self._queued.delete(queue, receipts)

    async def extend(self, queue: str, receipts: Sequence[str], seconds: float) -> None:
        self._queued.extend(queue, receipts, self._clock.monotonic(), seconds)
        self._sent.ring()


class MemoryBus:
    def __init__(self, inventory: Inventory, queues: MemoryQueues, clock: Clock, ids: Ids) -> None:
        self._router = Router(inventory)
        self._queues = queues
        self._clock = clock
        self._ids = ids

    async def publish(self, entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        del origin  # nothing here survives the process anyway
        return [self._route(entry) for entry in entries]

    def _route(self, entry: BusEntry) -> str | None:
        reason = refusal(entry)
        if reason is not None:
            return reason
        for queue in self._router.queues(entry):
            body = event_body(entry, self._ids.new("evt"), self._clock.now())
            reason = self._queues.accept(queue, Outgoing(body)) or reason
        return reason


class MemoryBlobs:
    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> BlobRef:
        if self._files.setdefault(check_blob_key(key), bytes(data)) != data:
            raise Invalid(f"the file {key!r} exists with other content: files are written once, so choose another key")
        return BlobRef(key, hashlib.sha256(data).hexdigest(), len(data))

    async def get(self, ref: BlobRef) -> bytes:
        data = self._files.get(check_blob_key(ref.key))
        if data is None:
            raise BlobMissing(f"there is no file {ref.key!r}")
        if len(data) != ref.size or hashlib.sha256(data).hexdigest() != ref.sha256:
            raise BlobCorrupt(f"the file {ref.key!r} is not the one that was stored")
        return data


class MemoryWatch:
    def __init__(self, storage: MemoryStorage, committed: Bell, clock: Clock) -> None:
        self._storage = storage
        self._committed = committed
        self._clock = clock
        self._seen: dict[Key, int] = {}

    async def changed(self, key: Key, wait_seconds: float) -> bool:
        end = self._clock.monotonic() + wait_seconds
        while True:
            seen = self._seen.get(key)
            self._seen[key] = self._storage.changes[key]
            if seen != self._seen[key]:
                return True
            left = end - self._clock.monotonic()
            if left <= 0:
                return False
            await self._committed.wait(self._clock, left)

    async def forget(self, key: Key) -> None:
        self._seen.pop(key, None)


class MemoryEngine:
    def __init__(self, clock: Clock, ids: Ids, inventory: Inventory = INVENTORY) -> None:
        self.storage = MemoryStorage(inventory)
        committed = Bell()
        self.tables = MemoryTables(inventory, self.storage, committed)
        self.streams = MemoryStreams(inventory, self.storage, committed, clock)
        self.queues = MemoryQueues(inventory, clock)
        self.bus = MemoryBus(inventory, self.queues, clock, ids)
        self.blobs = MemoryBlobs()
        self.watch = MemoryWatch(self.storage, committed, clock)

    def reopen(self) -> None:
        """As a new process would find it: consumers begin after the last settled record."""
        self.streams._read_to = dict(self.streams._settled_to)  # noqa: SLF001  # one engine, several classes

    async def close(self) -> None:
        """Nothing to release."""
