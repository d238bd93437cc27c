"""Bugs in who is let in: limits, what is served, and whose turn it is; each a patch of a few named functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from tests.simulation.patches import Patches

from penstock_backbone.records.limits import resource_scope, workflow_scope
from penstock_backbone.records.sessions import Served
from penstock_backbone.records.tokens import Operation
from penstock_orchestrator.domain import limits, picker
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.occupancy import Occupancy
from penstock_orchestrator.domain.picker import Picker
from penstock_orchestrator.handlers import admission
from penstock_orchestrator.handlers import limits as limits_in_force
from penstock_orchestrator.handlers.limits import LimitsInForce


def equals_instead_of_at_least(patches: Patches) -> None:
    def fleet_is_full(self: Occupancy) -> bool:
        return len(self.held) == self.limits.fleet

    patches.put(Occupancy, "fleet_is_full", fleet_is_full)
    _no_assertion(patches)


def tenant_limit_off_by_one(patches: Patches) -> None:
    def tenant_is_full(self: Occupancy, tenant: str) -> bool:
        limit = self.limits.of_tenant(tenant)
        return limit is not None and self.of_tenant(tenant) > limit

    patches.put(Occupancy, "tenant_is_full", tenant_is_full)
    _no_assertion(patches)


def workflow_limit_not_read(patches: Patches) -> None:
    _scopes_not_read(patches, workflow_scope(""))


def resource_limit_not_read(patches: Patches) -> None:
    _scopes_not_read(patches, resource_scope(""))


def _scopes_not_read(patches: Patches, prefix: str) -> None:
    def of_scope(self: Limits, scope: str) -> int | None:
        return None if scope.startswith(prefix) else self.scopes.get(scope)

    patches.put(Limits, "of_scope", of_scope)


def only_the_first_scope_counts(patches: Patches) -> None:
    def kind_is_full(self: Occupancy, kind: tuple[str, ...]) -> bool:
        limit = self.limits.of_scope(kind[0]) if kind else None
        return limit is not None and self.of_scope(kind[0]) >= limit

    patches.put(Occupancy, "kind_is_full", kind_is_full)
    _no_assertion(patches)


def lowered_limits_ignored(patches: Patches) -> None:
    real = patches.put(LimitsInForce, "read", None)

    async def read(self: Any) -> Limits:
        before = self.now.scopes
        new = (await real(self)).scopes
        self.now = Limits({scope: max(limit, before.get(scope, 0)) for scope, limit in new.items()})
        return cast(Limits, self.now)

    patches.change(LimitsInForce, "read", read)


def pauses_ignored(patches: Patches) -> None:
    real = patches.put(limits, "stated", None)
    patches.change(limits, "stated", lambda scope, item: real(scope, item)._replace(paused=False))


def limits_read_once(patches: Patches) -> None:
    real = patches.put(LimitsInForce, "read", None)

    async def read(self: Any) -> Limits:
        return cast(Limits, self.now if self.now.scopes else await real(self))

    patches.change(LimitsInForce, "read", read)


def unserved_let_in(patches: Patches) -> None:
    patches.put(Limits, "is_served", lambda _self, _needs: True)


def served_read_once(patches: Patches) -> None:
    real = patches.put(LimitsInForce, "serve", None)

    def serve(self: Any, served: Served) -> bool:
        return bool(self.now.served is None and real(self, served))

    patches.change(LimitsInForce, "serve", serve)


def version_forgotten_on_the_way_back(patches: Patches) -> None:
    real = patches.put(admission.Admission, "_ending", None)

    def ending(*given: Any) -> list[Operation]:
        return [operation._replace(version="") for operation in real(*given)]

    patches.change(admission.Admission, "_ending", ending)


def lost_runs_lose_their_turns(patches: Patches) -> None:
    real = patches.put(admission.Admission, "_endings", None)

    def endings(self: Any, runs: Any) -> tuple[list[Operation], set[str]]:
        found, _ = real(self, runs)
        return found, set()

    patches.change(admission.Admission, "_endings", endings)


def counter_instead_of_set(patches: Patches) -> None:
    """Counts moves and never counts again, so what others did in between is lost."""
    counts: dict[int, int] = {}
    add, remove = patches.put(Occupancy, "add", None), patches.put(Occupancy, "remove", None)

    def counted_add(self: Occupancy, token: str, tenant: str, workflow: str) -> None:
        add(self, token, tenant, workflow)
        counts[0] = counts.get(0, 0) + 1

    def counted_remove(self: Occupancy, token: str, tenant: str, workflow: str) -> None:
        remove(self, token, tenant, workflow)
        counts[0] -= 1

    patches.change(Occupancy, "add", counted_add)
    patches.change(Occupancy, "remove", counted_remove)
    patches.put(Occupancy, "fleet_is_full", lambda self: counts.get(0, 0) >= self.limits.fleet)
    _no_assertion(patches)


def last_come_first_served(patches: Patches) -> None:
    real = patches.put(Gate, "wait", None)
    patches.change(Gate, "wait", lambda self, token: real(self, token._replace(at=-token.at)))


def flooding_tenant_first(patches: Patches) -> None:
    real = patches.put(Occupancy, "share", None)
    patches.change(Occupancy, "share", lambda self, tenant: -real(self, tenant))


def _no_assertion(patches: Patches) -> None:
    """The decision checks itself; here the simulation has to find out."""
    from penstock_orchestrator.domain import decision  # noqa: PLC0415  # only these need it

    patches.put(decision, "_assert_within_limits", lambda *_: None)


def weights_not_read(patches: Patches) -> None:
    _read_without(patches, "weights")


def least_shares_not_read(patches: Patches) -> None:
    _read_without(patches, "min_shares")


def _read_without(patches: Patches, part: str) -> None:
    real = patches.put(limits_in_force, "read_limits", None)

    def read_limits(items: Any, last: Limits) -> Any:
        reading = real(items, last)
        return replace(reading, limits=replace(reading.limits, **{part: {}}))

    patches.change(limits_in_force, "read_limits", read_limits)


def priority_ignored(patches: Patches) -> None:
    patches.put(picker, "urgency", lambda token: (token.at, token))


def priority_reversed(patches: Patches) -> None:
    real = patches.put(picker, "urgency", None)
    patches.change(picker, "urgency", lambda token: (real(token._replace(priority=6 - token.priority))[0], token))


def waiting_does_not_age(patches: Patches) -> None:
    patches.put(picker, "urgency", lambda token: (token.priority, token))


def full_scope_stops_the_gate(patches: Patches) -> None:
    """Nobody is let in while somebody waits for a workflow or a resource of his own that is full."""
    real = patches.put(Picker, "next", None)

    def next_one(self: Any) -> Any:
        full = self._occupancy.kind_is_full
        lanes = [(group, lane) for of_tenant in self._lanes.values() for group, lane in of_tenant.items()]
        return None if any(lane.lines and full(group) for group, lane in lanes) else real(self)

    patches.change(Picker, "next", next_one)
