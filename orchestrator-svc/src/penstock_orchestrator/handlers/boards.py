"""Draws the boards on which the waiting see their place: a picture of the gate, a few times a second at most."""

from __future__ import annotations

from penstock_backbone.errors import BackboneError
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.records.limits import PLACES_MAX, write_board
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Put, Written
from penstock_orchestrator.handlers.shard import Shard

EVERY_SECONDS = 0.2
"""Between two drawings of one tenant's board."""


class Boards:
    def __init__(self, tables: Tables, shard: Shard, clock: Clock) -> None:
        self._tables = tables
        self._shard = shard
        self._clock = clock

    async def turn(self) -> None:
        """Draws every board that has changed since it was drawn. What cannot be written stays due."""
        changed = self._shard.changed
        for start in range(0, len(due := sorted(changed)), BATCH_ITEMS_MAX):
            tenants = due[start : start + BATCH_ITEMS_MAX]
            changed.difference_update(tenants)
            at = to_ms(self._clock.now())
            try:
                outcomes = await self._tables.write([self._draw(tenant, at) for tenant in tenants])
            except BackboneError:
                changed.update(tenants)
                raise
            changed.update(
                tenant for tenant, outcome in zip(tenants, outcomes, strict=True) if not isinstance(outcome, Written)
            )

    def _draw(self, tenant: str, at: int) -> Put:
        board = self._shard.gate.board(tenant, PLACES_MAX)
        return write_board(tenant, waiting=board.waiting, held=board.held, places=board.places, at=at)
