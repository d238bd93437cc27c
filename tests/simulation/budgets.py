"""Follows the ledger of the shards, and the tokens that move between them (I1, I2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from tests.simulation.network import Call
from tests.simulation.violations import demand

from penstock_backbone.records.shards import Ledger, as_ledger
from penstock_backbone.vocabulary import Item, Key


class Budgets:
    """What a transaction leaves is judged when the next commit comes: its parts become known one after another."""

    def __init__(self, limit_at: Callable[[str, float], int]) -> None:
        self._limit_at = limit_at
        self._ledger = Ledger()
        self._held: Counter[tuple[str, int]] = Counter()
        self._between: dict[str, Item] = {}
        self._last: Call | None = None
        self._to_fence: set[int] = set()
        self._fenced: dict[int, int] = {}

    def committed(self, call: Call | None) -> None:
        """Something of the tokens table is about to be committed."""
        if call is not self._last or call is None:
            self.judge()
        self._last = call

    def judge(self) -> None:
        demand(not self._between, "I2", f"tokens were deleted, undecided: {sorted(self._between)}")
        for scope, budget in self._ledger.budgets.items():
            for shard in range(self._ledger.known):
                held, most = self._held[scope, shard], budget.get(shard, 0)
                demand(held <= most, "I1", f"the shard {shard} holds {held} in {scope}, and may hold {most}")
        for shard in sorted(self._to_fence):
            fenced = self._fenced.get(shard, 0) == self._ledger.version
            demand(fenced, "I2", f"something was taken from the shard {shard}, and its head was not fenced")
        self._to_fence.clear()

    @property
    def count(self) -> int:
        """How many shards there have ever been side by side."""
        return self._ledger.known

    def fenced(self, shard: str, head: Item) -> None:
        self._fenced[_number(shard)] = head.get("ledger", 0)

    def apportioned(self, now: float, item: Item) -> None:
        old, new = self._ledger, as_ledger(item)
        demand(new.version == old.version + 1, "I2", f"the ledger went from {old.version} to {new.version}")
        if new.map != old.map:
            self._to_fence |= set(range(old.known))
        for scope, budget in new.budgets.items():
            before = old.budgets.get(scope)
            total = sum(budget.values())
            self._to_fence |= {
                shard for shard in range(old.known) if before is None or budget.get(shard, 0) < before.get(shard, 0)
            }
            if before is not None and total > sum(before.values()):
                limit = self._limit_at(scope, now)
                demand(total <= limit, "I1", f"the budgets of {scope} grow to {total}, where {limit} may run")
        self._ledger = new

    def counted(self, shard: str, scopes: Iterable[str], change: int) -> None:
        for scope in scopes:
            self._held[scope, _number(shard)] += change

    def demand_home(self, token: str, shard: str) -> None:
        """By the map in force: whoever goes by an older one decides nothing any more."""
        home = self._ledger.home(token.partition("#")[0])
        demand(home == _number(shard), "I2", f"{token} is let in at {shard}, and its tenant belongs to {home}")

    # --- tokens that move ------------------------------------------------------------------------------

    def leaves(self, key: Key, item: Item, held_in: Iterable[str]) -> None:
        self._between[key.sk] = item
        self._to_fence.add(_number(key.pk))
        self.counted(key.pk, held_in, -1)

    def has_left(self, name: str, item: Item) -> bool:
        """Whether it arrives as it has left a moment ago."""
        left = self._between.get(name)
        return left is not None and {**left, "pk": item["pk"]} == item

    def arrived(self, key: Key, held_in: Iterable[str]) -> None:
        del self._between[key.sk]
        self._to_fence.add(_number(key.pk))
        self.counted(key.pk, held_in, 1)


def _number(shard: str) -> int:
    return int(shard.rpartition("#")[2])
