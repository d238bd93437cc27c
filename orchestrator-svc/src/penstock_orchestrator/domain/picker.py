"""Whose turn it is among everybody who waits.

First the tenant that holds the fewest tokens (every tenant weighs the same); a tie goes to the one with the
oldest waiting run. Inside the tenant the lowest priority number, 1 being the most urgent; inside a priority
the oldest run. A tenant at its limit takes no part, nor does a workflow at its limit: it is skipped and
blocks nobody behind it.

Each pair of tenant and workflow is a lane. Every workflow ranks its lanes, and one ranking on top compares the
workflows' first lanes, so that a change costs the logarithm of the number of lanes, times the few workflows
that one tenant waits in, and the number of waiting runs never matters.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from penstock_orchestrator.domain.line import Line, Place
from penstock_orchestrator.domain.occupancy import Occupancy
from penstock_orchestrator.domain.ranking import Ranking


class _Lane:
    """What one tenant has waiting in one workflow: a line for each priority."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: dict[int, Line] = {}

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def oldest(self) -> Place:
        return min(line.first for line in self.lines.values())

    def next(self) -> tuple[int, Place]:
        priority = min(self.lines)
        return priority, self.lines[priority].first

    def add(self, priority: int, place: Place) -> None:
        line = self.lines.get(priority)
        if line is None:
            line = self.lines[priority] = Line()
        line.add(place)

    def remove(self, priority: int, place: Place) -> None:
        line = self.lines[priority]
        line.remove(place)
        if not len(line):
            del self.lines[priority]


class Picker:
    """Reads the occupancy and never changes it; whoever changes it says so with `tenant_changed` and `workflow_changed`.

    Ranks are made up to date only when somebody asks who is next, so that moves which follow each other cost one
    ranking, and moves that are taken back cost almost nothing.
    """

    __slots__ = ("_lanes", "_occupancy", "_of_workflow", "_stale_tenants", "_stale_workflows", "_workflows")

    def __init__(self, occupancy: Occupancy) -> None:
        self._occupancy = occupancy
        self._lanes: dict[str, dict[str, _Lane]] = {}
        self._of_workflow: dict[str, Ranking] = {}
        self._workflows = Ranking()
        self._stale_tenants: set[str] = set()
        self._stale_workflows: set[str] = set()

    def add(self, tenant: str, workflow: str, priority: int, place: Place) -> None:
        lanes = self._lanes.get(tenant)
        if lanes is None:
            lanes = self._lanes[tenant] = {}
        lane = lanes.get(workflow)
        if lane is None:
            lane = lanes[workflow] = _Lane()
        lane.add(priority, place)
        self._stale_tenants.add(tenant)

    def remove(self, tenant: str, workflow: str, priority: int, place: Place) -> None:
        self._lanes[tenant][workflow].remove(priority, place)
        self._stale_tenants.add(tenant)

    def tenant_changed(self, tenant: str) -> None:
        self._stale_tenants.add(tenant)

    def workflow_changed(self, workflow: str) -> None:
        self._stale_workflows.add(workflow)

    def everything_changed(self) -> None:
        """New limits: the one change that costs in proportion to the number of lanes."""
        self._stale_tenants.update(self._lanes)
        self._stale_workflows.update(self._of_workflow)

    def next(self) -> str | None:
        """The token whose turn it is, whatever the fleet's limit says; None when nobody may go."""
        self._rank()
        workflow = self._workflows.first()
        if workflow is None:
            return None
        tenant = self._of_workflow[workflow].first()
        assert tenant is not None, workflow
        lanes = self._lanes[tenant].items()
        _, place = min(lane.next() for name, lane in lanes if not self._occupancy.workflow_is_full(name))
        return place.token

    def tenants(self) -> Iterator[str]:
        """Those who have somebody waiting, and perhaps some who no longer have."""
        return iter(self._lanes)

    def waiting(self, tenant: str) -> int:
        return sum(map(len, self._lanes.get(tenant, {}).values()))

    def line_of(self, tenant: str) -> Iterator[Place]:
        """The tenant's waiting tokens by priority and age; read only as far as it is needed."""
        lanes = self._lanes.get(tenant, {}).values()
        for priority in sorted({priority for lane in lanes for priority in lane.lines}):
            yield from heapq.merge(*(lane.lines[priority] for lane in lanes if priority in lane.lines))

    def _rank(self) -> None:
        for tenant in self._stale_tenants:
            self._rank_tenant(tenant)
        self._stale_tenants.clear()
        for workflow in self._stale_workflows:
            self._rank_workflow(workflow)
        self._stale_workflows.clear()

    def _rank_tenant(self, tenant: str) -> None:
        """In each workflow that it waits in: nowhere, while it is at its limit."""
        lanes = self._lanes.get(tenant)
        if lanes is None:
            return
        held, is_full = self._occupancy.of_tenant(tenant), self._occupancy.tenant_is_full(tenant)
        for workflow, lane in list(lanes.items()):
            ranking = self._of_workflow.get(workflow)
            if ranking is None:
                ranking = self._of_workflow[workflow] = Ranking()
            if not lane.lines:
                del lanes[workflow]
                ranking.place(tenant, None)
            elif is_full:
                ranking.place(tenant, None)
            else:
                oldest = lane.oldest()
                ranking.place(tenant, (held, oldest.at, oldest.run))
            self._stale_workflows.add(workflow)
        if not lanes:
            del self._lanes[tenant]

    def _rank_workflow(self, workflow: str) -> None:
        ranking = self._of_workflow.get(workflow)
        if ranking is None or self._occupancy.workflow_is_full(workflow):
            self._workflows.place(workflow, None)
            return
        self._workflows.place(workflow, ranking.first_rank())
        if not len(ranking):
            del self._of_workflow[workflow]
