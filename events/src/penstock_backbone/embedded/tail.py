"""The latest records of the feed, kept in memory for consumers that are up to date, which nearly all are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from penstock_backbone.vocabulary import Key

TAIL_RECORDS_MAX = 20_000
TAIL_BYTES_MAX = 32 * 1024 * 1024


class Record(NamedTuple):
    """A change on the feed; `body` None: the item was deleted."""

    seq: int
    key: Key
    body: bytes | None


class Changes(NamedTuple):
    """Of one commit: its records on the feed, and the keys of all items that it changed, those without a feed too."""

    records: list[Record]
    keys: AbstractSet[Key]


class Tail:
    """Without gaps, up to the last one that was committed."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._bytes = 0

    def append(self, records: Iterable[Record]) -> None:
        for record in records:
            self._records.append(record)
            self._bytes += _size(record)
        while len(self._records) > TAIL_RECORDS_MAX or self._bytes > TAIL_BYTES_MAX:
            self._bytes -= _size(self._records.popleft())

    def after(self, seq: int, limit: int) -> list[Record] | None:
        """Those beyond `seq`; None: it does not reach back that far."""
        if not self._records or seq + 1 < self._records[0].seq:
            return None
        start = seq + 1 - self._records[0].seq
        return [self._records[place] for place in range(start, min(start + limit, len(self._records)))]


def _size(record: Record) -> int:
    return 0 if record.body is None else len(record.body)
