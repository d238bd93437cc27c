"""How many runs may hold a token: over the fleet, of a tenant, of a workflow, with a resource; how tenants share what there
is; and what anybody could execute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock_backbone.records.limits import (
    FLEET,
    FLEET_LIMIT_DEFAULT,
    LIMIT_MAX,
    NO_LIMIT,
    SHARDS,
    SHARDS_MAX,
    WEIGHT_DEFAULT,
    is_number,
    stated,
    tenant_scope,
)
from penstock_backbone.records.sessions import Served
from penstock_backbone.vocabulary import Item

_TENANTS = tenant_scope("")


@dataclass(frozen=True, slots=True)
class Limits:
    """`scopes` maps a scope of records.limits to its limit; another scope than the fleet that is absent has none of its own.

    A paused scope stands there with 0: it admits nothing, and what it holds drains. `weights` and `min_shares` are by
    tenant, and hold only what is not the default. `yields`: runs are asked to yield to tenants that hold no slot.
    `served`: what no live runner serves is not let in.
    """

    scopes: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    min_shares: Mapping[str, int] = field(default_factory=dict)
    yields: bool = False
    served: Served = None

    @property
    def fleet(self) -> int:
        return self.scopes.get(FLEET, FLEET_LIMIT_DEFAULT)

    def of_tenant(self, tenant: str) -> int | None:
        return self.scopes.get(_TENANTS + tenant)

    def of_scope(self, scope: str) -> int | None:
        return self.fleet if scope == FLEET else self.scopes.get(scope)

    def closed_tenants(self) -> list[str]:
        """Those that somebody may wait for until they are drained."""
        return [
            scope.removeprefix(_TENANTS)
            for scope, limit in self.scopes.items()
            if limit == 0 and scope.startswith(_TENANTS)
        ]

    @property
    def shards(self) -> int | None:
        """How many there shall be; None: as many as there are."""
        wish = self.scopes.get(SHARDS)
        return wish if wish is not None and 1 <= wish <= SHARDS_MAX else None

    def is_served(self, needs: str) -> bool:
        """A token's `needs`."""
        return self.served is None or needs in self.served

    def weight(self, tenant: str) -> int:
        return self.weights.get(tenant, WEIGHT_DEFAULT)

    def min_share(self, tenant: str) -> int:
        return self.min_shares.get(tenant, 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """`warnings` are sentences for the log: a damaged limit must not go unnoticed."""

    limits: Limits
    warnings: tuple[str, ...]


def read_limits(items: Iterable[Item], last: Limits) -> Reading:
    """A damaged value stays at its last good one; without one the scope is closed, because that cannot overload anybody."""
    scopes: dict[str, int] = {}
    weights: dict[str, int] = {}
    min_shares: dict[str, int] = {}
    warnings: list[str] = []
    yields = False
    for item in items:
        scope, value = item["sk"], item.get("limit")
        said = stated(scope, item)
        if is_number(value, 0, LIMIT_MAX):
            scopes[scope] = value
        elif value != NO_LIMIT or scope == FLEET:
            scopes[scope] = last.scopes.get(scope, FLEET_LIMIT_DEFAULT if scope == FLEET else 0)
            warnings.append(
                f"The limit of {scope} is {value!r}, which is no number from 0 to {LIMIT_MAX}: "
                f"{scopes[scope]} stays in force until it is set again."
            )
        if said.paused:
            scopes[scope] = 0
        if scope == FLEET:
            yields = said.yields
        if scope.startswith(_TENANTS):
            tenant = scope.removeprefix(_TENANTS)
            if said.weight != WEIGHT_DEFAULT:
                weights[tenant] = said.weight
            if said.min_share:
                min_shares[tenant] = said.min_share
    return Reading(Limits(scopes, weights, min_shares, yields, last.served), tuple(warnings))
