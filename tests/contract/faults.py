"""A hand-written fault: the call is applied, and its answer is lost on the way back."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_backbone.errors import Retryable
from penstock_backbone.ports import Tables
from penstock_backbone.vocabulary import (
    Item,
    Key,
    Outcome,
    Page,
    Query,
    TransactionOutcome,
    TransactionPart,
    Write,
)


class LostAnswers:
    """The Tables port, losing the answers to the next `lost` writing calls."""

    def __init__(self, tables: Tables, lost: int = 1) -> None:
        self._tables = tables
        self.lost = lost

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        return await self._tables.get(keys)

    async def query(self, query: Query) -> Page:
        return await self._tables.query(query)

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = await self._tables.write(writes)
        self._lose()
        return outcomes

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        outcomes = await self._tables.write_after(guard, followers)
        self._lose()
        return outcomes

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        outcome = await self._tables.transact(parts)
        self._lose()
        return outcome

    def _lose(self) -> None:
        if self.lost > 0:
            self.lost -= 1
            raise Retryable("the answer was lost: it may or may not have been applied")
