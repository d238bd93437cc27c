"""The limits in force, with a word in the log when one of them is damaged; and what of it anybody can execute."""

from __future__ import annotations

import logging
from dataclasses import replace

from penstock_backbone.ports import Tables
from penstock_backbone.reading import read_whole
from penstock_backbone.records.limits import all_limits, limit_stands
from penstock_backbone.records.sessions import Served
from penstock_backbone.vocabulary import Check, Item
from penstock_orchestrator.domain.limits import Limits, read_limits

_log = logging.getLogger(__name__)


class LimitsInForce:
    """`now` is the last reading; before the first one only the fleet's default."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._warned: tuple[str, ...] = ()
        self._items: dict[str, Item] = {}
        self.now = Limits()

    async def read(self) -> Limits:
        items = await read_whole(self._tables, all_limits())
        reading = read_limits(items, self.now)
        if reading.warnings != self._warned:
            self._warned = reading.warnings
            for warning in reading.warnings:
                _log.warning(warning)
        self._items = {item["sk"]: item for item in items}
        self.now = reading.limits
        return self.now

    def serve(self, served: Served) -> bool:
        """What live runners serve, from the next decision on. Whether that is new."""
        if served == self.now.served:
            return False
        self.now = replace(self.now, served=served)
        return True

    def stands(self, scope: str) -> Check:
        """For a transaction: nobody has changed the scope's limit since it was read."""
        return limit_stands(scope, self._items.get(scope))
