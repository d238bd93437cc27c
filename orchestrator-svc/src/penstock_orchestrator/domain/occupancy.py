"""Who holds tokens, as sets: a count is the size of a set, so it can neither drift nor leak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from penstock_backbone.records.limits import FLEET, LIMIT_MAX, WEIGHT_DEFAULT, WEIGHT_MAX
from penstock_orchestrator.domain.limits import Limits

_Ordered: TypeAlias = dict[str, None]
"""A set that keeps its order, so that everything drawn from it can be repeated."""

Kind: TypeAlias = tuple[str, ...]
"""What runs are alike in: the scopes that they share with other tenants' runs (records.limits.shared_scopes)."""

SHARE_PARTS = 1_000_000_000
"""Shares are whole numbers of such parts: fine enough to tell any two shares apart, because weights end at 1,000."""
ALL_SHARES = SHARE_PARTS * (LIMIT_MAX + 1)

assert WEIGHT_MAX**2 <= SHARE_PARTS


class Occupancy:
    """Full means that the limit is reached or passed: one that was lowered below what is held drains.

    `everywhere`: what all shards together hold of the scopes that tenants share and of the fleet, in a dict that they
    have in common; None: there is no other shard.
    """

    __slots__ = ("_of_scope", "_of_tenant", "everywhere", "held", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held: set[str] = set()
        self.everywhere: dict[str, int] | None = None
        self._of_tenant: defaultdict[str, _Ordered] = defaultdict(dict)
        self._of_scope: defaultdict[str, _Ordered] = defaultdict(dict)

    def add(self, token: str, tenant: str, kind: Kind) -> None:
        assert token not in self.held, token
        self.held.add(token)
        self._of_tenant[tenant][token] = None
        for scope in kind:
            self._of_scope[scope][token] = None
        if self.everywhere is not None:
            _count(self.everywhere, kind, 1)

    def remove(self, token: str, tenant: str, kind: Kind) -> None:
        self.held.remove(token)
        _remove(self._of_tenant, tenant, token)
        for scope in kind:
            _remove(self._of_scope, scope, token)
        if self.everywhere is not None:
            _count(self.everywhere, kind, -1)

    def of_tenant(self, tenant: str) -> int:
        return len(self._of_tenant.get(tenant, ()))

    def of_scope(self, scope: str) -> int:
        """Of a scope that tenants share."""
        return len(self.held) if scope == FLEET else len(self._of_scope.get(scope, ()))

    def held_by(self, tenant: str) -> Iterator[str]:
        """Its tokens, in the order in which they were taken up here."""
        return iter(self._of_tenant.get(tenant, ()))

    def holders(self) -> Iterator[str]:
        """The tenants that hold any."""
        return iter(self._of_tenant)

    def by_scope(self) -> dict[str, int]:
        """How many tokens each scope that tenants share holds, the fleet aside, as far as it holds any."""
        return {scope: len(tokens) for scope, tokens in self._of_scope.items()}

    def share(self, tenant: str) -> int:
        """Who has the smallest is served next: what it holds for its weight, unless that is less than its least share."""
        held, limits = len(self._of_tenant.get(tenant, ())), self.limits
        share = held * SHARE_PARTS // limits.weights.get(tenant, WEIGHT_DEFAULT)
        return share - ALL_SHARES if held < limits.min_shares.get(tenant, 0) else share

    def fleet_is_full(self) -> bool:
        held = len(self.held) if self.everywhere is None else self.everywhere.get(FLEET, 0)
        return held >= self.limits.fleet

    def tenant_is_full(self, tenant: str) -> bool:
        limit = self.limits.of_tenant(tenant)
        return limit is not None and self.of_tenant(tenant) >= limit

    def kind_is_full(self, kind: Kind) -> bool:
        """One full scope is enough."""
        for scope in kind:  # noqa: SIM110  # this is asked for each lane, and any() costs twice as much
            if self._scope_is_full(scope):
                return True
        return False

    def _scope_is_full(self, scope: str) -> bool:
        limit = self.limits.of_scope(scope)
        if limit is None:
            return False
        held = len(self._of_scope.get(scope, ())) if self.everywhere is None else self.everywhere.get(scope, 0)
        return held >= limit


def _count(held: dict[str, int], kind: Kind, change: int) -> None:
    for scope in (FLEET, *kind):
        held[scope] = held.get(scope, 0) + change


def _remove(tokens_of: dict[str, _Ordered], name: str, token: str) -> None:
    tokens = tokens_of[name]
    del tokens[token]
    if not tokens:
        del tokens_of[name]
