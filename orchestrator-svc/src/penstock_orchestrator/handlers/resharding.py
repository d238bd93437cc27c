"""Brings the tenants to the number of shards that an operator has asked for, and every token to its tenant's shard.

Each step is one transaction, and the next one is found by looking at what is there. So it does not matter who makes it,
and whoever dies in between leaves nothing half done.
"""

from __future__ import annotations

import logging
from collections import Counter
from itertools import islice

from penstock_backbone.ports import Ids, Tables
from penstock_backbone.records.limits import FLEET, SHARDS
from penstock_backbone.records.shards import begin_head, move_token
from penstock_backbone.records.tokens import HELD, TokenItem, as_token, token_key
from penstock_orchestrator.domain.budgets import moved, reshaped
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.handlers.limits import LimitsInForce
from penstock_orchestrator.handlers.shards import Shards

TOKENS_MAX = 40
"""That one transaction moves: two parts each, beside the ledger and two heads."""

_log = logging.getLogger(__name__)


class Resharding:
    def __init__(self, tables: Tables, shards: Shards, limits: LimitsInForce, ids: Ids) -> None:
        self._tables = tables
        self._shards = shards
        self._limits = limits
        self._ids = ids

    @property
    def is_due(self) -> bool:
        """While it is, nothing is decided: a tenant's tokens must stand in one shard before it is let in there."""
        return bool(self._shards.strays) or self._limits.now.shards not in (None, self._shards.ledger.shards)

    async def step(self) -> bool:
        """False: somebody else came first, so that everything is to be loaded again."""
        wish = self._limits.now.shards
        if wish is not None and wish != self._shards.ledger.shards:
            return await self._reshape(wish)
        return await self._move()

    async def _reshape(self, wish: int) -> bool:
        """All heads are fenced with it, so that nobody decides by the old map any more."""
        before = self._shards.ledger
        ledger = reshaped(before, wish, self._ids.new("map"))
        begun = [begin_head(number, ledger=ledger.version) for number in range(before.known, ledger.known)]
        asked = self._limits.stands(SHARDS)
        if not await self._shards.amend(ledger, range(before.known), [*begun, asked], self._limits.now):
            return False
        self._shards.look_for_strays()
        _log.info("The tenants are spread over %d shards now: %d tokens move", wish, len(self._shards.strays))
        return True

    async def _move(self) -> bool:
        """Some of those that go from one certain shard to another."""
        strays, ledger = self._shards.strays, self._shards.ledger
        key, source = next(iter(strays.items()))
        target = self._home(key)
        chosen = list(
            islice((key for key, at in strays.items() if at == source and self._home(key) == target), TOKENS_MAX)
        )
        items = await self._tables.get([token_key(source, key) for key in chosen])
        tokens = [as_token(item) for item in items if item is not None]
        if len(tokens) < len(chosen):
            self._shards.distrust()
            return False
        held = _held(tokens)
        commit = moved(ledger, source, target, held, self._ids.new("mov"))
        parts = [part for token in tokens for part in move_token(token, source=source, target=target)]
        if not await self._shards.amend(commit, (source, target), parts, self._limits.now):
            self._shards.distrust()
            return False
        self._shards.moved(chosen, source, target)
        return True

    def _home(self, key: str) -> int:
        return self._shards.home_of(key.partition("#")[0])


def _held(tokens: list[TokenItem]) -> Counter[str]:
    """By scope."""
    held: Counter[str] = Counter()
    for token in tokens:
        if token["st"] == HELD:
            held.update((FLEET, *Token.of(token).kind))
    return held
