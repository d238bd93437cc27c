"""An engine that notes what IAM would be asked on AWS for every port call of one unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock_backbone.inventory import INVENTORY, SESSIONS
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Streams
from penstock_backbone.vocabulary import (
    BlobRef,
    BusEntry,
    Check,
    Delete,
    Item,
    Key,
    Message,
    Origin,
    Outcome,
    Outgoing,
    Page,
    Put,
    Query,
    TransactionOutcome,
    TransactionPart,
    Update,
    Write,
)

ACTION_OF_PART: dict[type, str] = {
    Put: "dynamodb:PutItem",
    Update: "dynamodb:UpdateItem",
    Delete: "dynamodb:DeleteItem",
    Check: "dynamodb:ConditionCheckItem",
}


class AskedEngine:
    """`asked`: pairs of an action and what it is about: a table, `table/index/name`, a queue, the bus, the bucket.

    The unit is one as the aws engine connects it, which begins with reading the sessions table.
    """

    def __init__(self, engine: MemoryEngine) -> None:
        self.asked: set[tuple[str, str]] = {("dynamodb:GetItem", SESSIONS)}
        self._engine = engine
        self.tables = _Tables(engine, self.asked)
        self.queues = _Queues(engine, self.asked)
        self.bus = _Bus(engine, self.asked)
        self.blobs = _Blobs(engine, self.asked)
        self.watch = _Watch(engine, self.asked)

    @property
    def streams(self) -> Streams:
        raise AssertionError("on AWS it is the event source mapping that reads the streams")

    async def close(self) -> None:
        pass


class _Part:
    def __init__(self, engine: MemoryEngine, asked: set[tuple[str, str]]) -> None:
        self._engine = engine
        self._asked = asked

    def _ask(self, *actions: str, about: str) -> None:
        self._asked.update((action, about) for action in actions)


class _Tables(_Part):
    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        self._read(keys)
        return await self._engine.tables.get(keys)

    async def query(self, query: Query) -> Page:
        about = f"{query.table}/index/{query.index}" if query.index else query.table
        self._ask("dynamodb:Query", about=about)
        return await self._engine.tables.query(query)

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        self._change(writes)
        return await self._engine.tables.write(writes)

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        self._change([guard])
        self._change(followers)
        return await self._engine.tables.write_after(guard, followers)

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        self._each(parts)
        return await self._engine.tables.transact(parts)

    def _read(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self._ask("dynamodb:GetItem" if len(keys) == 1 else "dynamodb:BatchGetItem", about=key.table)

    def _change(self, writes: Sequence[Write]) -> None:
        """Several updates travel as one batch of statements; what that leaves unsettled is repeated one by one."""
        self._each(writes)
        updates = [write for write in writes if isinstance(write, Update)]
        if len(updates) > 1:
            for write in updates:
                self._ask("dynamodb:PartiQLUpdate", about=write.key.table)

    def _each(self, parts: Iterable[TransactionPart]) -> None:
        for part in parts:
            self._ask(ACTION_OF_PART[type(part)], about=part.key.table)


class _Queues(_Part):
    async def send(self, queue: str, messages: Sequence[Outgoing], origin: Origin | None = None) -> list[str | None]:
        self._ask("sqs:GetQueueUrl", "sqs:SendMessage", about=queue)
        return await self._engine.queues.send(queue, messages, origin)

    async def receive(self, queue: str, limit: int, wait_seconds: float) -> list[Message]:
        """What arrives when nobody waits any more is given back."""
        self._ask("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", about=queue)
        return await self._engine.queues.receive(queue, limit, wait_seconds)

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        self._ask("sqs:GetQueueUrl", "sqs:DeleteMessage", about=queue)
        await self._engine.queues.delete(queue, receipts)

    async def extend(self, queue: str, receipts: Sequence[str], seconds: float) -> None:
        self._ask("sqs:GetQueueUrl", "sqs:ChangeMessageVisibility", about=queue)
        await self._engine.queues.extend(queue, receipts, seconds)


class _Bus(_Part):
    async def publish(self, entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        self._ask("events:PutEvents", about=INVENTORY.bus)
        return await self._engine.bus.publish(entries, origin)


class _Blobs(_Part):
    async def put(self, key: str, data: bytes) -> BlobRef:
        """A file that is there already is compared by its head, which is a read."""
        self._ask("s3:PutObject", "s3:GetObject", about=f"{INVENTORY.bucket}/*")
        return await self._engine.blobs.put(key, data)

    async def get(self, ref: BlobRef) -> bytes:
        self._ask("s3:GetObject", about=f"{INVENTORY.bucket}/*")
        self._ask("s3:ListBucket", about=INVENTORY.bucket)
        return await self._engine.blobs.get(ref)


class _Watch(_Part):
    async def changed(self, key: Key, wait_seconds: float) -> bool:
        self._ask("dynamodb:GetItem", "dynamodb:BatchGetItem", about=key.table)
        return await self._engine.watch.changed(key, wait_seconds)

    async def forget(self, key: Key) -> None:
        await self._engine.watch.forget(key)
