"""Who holds tokens, as sets: a count is the size of a set, so it can neither drift nor leak."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from penstock_backbone.records.limits import LIMIT_MAX, WEIGHT_MAX
from penstock_orchestrator.domain.limits import Limits

_Ordered: TypeAlias = dict[str, None]
"""A set that keeps its order, so that everything drawn from it can be repeated."""

SHARE_PARTS = 1_000_000_000
"""Shares are whole numbers of such parts: fine enough to tell any two shares apart, because weights end at 1,000."""
ALL_SHARES = SHARE_PARTS * (LIMIT_MAX + 1)

assert WEIGHT_MAX**2 <= SHARE_PARTS


class Occupancy:
    """Full means that the limit is reached or passed: one that was lowered below what is held drains."""

    __slots__ = ("_of_tenant", "_of_workflow", "held", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held: set[str] = set()
        self._of_tenant: dict[str, _Ordered] = {}
        self._of_workflow: dict[str, _Ordered] = {}

    def add(self, token: str, tenant: str, workflow: str) -> None:
        assert token not in self.held, token
        self.held.add(token)
        self._of_tenant.setdefault(tenant, {})[token] = None
        self._of_workflow.setdefault(workflow, {})[token] = None

    def remove(self, token: str, tenant: str, workflow: str) -> None:
        self.held.remove(token)
        for scopes, name in ((self._of_tenant, tenant), (self._of_workflow, workflow)):
            del scopes[name][token]
            if not scopes[name]:
                del scopes[name]

    def of_tenant(self, tenant: str) -> int:
        return len(self._of_tenant.get(tenant, ()))

    def of_workflow(self, workflow: str) -> int:
        return len(self._of_workflow.get(workflow, ()))

    def held_by(self, tenant: str) -> Iterator[str]:
        """Its tokens, in the order in which they were taken up here."""
        return iter(self._of_tenant.get(tenant, ()))

    def by_workflow(self) -> dict[str, int]:
        return {workflow: len(tokens) for workflow, tokens in self._of_workflow.items()}

    def share(self, tenant: str) -> int:
        """Who has the smallest is served next: what it holds for its weight, unless that is less than its least share."""
        held = self.of_tenant(tenant)
        share = held * SHARE_PARTS // self.limits.weight(tenant)
        return share - ALL_SHARES if held < self.limits.min_share(tenant) else share

    def fleet_is_full(self) -> bool:
        return len(self.held) >= self.limits.fleet

    def tenant_is_full(self, tenant: str) -> bool:
        limit = self.limits.of_tenant(tenant)
        return limit is not None and self.of_tenant(tenant) >= limit

    def workflow_is_full(self, workflow: str) -> bool:
        limit = self.limits.of_workflow(workflow)
        return limit is not None and self.of_workflow(workflow) >= limit
