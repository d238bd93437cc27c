"""Bugs in the ledger of the shards and in what moves between them: each a patch of a few named functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tests.simulation.patches import Patches, without_condition

from penstock_backbone.records.limits import limit_key
from penstock_backbone.records.shards import Ledger
from penstock_backbone.records.tokens import TokenItem
from penstock_backbone.vocabulary import And, Check, Delete, Exists, Missing, Put
from penstock_orchestrator.domain import budgets, together
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.handlers import resharding, shards
from penstock_orchestrator.handlers.limits import LimitsInForce
from penstock_orchestrator.handlers.resharding import Resharding

# --- budgets -------------------------------------------------------------------------------------------


def budgets_not_summed_up(patches: Patches) -> None:
    def spread(needed: Sequence[int], limit: int, _shards: int) -> dict[int, int]:
        spare = max(0, limit - sum(needed))
        return {shard: need + spare for shard, need in enumerate(needed)}

    patches.put(budgets, "_spread", spread)


def lowered_limit_leaves_budgets(patches: Patches) -> None:
    def allowance(ledger: Ledger, limits: Limits, shard: int, scope: str) -> int | None:
        budget = ledger.budgets.get(scope)
        return limits.of_scope(scope) if budget is None else budget.get(shard, 0)

    patches.put(together, "allowance", allowance)


def limit_not_checked_under_a_budget(patches: Patches) -> None:
    def stands(_self: LimitsInForce, scope: str) -> Check:
        return Check(limit_key(scope), Exists("pk") | Missing("pk"))

    patches.put(LimitsInForce, "stands", stands)


def pause_not_checked_under_a_budget(patches: Patches) -> None:
    real = patches.put(LimitsInForce, "stands", None)

    def stands(self: Any, scope: str) -> Check:
        check: Check = real(self, scope)
        when = check.when
        return Check(check.key, And(when.all[:1]) if isinstance(when, And) else when)

    patches.change(LimitsInForce, "stands", stands)


def ledger_not_compared(patches: Patches) -> None:
    without_condition(patches, shards, "write_ledger")


def older_ledger_accepted(patches: Patches) -> None:
    patches.put(shards, "ledger_of", lambda _head: 0)


# --- what the heads are fenced for ---------------------------------------------------------------------


def _heads_not_fenced(patches: Patches, kind: str) -> None:
    """By a change of the ledger of this kind: of budgets ("bud"), of the map ("map"), or with tokens ("mov")."""
    real = patches.put(shards.Shards, "amend", None)

    async def amend(self: Any, ledger: Ledger, fenced: Iterable[int], parts: Any, limits: Limits) -> bool:
        return bool(await real(self, ledger, () if ledger.commit_id.startswith(kind) else fenced, parts, limits))

    patches.change(shards.Shards, "amend", amend)


def lowered_without_fencing(patches: Patches) -> None:
    _heads_not_fenced(patches, "bud")


def moved_without_fencing(patches: Patches) -> None:
    _heads_not_fenced(patches, "mov")


def old_map_accepted(patches: Patches) -> None:
    _heads_not_fenced(patches, "map")


# --- resharding ----------------------------------------------------------------------------------------


def moved_tokens_stay_as_well(patches: Patches) -> None:
    real = patches.put(resharding, "move_token", None)
    patches.change(resharding, "move_token", lambda token, **places: real(token, **places)[1:])


def fence_forgotten_on_the_way(patches: Patches) -> None:
    def move_token(token: TokenItem, *, source: int, target: int) -> tuple[Delete, Put]:
        leaves, arrives = real(token, source=source, target=target)
        return leaves, Put(arrives.key, {**arrives.item, "f": 0}, when=arrives.when)

    real = patches.put(resharding, "move_token", move_token)


def budgets_stay_behind(patches: Patches) -> None:
    def moved(ledger: Ledger, _source: int, _target: int, _held: Any, commit_id: str) -> Ledger:
        return replace(ledger, version=ledger.version + 1, commit_id=commit_id)

    patches.put(resharding, "moved", moved)


def let_in_before_all_have_moved(patches: Patches) -> None:
    def is_due(self: Any) -> bool:
        return self._limits.now.shards not in (None, self._shards.ledger.shards)

    patches.put(Resharding, "is_due", property(is_due))


def shards_that_were_given_up_forgotten(patches: Patches) -> None:
    patches.put(
        resharding,
        "reshaped",
        lambda ledger, wish, commit_id: replace(budgets.reshaped(ledger, wish, commit_id), known=wish),
    )
