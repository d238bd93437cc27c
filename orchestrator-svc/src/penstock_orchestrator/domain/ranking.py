"""The first of many names whose ranks keep changing, in O(log n) a change."""

from __future__ import annotations

import heapq
from typing import Generic, TypeAlias, TypeVar

Name = TypeVar("Name", str, tuple[str, ...])
Rank: TypeAlias = tuple[int, int, str]
STALE_ENTRIES_MIN = 64


class Ranking(Generic[Name]):
    """A heap that forgets lazily: an entry counts only while it equals the name's present rank."""

    __slots__ = ("_heap", "_ranks")

    def __init__(self) -> None:
        self._ranks: dict[Name, Rank] = {}
        self._heap: list[tuple[Rank, Name]] = []

    def __len__(self) -> int:
        return len(self._ranks)

    def place(self, name: Name, rank: Rank | None) -> None:
        """None takes the name out."""
        if rank == self._ranks.get(name):
            return
        if rank is None:
            del self._ranks[name]
        else:
            self._ranks[name] = rank
            heapq.heappush(self._heap, (rank, name))
        if len(self._heap) > 2 * len(self._ranks) + STALE_ENTRIES_MIN:
            self._heap = [(present, known) for known, present in self._ranks.items()]
            heapq.heapify(self._heap)

    def first(self) -> Name | None:
        heap = self._heap
        while heap:
            rank, name = heap[0]
            if self._ranks.get(name) == rank:
                return name
            heapq.heappop(heap)
        return None

    def first_rank(self) -> Rank | None:
        first = self.first()
        return None if first is None else self._ranks[first]
