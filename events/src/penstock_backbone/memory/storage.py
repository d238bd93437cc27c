"""Items in dicts, ordered by key, with sparse indexes, the feed, and how often each item has changed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter

import msgspec

from penstock_backbone.inventory import Inventory
from penstock_backbone.local.feed import SEQUENCE_DIGITS
from penstock_backbone.local.images import Image, prepare_private_image
from penstock_backbone.vocabulary import Item, Key, StreamRecord


class MemoryStorage:
    """Partitions are keyed (table, index or "", partition value) and hold sorted (sort value, pk, sk)."""

    def __init__(self, inventory: Inventory) -> None:
        self._indexes = {table.name: table.indexes for table in inventory.tables}
        self._streamed = {table.name for table in inventory.tables if table.streamed}
        self._items: dict[Key, Image] = {}
        self._partitions: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
        self.feed: list[StreamRecord] = []
        self.changes: Counter[Key] = Counter()

    def load(self, key: Key) -> Item | None:
        image = self._items.get(key)
        return image.item if image else None

    def read(self, key: Key) -> Item | None:
        """A copy for the outside."""
        image = self._items.get(key)
        return msgspec.msgpack.decode(image.body) if image else None

    def size(self, key: Key) -> int:
        """The msgpack length of the item that stands there."""
        return self._items[key].size

    def prepare(self, key: Key, item: Item | None) -> Image:
        return prepare_private_image(item, self._indexes[key.table])

    def store(self, key: Key, change: Image, old: Item | None) -> None:
        for name, place in self._places(key, old):
            entries = self._partitions[name]
            del entries[bisect_left(entries, place)]
            if not entries:
                del self._partitions[name]
        self.changes[key] += 1
        if change.item is None:
            self._items.pop(key, None)
        else:
            self._items[key] = change
        for name, place in self._places(key, change.item):
            insort(self._partitions.setdefault(name, []), place)
        if key.table in self._streamed:
            image = msgspec.msgpack.decode(change.body) if change.item is not None else None
            self.feed.append(StreamRecord(str(len(self.feed) + 1).zfill(SEQUENCE_DIGITS), key, image))

    def range(
        self,
        partition: tuple[str, str, str],
        *,
        prefix: str,
        after: tuple[str, str, str] | None,
        descending: bool,
    ) -> list[tuple[str, str, str]]:
        """The places of a partition from `after` on, in the direction asked for."""
        entries = self._partitions.get(partition, [])
        low = bisect_left(entries, (prefix,)) if prefix else 0
        high = bisect_left(entries, (prefix + "\U0010ffff",)) if prefix else len(entries)
        if after is not None and not descending:
            low = max(low, bisect_right(entries, after))
        if after is not None and descending:
            high = min(high, bisect_left(entries, after))
        found = entries[low:high]
        return found[::-1] if descending else found

    def _places(self, key: Key, item: Item | None) -> list[tuple[tuple[str, str, str], tuple[str, str, str]]]:
        if item is None:
            return []
        places = [((key.table, "", key.pk), (key.sk, key.pk, key.sk))]
        for index in self._indexes[key.table]:
            hash_value, range_value = item.get(index.hash_attribute), item.get(index.range_attribute)
            if isinstance(hash_value, str) and isinstance(range_value, str):
                places.append(((key.table, index.name, hash_value), (range_value, key.pk, key.sk)))
        return places
