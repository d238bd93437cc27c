"""What the runners serve, read at most every few seconds, however many ask."""

from __future__ import annotations

from penstock_backbone.ports import Clock, Tables
from penstock_backbone.reading import read_whole
from penstock_backbone.records.sessions import Served, all_sessions, served_by

FRESH_SECONDS = 2.0


class Fleet:
    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._served: Served = None
        self._read_at: float | None = None

    async def served(self) -> Served:
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= FRESH_SECONDS:
            self._served = served_by(await read_whole(self._tables, all_sessions()))
            self._read_at = now
        return self._served
