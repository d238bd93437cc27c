"""How many runs may hold a token: over the fleet, a tenant, a workflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock_backbone.records.limits import FLEET, FLEET_LIMIT_DEFAULT, LIMIT_MAX, tenant_scope, workflow_scope
from penstock_backbone.vocabulary import Item


@dataclass(frozen=True, slots=True)
class Limits:
    """`scopes` maps a scope of records.limits to its limit; a tenant or workflow that is absent has none of its own."""

    scopes: Mapping[str, int] = field(default_factory=dict)

    @property
    def fleet(self) -> int:
        return self.scopes.get(FLEET, FLEET_LIMIT_DEFAULT)

    def of_tenant(self, tenant: str) -> int | None:
        return self.scopes.get(tenant_scope(tenant))

    def of_workflow(self, workflow: str) -> int | None:
        return self.scopes.get(workflow_scope(workflow))


@dataclass(frozen=True, slots=True)
class Reading:
    """`warnings` are sentences for the log: a damaged limit must not go unnoticed."""

    limits: Limits
    warnings: tuple[str, ...]


def read_limits(items: Iterable[Item], last: Limits) -> Reading:
    """A damaged value stays at its last good one; without one the scope is closed, because that cannot overload anybody."""
    scopes: dict[str, int] = {}
    warnings: list[str] = []
    for item in items:
        scope, value = item["sk"], item.get("limit")
        if type(value) is int and 0 <= value <= LIMIT_MAX:
            scopes[scope] = value
            continue
        scopes[scope] = last.scopes.get(scope, FLEET_LIMIT_DEFAULT if scope == FLEET else 0)
        warnings.append(
            f"The limit of {scope} is {value!r}, which is no number from 0 to {LIMIT_MAX}: "
            f"{scopes[scope]} stays in force until it is set again."
        )
    return Reading(Limits(scopes), tuple(warnings))
