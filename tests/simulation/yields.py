"""Checks each ask for a slot at the moment it is committed, and that runs yield as they were asked to (I18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.violations import demand

from penstock_backbone.records.limits import FLEET, FLEET_LIMIT_DEFAULT, tenant_scope
from penstock_backbone.records.runs import QUEUED, as_run, needs_token
from penstock_backbone.records.tokens import WAITING
from penstock_backbone.records.yields import YIELDS_MAX, Ask, Asks
from penstock_backbone.vocabulary import Item

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger


class Yields:
    def __init__(self, ledger: Ledger, runs: dict[str, Item]) -> None:
        self._ledger = ledger
        self._runs = runs
        self._limit = FLEET_LIMIT_DEFAULT
        self._is_on = False
        self._stood: set[Ask] = set()

    def switched(self, fleet: Item) -> None:
        self._limit, self._is_on = 0 if fleet.get("paused") else fleet["limit"], fleet.get("yields", False)

    def asked(self, now: Asks, owed: Callable[[str], range]) -> None:
        """`owed`: how many slots a tenant's scope is owed, by what the one who asks may know. An ask that stood before was
        right when it was made; what its tenant has lost since then does not take it back."""
        demand(self._is_on, "I18", "a run is asked to yield, and nobody wants that")
        in_use = self._ledger.in_use
        demand(
            in_use(FLEET) == self._limit, "I18", f"a run is asked to yield while {in_use(FLEET)} of {self._limit} run"
        )
        tokens, held = self._ledger.tokens, self._ledger.held
        waiting = {
            tenant_scope(item["tenant"]) for name, item in tokens.items() if name not in held and self._waits(item)
        }
        starving = {tenant for tenant in waiting if in_use(tenant) < owed(tenant)[-1]}
        demand(len(now.standing) <= len(starving), "I18", f"{len(now.standing)} asks stand for {len(starving)} tenants")
        stood, self._stood = self._stood, set(now.standing)
        for name, fence in now.standing:
            demand(held.get(name) == fence, "I18", f"{name} is asked to yield, and does not hold under {fence}")
            if (name, fence) in stood:
                continue
            tenant = tokens[name]["tenant"]
            asked = sum(tokens[other]["tenant"] == tenant for other, _ in now.standing)
            left = in_use(tenant_scope(tenant)) - asked
            demand(left >= owed(tenant_scope(tenant))[0], "I18", f"{tenant} would yield what it is owed: {left} stay")

    def _waits(self, token: Item) -> bool:
        """One that goes back to the line by the last decision is in it, even if that is not applied yet."""
        run = self._runs.get(token["run"])
        return token["st"] == WAITING or (run is not None and needs_token(as_run(run)))


def yielded(old: Item, new: Item) -> None:
    """The run `old` was handed back, and is `new`."""
    run = new["pk"]
    demand("yielding" in old and new["state"] == QUEUED, "I18", f"{run} yields, and nobody has asked it to")
    demand(new["attempt"] == old["attempt"] - 1, "I18", f"{run} yields, and that counts as an attempt")
    demand(old["results"].keys() <= new["results"].keys(), "I18", f"{run} yields, and loses what it has done")
    demand(new["yields"] <= YIELDS_MAX, "I18", f"{run} was asked to yield {new['yields']} times")
