"""What each of several shards may hold of the scopes that tenants share, so that together they stay below every limit.

A shard decides alone, so it must know without asking how much the others may hold at most. The ledger says so. Nothing
is lowered there below what a shard holds, and the sum of a scope grows only while its limit is still the one that was
read, so no shard has to know what the others hold now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from penstock_backbone.records.shards import Budget, Ledger
from penstock_orchestrator.domain.limits import Limits

SCOPES_MAX = 40
"""That one move of budgets changes, so that it fits a transaction with the heads it lowers and the limits it leans on."""


@dataclass(frozen=True, slots=True)
class Move:
    """A ledger to be written. `lowered` are shards whose heads are to be fenced with it, `raised` the scopes whose limits
    must still stand."""

    ledger: Ledger
    lowered: tuple[int, ...]
    raised: tuple[str, ...]


def allowance(ledger: Ledger, limits: Limits, shard: int, scope: str) -> int | None:
    """How many tokens the shard may hold in the scope: its budget, and never more than the others leave of the limit.

    None: as many as it likes. The others count with what they may hold, whatever they do hold.
    """
    budget = ledger.budgets.get(scope)
    limit = limits.of_scope(scope)
    if budget is None:
        if limit is None or ledger.known == 1:
            return limit
        return 0
    own = budget.get(shard, 0)
    return own if limit is None else max(0, min(own, limit - sum(budget.values()) + own))


def apportion(
    ledger: Ledger,
    limits: Limits,
    held: Sequence[Mapping[str, int]],
    wanted: Sequence[Mapping[str, int]],
    scopes: Sequence[str],
    *,
    commit_id: str,
) -> Move:
    """Makes room for `wanted` in `scopes` (the first SCOPES_MAX of them); what is left of a limit is spread evenly, so
    that the next run needs no move. `held` and `wanted` count tokens by shard, then by scope.
    """
    budgets = dict(ledger.budgets)
    lowered: set[int] = set()
    raised: list[str] = []
    for scope in scopes[:SCOPES_MAX]:
        before = ledger.budgets.get(scope)
        limit = limits.of_scope(scope)
        if limit is None:
            budgets.pop(scope, None)
            raised.append(scope)
            continue
        now = _spread(
            [max(here.get(scope, 0), wish.get(scope, 0)) for here, wish in zip(held, wanted, strict=True)],
            limit,
            ledger.shards,
        )
        budgets[scope] = now
        lowered |= {shard for shard, most in now.items() if before is None or most < before.get(shard, 0)}
        if before is not None and sum(now.values()) > sum(before.values()):
            raised.append(scope)
    new = replace(ledger, version=ledger.version + 1, commit_id=commit_id, budgets=budgets)
    return Move(new, tuple(sorted(lowered)), tuple(raised))


def moved(ledger: Ledger, source: int, target: int, held: Mapping[str, int], commit_id: str) -> Ledger:
    """The budgets go with the tokens that hold something of them: `held` by scope, from one shard to another."""
    budgets = dict(ledger.budgets)
    for scope, count in held.items():
        budget = budgets.get(scope)
        if budget is not None:
            here, there = budget.get(source, 0) - count, budget.get(target, 0) + count
            budgets[scope] = {**budget, source: here, target: there}
    return replace(ledger, version=ledger.version + 1, commit_id=commit_id, budgets=budgets)


def reshaped(ledger: Ledger, shards: int, commit_id: str) -> Ledger:
    """The tenants are spread over another number of shards. A new one may hold nothing where budgets are."""
    return replace(
        ledger,
        version=ledger.version + 1,
        commit_id=commit_id,
        map=ledger.map + 1,
        shards=shards,
        known=max(shards, ledger.known),
    )


def _spread(needed: Sequence[int], limit: int, shards: int) -> Budget:
    """Of a limit that was lowered below what is held nothing is left to spread."""
    spare = max(0, limit - sum(needed))
    each, rest = divmod(spare, shards)
    return {shard: need + (each + (shard < rest) if shard < shards else 0) for shard, need in enumerate(needed)}
