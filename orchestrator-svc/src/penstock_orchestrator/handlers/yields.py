"""Asks runs to yield, where the operators want it: reads, decides, and writes only if nothing was decided since."""

from __future__ import annotations

import logging

from penstock_backbone.errors import Retryable
from penstock_backbone.ports import Clock, Ids, Tables
from penstock_backbone.records.limits import FLEET
from penstock_backbone.records.runs import as_run, run_key
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.verbs import ask_to_yield
from penstock_backbone.records.yields import Asks, as_asks, asks_key, write_asks
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Cancelled, TransactionOutcome
from penstock_orchestrator.domain.yielding import candidates, choose, hungry
from penstock_orchestrator.handlers.limits import LimitsInForce
from penstock_orchestrator.handlers.shards import Shards

NO_SLOT = "a tenant has no slot"

_log = logging.getLogger(__name__)


class Yields:
    """Works on the admission's gates, between its turns."""

    def __init__(self, tables: Tables, shards: Shards, limits: LimitsInForce, *, clock: Clock, ids: Ids) -> None:
        self._tables = tables
        self._shards = shards
        self._limits = limits
        self._clock = clock
        self._ids = ids
        self._asks = Asks()

    async def turn(self) -> None:
        """One read and one transaction at most; none while nobody starves. Who is refused sees more in the next turn."""
        if not self._may_ask() or not hungry(self._shards.gates, self._limits.now):
            return
        tokens = candidates(self._shards.gates, self._limits.now, self._asks, BATCH_ITEMS_MAX - 1)
        if not tokens:
            return
        item, *items = await self._tables.get([asks_key(), *(run_key(token.run) for token in tokens)])
        if not self._may_ask():
            return
        self._asks = as_asks(item)
        runs = {run["pk"]: as_run(run) for run in items if run is not None}
        wishes = choose(self._shards.gates, self._limits.now, self._asks, runs)
        if not wishes.chosen:
            return
        asks = Asks(self._asks.version + 1, self._ids.new("ask"), wishes.asks())
        at = to_ms(self._clock.now())
        asked = [ask_to_yield(run, reason=NO_SLOT, at=at) for _, run in wishes.chosen]
        checks = [self._shards[number].stands() for number in range(len(self._shards))]
        checks.append(self._limits.stands(FLEET))
        try:
            outcome = await self._tables.transact([write_asks(asks), *asked, *checks])
        except Retryable as error:
            _log.info("Whether runs were asked to yield is not known, so it is looked up: %s", error)
            return
        if _is_made(outcome, asks):
            self._asks = asks
            _log.info("Asked to yield: %s", ", ".join(token.run for token, _ in wishes.chosen))

    def _may_ask(self) -> bool:
        """Asked anew after each call, during which the admission may have read other limits."""
        return self._limits.now.yields and self._shards.are_current


def _is_made(outcome: TransactionOutcome, asks: Asks) -> bool:
    """Also where it is refused because it had succeeded before."""
    if not isinstance(outcome, Cancelled):
        return True
    refused = outcome.reasons[0]
    return refused is not None and as_asks(refused.item).commit_id == asks.commit_id
