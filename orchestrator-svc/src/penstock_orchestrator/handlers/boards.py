"""Draws the boards on which the waiting see their place: a picture of the gate, a few times a second at most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from penstock_backbone.errors import BackboneError
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.records.limits import (
    FLEET,
    HUNGRY_MAX,
    SHARDS,
    in_use_of,
    workflow_scope,
    write_board,
    write_in_use,
    write_measured,
)
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Outcome, Put, Unsettled, Written
from penstock_orchestrator.domain.durations import Durations
from penstock_orchestrator.handlers.shards import Shards

_WORKFLOWS = workflow_scope("")
EVERY_SECONDS = 0.2
"""Between two drawings of one tenant's board."""
DRAWINGS_MAX = 3
"""In one turn, of a board that others draw at the same time."""


class Boards:
    def __init__(self, tables: Tables, shards: Shards, durations: Durations, clock: Clock) -> None:
        self._tables = tables
        self._shards = shards
        self._durations = durations
        self._clock = clock

    async def due(self) -> None:
        """Returns once a board has changed."""
        await self._shards.changes.are_there.wait()

    async def turn(self) -> None:
        """Draws every board that has changed since it was drawn. What cannot be written stays due."""
        changes = self._shards.changes
        changes.are_there.clear()
        try:
            await self._draw(changes.tenants, self._of_tenant)
            for _ in range(DRAWINGS_MAX):
                await self._draw(changes.scopes, self._of_scope, self._drawn, self._look)
                if not changes.scopes:
                    break
        finally:
            changes.of(())

    async def _draw(
        self,
        changed: set[str],
        draw: Callable[[str, int], Put],
        drawn: Callable[[str, Put, Outcome], None] = lambda *_: None,
        look: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        for start in range(0, len(due := sorted(changed)), BATCH_ITEMS_MAX):
            names = due[start : start + BATCH_ITEMS_MAX]
            if look is not None:
                for name in names:
                    await look(name)
            changed.difference_update(names)
            at = to_ms(self._clock.now())
            puts = [draw(name, at) for name in names]
            try:
                outcomes = await self._tables.write(puts)
            except BackboneError:
                changed.update(names)
                for name, put in zip(names, puts, strict=True):
                    drawn(name, put, Unsettled("the answer was lost"))
                raise
            for name, put, outcome in zip(names, puts, outcomes, strict=True):
                drawn(name, put, outcome)
            changed.update(
                name for name, outcome in zip(names, outcomes, strict=True) if not isinstance(outcome, Written)
            )

    def _of_tenant(self, tenant: str, at: int) -> Put:
        board = self._shards.home(tenant).board(tenant)
        return write_board(
            tenant,
            waiting=board.waiting,
            held=board.held,
            places=board.places,
            holders=board.holders,
            passed_over=board.passed_over,
            at=at,
        )

    def _of_scope(self, scope: str, at: int) -> Put:
        if scope == SHARDS:
            return write_in_use(scope, held=self._shards.ledger.shards, durations=(), at=at)
        held = sum(gate.occupancy.of_scope(scope) for gate in self._shards.gates)
        if not scope.startswith(_WORKFLOWS):
            hungry = min(HUNGRY_MAX, self._shards.hungry()) if scope == FLEET else 0
            return write_in_use(scope, held=held, durations=(), hungry=hungry, at=at)
        durations, seen = self._durations.draw(scope.removeprefix(_WORKFLOWS))
        return write_measured(scope, held=held, durations=durations, at=at, seen=seen)

    def _drawn(self, scope: str, put: Put, outcome: Outcome) -> None:
        """Nobody's measurements are overwritten: a board that another process has drawn is looked at first."""
        if not scope.startswith(_WORKFLOWS):
            return
        if isinstance(outcome, Written):
            self._durations.see(scope.removeprefix(_WORKFLOWS), put.item)
        else:
            self._durations.doubt(scope.removeprefix(_WORKFLOWS))

    async def _look(self, scope: str) -> None:
        """The board remembers what was measured before this process began, and by others."""
        if not scope.startswith(_WORKFLOWS) or self._durations.knows(scope.removeprefix(_WORKFLOWS)):
            return
        page = await self._tables.query(in_use_of(scope))
        self._durations.see(scope.removeprefix(_WORKFLOWS), page.items[0] if page.items else None)
