"""Waiting tokens of one tenant, workflow and priority: first come, first served, at the same cost however long the line."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

COMPACTION_PLACES_MIN = 64


class Place(NamedTuple):
    """Ordered by time of acceptance (ms), then run id: the same for everybody who looks."""

    at: int
    run: str
    token: str


class Line:
    """A sorted list that is cheap at both ends: tokens join at the back, leave from the front, and return there."""

    __slots__ = ("_places", "_start")

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._start = 0

    def __len__(self) -> int:
        return len(self._places) - self._start

    def __iter__(self) -> Iterator[Place]:
        for index in range(self._start, len(self._places)):
            yield self._places[index]

    @property
    def first(self) -> Place:
        return self._places[self._start]

    def add(self, place: Place) -> None:
        places, start = self._places, self._start
        if len(places) == start or place > places[-1]:
            places.append(place)
        elif start and place < places[start]:
            self._start = start - 1
            places[start - 1] = place
        else:
            insort(places, place, lo=start)

    def remove(self, place: Place) -> None:
        places, start = self._places, self._start
        if places[start] != place:
            # Most leave from the front, and are found without a search through the whole line.
            index = bisect_left(places, place, lo=start)
            assert index < len(places), place
            assert places[index] == place, place
            del places[index]
            return
        self._start = start + 1
        if self._start >= COMPACTION_PLACES_MIN and self._start * 2 >= len(places):
            del places[: self._start]
            self._start = 0
