"""Reads the runners' sessions, and tells the limits in force what they serve: what nobody serves is not let in.

The sweep reads them all the time, and wakes the admission when something has changed. There is no hint that could be
lost: whoever misses a change sees it in the next reading.
"""

from __future__ import annotations

import logging

from penstock_backbone.errors import BackboneError
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.reading import read_whole
from penstock_backbone.records.sessions import all_sessions, served_by
from penstock_backbone.vocabulary import Item
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.handlers.limits import LimitsInForce

FRESH_SECONDS = 3.0
"""More than between two turns of the sweep anywhere: beside a sweep nobody else reads."""

_log = logging.getLogger(__name__)


class Fleet:
    """`has_changed` since somebody last took note of it."""

    def __init__(self, tables: Tables, limits: LimitsInForce, clock: Clock) -> None:
        self._tables = tables
        self._limits = limits
        self._clock = clock
        self._spared_until = clock.monotonic()
        self.has_changed = False

    async def swept(self) -> list[Item]:
        """All sessions, for the sweep."""
        sessions = await self._read()
        self._spared_until = self._clock.monotonic() + FRESH_SECONDS
        return sessions

    def is_served(self, token: Token) -> bool:
        return self._limits.now.is_served(token.needs)

    async def look(self) -> None:
        """Unless a sweep does it. Without an answer everything stays as it was, for as long as a sweep would spare us the next
        one: that may cost a grant that nobody takes up, and keeps nobody waiting whom the next reading would not find."""
        if self._clock.monotonic() < self._spared_until:
            return
        try:
            await self._read()
        except BackboneError as error:
            self._spared_until = self._clock.monotonic() + FRESH_SECONDS
            _log.warning("What the runners serve could not be read: %s", error)

    async def _read(self) -> list[Item]:
        sessions = await read_whole(self._tables, all_sessions())
        self.has_changed |= self._limits.serve(served_by(sessions))
        return sessions
