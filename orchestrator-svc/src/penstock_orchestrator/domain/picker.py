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
    """Reads the occupancy and never changes it; whoever changes it says so with `tenant_changed` and `workflow_changed`."""

    __slots__ = ("_lanes", "_occupancy", "_of_workflow", "_workflows")

    def __init__(self, occupancy: Occupancy) -> None:
        self._occupancy = occupancy
        self._lanes: dict[str, dict[str, _Lane]] = {}
        self._of_workflow: dict[str, Ranking] = {}
        self._workflows = Ranking()

    def add(self, tenant: str, workflow: str, priority: int, place: Place) -> None:
        lanes = self._lanes.setdefault(tenant, {})
        if workflow not in lanes:
            lanes[workflow] = _Lane()
        lanes[workflow].add(priority, place)
        self._rank_lane(tenant, workflow)

    def remove(self, tenant: str, workflow: str, priority: int, place: Place) -> None:
        self._lanes[tenant][workflow].remove(priority, place)
        self._rank_lane(tenant, workflow)

    def tenant_changed(self, tenant: str) -> None:
        for workflow in list(self._lanes.get(tenant, ())):
            self._rank_lane(tenant, workflow)

    def workflow_changed(self, workflow: str) -> None:
        ranking = self._of_workflow.get(workflow)
        if ranking is None or self._occupancy.workflow_is_full(workflow):
            self._workflows.place(workflow, None)
        else:
            self._workflows.place(workflow, ranking.first_rank())

    def everything_changed(self) -> None:
        """New limits: the one change that costs in proportion to the number of lanes."""
        for tenant in list(self._lanes):
            self.tenant_changed(tenant)

    def next(self) -> str | None:
        """The token whose turn it is, whatever the fleet's limit says; None when nobody may go."""
        workflow = self._workflows.first()
        if workflow is None:
            return None
        tenant = self._of_workflow[workflow].first()
        assert tenant is not None, workflow
        lanes = self._lanes[tenant].items()
        _, place = min(lane.next() for name, lane in lanes if not self._occupancy.workflow_is_full(name))
        return place.token

    def tenants(self) -> Iterator[str]:
        """Those who have somebody waiting."""
        return iter(self._lanes)

    def waiting(self, tenant: str) -> int:
        return sum(map(len, self._lanes.get(tenant, {}).values()))

    def line_of(self, tenant: str) -> Iterator[Place]:
        """The tenant's waiting tokens by priority and age; read only as far as it is needed."""
        lanes = self._lanes.get(tenant, {}).values()
        for priority in sorted({priority for lane in lanes for priority in lane.lines}):
            yield from heapq.merge(*(lane.lines[priority] for lane in lanes if priority in lane.lines))

    def _rank_lane(self, tenant: str, workflow: str) -> None:
        lane = self._lanes[tenant][workflow]
        ranking = self._of_workflow.get(workflow)
        if ranking is None:
            ranking = self._of_workflow[workflow] = Ranking()
        if not lane.lines:
            del self._lanes[tenant][workflow]
            if not self._lanes[tenant]:
                del self._lanes[tenant]
            ranking.place(tenant, None)
        elif self._occupancy.tenant_is_full(tenant):
            ranking.place(tenant, None)
        else:
            oldest = lane.oldest()
            ranking.place(tenant, (self._occupancy.of_tenant(tenant), oldest.at, oldest.run))
        self.workflow_changed(workflow)
        if not len(ranking):
            del self._of_workflow[workflow]
