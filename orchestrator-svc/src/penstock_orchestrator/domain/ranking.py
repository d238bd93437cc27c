"""The first of many names whose ranks keep changing."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

Name = TypeVar("Name", str, tuple[str, ...])
Rank: TypeAlias = tuple[int, str]
"""Ordered by one number, and by the run where two are alike: a comparison touches as little memory as it can."""
STALE_ENTRIES_MIN = 64


class Ranking(Generic[Name]):
    """A heap in which a name may stand too far in front, and is put right when it comes up first.

    Only who moves forward has to be told, in O(log n). Who moves back costs nothing until then, and most have moved
    forward again before. `_entries` has the one entry of each name that counts: its rank, or a better one.
    """

    __slots__ = ("_entries", "_heap", "_rank_of")

    def __init__(self, rank_of: Callable[[Name], Rank | None]) -> None:
        """`rank_of` gives the present rank; None: the name takes no part."""
        self._rank_of: Callable[[Name], Rank | None] = rank_of
        self._entries: dict[Name, Rank] = {}
        self._heap: list[tuple[Rank, Name]] = []

    def advance(self, name: Name) -> bool:
        """It may rank better than before. False: it stands as far in front already."""
        rank = self._rank_of(name)
        entry = self._entries.get(name)
        if rank is None or (entry is not None and entry <= rank):
            return False
        self._entries[name] = rank
        heapq.heappush(self._heap, (rank, name))
        if len(self._heap) > 2 * len(self._entries) + STALE_ENTRIES_MIN:
            self._heap = [(present, known) for known, present in self._entries.items()]
            heapq.heapify(self._heap)
        return True

    def forget(self, name: Name) -> None:
        self._entries.pop(name, None)

    @property
    def front(self) -> Name:
        """Whom first() has just found."""
        return self._heap[0][1]

    def first(self) -> tuple[Rank, Name] | None:
        heap, entries = self._heap, self._entries
        while heap:
            entry, name = heap[0]
            if entries.get(name) is not entry:
                heapq.heappop(heap)
                continue
            rank = self._rank_of(name)
            if rank == entry:
                return heap[0]
            if rank is None:
                heapq.heappop(heap)
                del entries[name]
            else:
                entries[name] = rank
                heapq.heapreplace(heap, (rank, name))
        return None
