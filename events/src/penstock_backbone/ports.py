"""The ports: everything the services may do to the world, as async protocols.

Each has one contract suite in tests/contract that runs over every engine. All of them raise
`Retryable` when the outcome is unknown and `Fatal` when repeating cannot help (errors.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from penstock_backbone.vocabulary import (
    BlobRef,
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


class Tables(Protocol):
    """Items with conditional writes; each commit appears on the streams."""

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        """Strongly consistent, in the order of `keys` (≤ BATCH_ITEMS_MAX); None where there is nothing."""
        ...

    async def query(self, query: Query) -> Page: ...

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Each write stands alone; outcomes in order (≤ BATCH_ITEMS_MAX, no key twice)."""
        ...

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        """The followers are tried only once the guard has been committed, and then each stands alone.

        Removals come before the other followers, so that what they free is never seen taken twice. Not
        atomic: a crash can leave the guard with any part of its followers, so whoever reads the guard must
        be able to finish them. The embedded engine spends one commit on all of it. A guard that was not
        Written gives an empty second list.
        """
        ...

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        """All or nothing (≤ BATCH_ITEMS_MAX parts, no key twice)."""
        ...


class Streams(Protocol):
    """The tables' change records, for named consumers that keep a durable position each."""

    async def read(self, consumer: str, limit: int, wait_seconds: float) -> list[StreamRecord]:
        """The next records after those last read, or [] once `wait_seconds` have passed without one.

        The inventory says which tables a consumer reads. A new process begins after the last settled record.
        """
        ...

    async def settle(self, consumer: str, through: str) -> None:
        """Everything up to and including sequence `through` is done and is not delivered again.

        Text that is no sequence of this stream is Invalid.
        """
        ...

    async def rewind(self, consumer: str) -> None:
        """Read again from the first unsettled record: a batch failed part-way."""
        ...


class Bus(Protocol):
    async def publish(self, entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        """One answer an entry, in order: None when accepted, else the reason it was not (≤ BATCH_ITEMS_MAX);
        a NotNow passes."""
        ...


class Queues(Protocol):
    """Named queues, at least once, no order promised. Names come from the inventory."""

    async def send(self, queue: str, messages: Sequence[Outgoing], origin: Origin | None = None) -> list[str | None]:
        """One answer a message, in order: None when accepted, else the reason it was not (≤ BATCH_ITEMS_MAX);
        a NotNow passes."""
        ...

    async def receive(self, queue: str, limit: int, wait_seconds: float) -> list[Message]:
        """Up to `limit` messages, hidden from others for the queue's visibility time; [] after `wait_seconds`.

        A message received more than the queue's `receives_max` times goes to its DLQ instead.
        """
        ...

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        """Settled. A receipt that has expired is ignored: the message will come again."""
        ...

    async def extend(self, queue: str, receipts: Sequence[str], seconds: float) -> None:
        """Hide for `seconds` from now on; 0 gives the message back at once."""
        ...


class Blobs(Protocol):
    """Write-once files by key. Keys are relative paths of safe segments (letters, digits, "._-")."""

    async def put(self, key: str, data: bytes) -> BlobRef:
        """The same content again succeeds; other content under a key that exists is Invalid."""
        ...

    async def get(self, ref: BlobRef) -> bytes:
        """The bytes, checked against the reference (BlobMissing, BlobCorrupt)."""
        ...


class Watch(Protocol):
    """Wakes followers of one item. A hint only: the follower re-reads the item."""

    async def changed(self, key: Key, wait_seconds: float) -> bool:
        """True soon after a commit on `key`, False after `wait_seconds`.

        A first call for a key returns True at once, so that no change between read and watch is missed.
        """
        ...

    async def forget(self, key: Key) -> None:
        """Nobody here follows this item any more."""
        ...


class Clock(Protocol):
    """Time as an argument: the only source of it in the services."""

    def now(self) -> datetime:
        """Wall-clock UTC: for people and for records, never for leases."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back: for leases and timeouts."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Ids(Protocol):
    def new(self, prefix: str) -> str:
        """`prefix` + "_" + a ULID: unique, and sorted by time of creation."""
        ...


class Chance(Protocol):
    def random(self) -> float:
        """Uniform in [0, 1): for jitter."""
        ...
