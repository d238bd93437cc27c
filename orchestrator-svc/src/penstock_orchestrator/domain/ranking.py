"""The first of many names whose ranks keep changing."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

Name = TypeVar("Name", str, tuple[str, ...])
Rank: TypeAlias = tuple[int, str, Name]
"""Ordered by one number, and by the run where two are alike; with whose it is, so that a comparison touches as little
memory as it can."""
STALE_ENTRIES_MIN = 64


class Ranking(Generic[Name]):
    """A heap in which a name may stand too far in front, and is put right when it comes up first.

    Only who moves forward has to be told, in O(log n). Who moves back costs nothing until then, and most have moved
    forward again before. `_entries` has the one entry of each name that counts: its rank, or a better one.
    """

    __slots__ = ("_entries", "_heap", "_rank_of")

    def __init__(self, rank_of: Callable[[Name], Rank[Name] | None]) -> None:
        """`rank_of` gives the present rank; None: the name takes no part."""
        self._rank_of: Callable[[Name], Rank[Name] | None] = rank_of
        self._entries: dict[Name, Rank[Name]] = {}
        self._heap: list[Rank[Name]] = []

    def advance(self, name: Name) -> bool:
        """It may rank better than before. Whether it stands in front of all others now because it does."""
        rank = self._rank_of(name)
        entry = self._entries.get(name)
        if rank is None or (entry is not None and entry <= rank):
            return False
        self._entries[name] = rank
        heapq.heappush(self._heap, rank)
        if len(self._heap) > 2 * len(self._entries) + STALE_ENTRIES_MIN:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)
        return self._heap[0] is rank

    def forget(self, name: Name) -> None:
        self._entries.pop(name, None)

    def first(self) -> Rank[Name] | None:
        heap, entries = self._heap, self._entries
        while heap:
            entry = heap[0]
            name = entry[2]
            if entries.get(name) is not entry:
                heapq.heappop(heap)
                continue
            rank = self._rank_of(name)
            if rank == entry:
                return entry
            if rank is None:
                heapq.heappop(heap)
                del entries[name]
                continue
            entries[name] = rank
            heapq.heapreplace(heap, rank)
            if heap[0] is rank:
                return rank
        return None

    @property
    def front(self) -> Name:
        """Whom first() has just found."""
        return self._heap[0][2]
