"""Runs writes and transactions over any storage, one request at a time: the meaning of the Tables port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, assert_never

from penstock_backbone.errors import BackboneError, TooLarge
from penstock_backbone.local.conditions import holds, identical, updated
from penstock_backbone.local.images import Image
from penstock_backbone.vocabulary import (
    TRANSACTION_BYTES_MAX,
    Cancelled,
    Check,
    Committed,
    Delete,
    Exists,
    Item,
    Key,
    Outcome,
    Put,
    Refused,
    TransactionOutcome,
    TransactionPart,
    Unsettled,
    Update,
    Write,
    Written,
)

_IS_THERE = Exists("pk")


class Storage(Protocol):
    """Where items are. Loaded items are shared: nobody changes them in place."""

    def load(self, key: Key) -> Item | None: ...

    def prepare(self, key: Key, item: Item | None) -> Image:
        """Checks (Invalid) and measures (TooLarge) the image without storing it."""
        ...

    def store(self, key: Key, change: Image, old: Item | None) -> None:
        """Stores the image, its index entries, and the record on the feed. Must not fail."""
        ...


class Transactor:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """A write that is wrong by itself (TooLarge, a path through no map) raises before any is applied when
        it stands alone, and is Unsettled when it stands among others.
        """
        if len(writes) == 1:
            return [self._write(writes[0])]
        outcomes: list[Outcome] = []
        for write in writes:
            try:
                outcomes.append(self._write(write))
            except BackboneError as error:
                outcomes.append(Unsettled(str(error)))
        return outcomes

    def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        outcome = self._write(guard)
        if not isinstance(outcome, Written):
            return outcome, []
        outcomes: list[Outcome] = []
        for write in followers:
            try:
                outcomes.append(self._write(write))
            except BackboneError as error:
                outcomes.append(Unsettled(str(error)))
        return outcome, outcomes

    def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        olds = [self._storage.load(part.key) for part in parts]
        reasons = tuple(None if _permits(part, old) else Refused(old) for part, old in zip(parts, olds, strict=True))
        if any(reasons):
            return Cancelled(reasons)
        changes = [
            None if isinstance(part, Check) else self._storage.prepare(part.key, _image(part, old))
            for part, old in zip(parts, olds, strict=True)
        ]
        if sum(change.size for change in changes if change) > TRANSACTION_BYTES_MAX:
            raise TooLarge(f"a transaction holds {TRANSACTION_BYTES_MAX} bytes at most")
        for part, old, change in zip(parts, olds, changes, strict=True):
            if change is not None and not _unchanged(change.item, old):
                self._storage.store(part.key, change, old)
        return Committed()

    def _write(self, write: Write) -> Outcome:
        old = self._storage.load(write.key)
        if not _permits(write, old):
            return Refused(old)
        image = _image(write, old)
        change = self._storage.prepare(write.key, image)
        if not _unchanged(change.item, old):
            self._storage.store(write.key, change, old)
        return Written(image if isinstance(write, Update) and write.returning else None)


def _unchanged(new: Item | None, old: Item | None) -> bool:
    """What is not even equal is most of it, and told at once; 1 equals true, and differs from it all the same."""
    return new == old and identical(new, old)


def _permits(part: TransactionPart, old: Item | None) -> bool:
    if isinstance(part, Update) and not holds(_IS_THERE, old):
        return False
    return holds(part.when, old)


def _image(write: Write, old: Item | None) -> Item | None:
    match write:
        case Put(key=key, item=item):
            return {"pk": key.pk, "sk": key.sk, **item}
        case Update():
            assert old is not None
            return updated(old, write)
        case Delete():
            return None
        case _:
            assert_never(write)
