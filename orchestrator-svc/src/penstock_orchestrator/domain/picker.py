"""Whose turn it is among everybody who waits.

First the tenants that hold fewer tokens than their least share. Then the tenant that holds the fewest tokens for
its weight; a tie goes to the one with the oldest waiting run. Inside the tenant the most urgent run: priority 1
comes first, and AGE_SECONDS of waiting count as much as one priority; inside a priority the oldest run. A tenant
at its limit takes no part, nor does a workflow or a resource at its limit: its runs are skipped and block nobody
behind them.

A run's urgency is the time of its acceptance plus AGE_SECONDS for each priority below the first. It never changes
while the run waits, so everybody who looks computes the same order, nobody has to ask a clock, and nothing has to
be moved from band to band. A run is overtaken only by runs that are accepted within AGE_SECONDS for each priority
between them after it.

Runs of one workflow that use the same resources are of one kind. Each pair of tenant and kind is a lane. Every kind
ranks its lanes, and one ranking on top compares the kinds' first lanes, so that a tenant that moves forward costs the
logarithm of the number of lanes, times the few kinds that it waits in, one that moves back costs less, and the number
of waiting runs never matters.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeAlias

from penstock_orchestrator.domain.line import Line, Place
from penstock_orchestrator.domain.occupancy import ALL_SHARES, Kind, Occupancy
from penstock_orchestrator.domain.ranking import Rank, Ranking

Urgency: TypeAlias = tuple[int, Place]

AGE_SECONDS = 900
"""A waiting run is worth one priority more after so long: half of what a build commonly takes."""
_AGE_MS = AGE_SECONDS * 1000


def urgency(priority: int, place: Place) -> Urgency:
    """The smallest goes first; of two alike, the one that was accepted first."""
    return place.at + (priority - 1) * _AGE_MS, place


_UNKNOWN = -1 - ALL_SHARES
_AT_BITS = 48
"""Of a rank: a time of acceptance (ms) in its low bits, the tenant's share above them."""


class _Lane:
    """What one tenant has waiting of one kind: a line for each priority, and whose turn it is among their first."""

    __slots__ = ("_next", "_oldest", "lines")

    def __init__(self) -> None:
        self.lines: dict[int, Line] = {}
        self._oldest: Place | None = None
        self._next: Urgency | None = None

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def oldest(self) -> Place:
        """Kept until a first one changes: a tenant is ranked far more often for what it holds."""
        if self._oldest is None:
            self._oldest = min([line.first for line in self.lines.values()])
        return self._oldest

    def next(self) -> Urgency:
        if self._next is None:
            self._next = min([urgency(priority, line.first) for priority, line in self.lines.items()])
        return self._next

    def add(self, priority: int, place: Place) -> bool:
        """Whether it is the first of its priority: whoever stands behind others changes nobody's turn."""
        line = self.lines.get(priority)
        if line is None:
            line = self.lines[priority] = Line()
        line.add(place)
        if line.first is not place:
            return False
        self._oldest = self._next = None
        return True

    def remove(self, priority: int, place: Place) -> bool:
        """Whether it was the first of its priority."""
        line = self.lines[priority]
        was_first = line.first == place
        line.remove(place)
        if not len(line):
            del self.lines[priority]
        if was_first:
            self._oldest = self._next = None
        return was_first


class Picker:
    """Reads the occupancy and never changes it; whoever changes it says so with `tenant_changed` and `kind_changed`.

    Who has moved forward is ranked only when somebody asks who is next, so that moves which follow each other cost one
    ranking, and moves that are taken back cost almost nothing.
    """

    __slots__ = (
        "_kinds", "_kinds_in", "_lanes", "_occupancy", "_of_kind", "_shares", "_stale_kinds", "_stale_lanes",
        "_stale_tenants",
    )  # fmt: skip

    def __init__(self, occupancy: Occupancy) -> None:
        self._occupancy = occupancy
        self._lanes: dict[str, dict[Kind, _Lane]] = {}
        self._of_kind: dict[Kind, Ranking[str]] = {}
        self._kinds: Ranking[Kind] = Ranking(self._rank_of_kind)
        self._kinds_in: dict[str, dict[Kind, None]] = {}
        self._shares: dict[str, int | None] = {}
        self._stale_lanes: set[tuple[str, Kind]] = set()
        self._stale_tenants: set[str] = set()
        self._stale_kinds: set[Kind] = set()

    def add(self, tenant: str, kind: Kind, priority: int, place: Place) -> None:
        lanes = self._lanes.get(tenant)
        if lanes is None:
            lanes = self._lanes[tenant] = {}
        lane = lanes.get(kind)
        if lane is None:
            lane = lanes[kind] = _Lane()
        if lane.add(priority, place):
            self._stale_lanes.add((tenant, kind))

    def remove(self, tenant: str, kind: Kind, priority: int, place: Place) -> None:
        if self._lanes[tenant][kind].remove(priority, place):
            self._stale_lanes.add((tenant, kind))

    def tenant_changed(self, tenant: str) -> None:
        self._stale_tenants.add(tenant)

    def kind_changed(self, kind: Kind) -> None:
        """And with it those that share a scope with it."""
        self.scopes_changed(kind)

    def scopes_changed(self, scopes: Iterable[str]) -> None:
        """What is held in them, here or elsewhere."""
        for scope in scopes:
            self._stale_kinds.update(self._kinds_in.get(scope, ()))

    def everything_changed(self) -> None:
        """New limits: the one change that costs in proportion to the number of lanes."""
        self._stale_tenants.update(self._lanes)
        self._stale_kinds.update(self._of_kind)

    def next(self) -> str | None:
        """The token whose turn it is, whatever the fleet's limit says; None when nobody may go."""
        self._rank()
        first = self._kinds.first()
        if first is None:
            return None
        lane = self._of_kind[first[1]].first()
        assert lane is not None, first
        tenant = lane[1]
        lanes = self._lanes[tenant].items()
        _, place = min(lane.next() for name, lane in lanes if not self._occupancy.kind_is_full(name))
        return place.token

    def tenants(self) -> Iterator[str]:
        """Those who have somebody waiting, and perhaps some who no longer have."""
        return iter(self._lanes)

    def waiting(self, tenant: str) -> int:
        return sum(map(len, self._lanes.get(tenant, {}).values()))

    def line_of(self, tenant: str) -> Iterator[Place]:
        """The tenant's waiting tokens, the most urgent first; read only as far as it is needed."""
        lanes = self._lanes.get(tenant, {}).values()
        lines = [map(partial(urgency, priority), line) for lane in lanes for priority, line in lane.lines.items()]
        return (place for _, place in heapq.merge(*lines))

    def _rank(self) -> None:
        for tenant in self._stale_tenants:
            self._rank_tenant(tenant)
        self._stale_tenants.clear()
        for tenant, kind in self._stale_lanes:
            self._rank_lane(tenant, kind)
        self._stale_lanes.clear()
        for kind in self._stale_kinds:
            self._kinds.advance(kind)
        self._stale_kinds.clear()

    def _share(self, tenant: str) -> int | None:
        """What all its lanes are ranked by; None while it is at its limit. Kept in `_shares` while it waits."""
        return None if self._occupancy.tenant_is_full(tenant) else self._occupancy.share(tenant)

    def _rank_tenant(self, tenant: str) -> None:
        """In each kind that it waits for, if it has moved forward."""
        lanes = self._lanes.get(tenant)
        if lanes is None:
            return
        share, before = self._share(tenant), self._shares.get(tenant)
        self._shares[tenant] = share
        if share is None or (before is not None and before <= share):
            return
        for kind, lane in lanes.items():
            if lane.lines:
                self._advance(tenant, kind)

    def _rank_lane(self, tenant: str, kind: Kind) -> None:
        lanes = self._lanes.get(tenant)
        if lanes is None or kind not in lanes:
            return
        if lanes[kind].lines:
            self._advance(tenant, kind)
            return
        if kind in self._of_kind:
            self._of_kind[kind].forget(tenant)
        del lanes[kind]
        if not lanes:
            del self._lanes[tenant]
            self._shares.pop(tenant, None)

    def _advance(self, tenant: str, kind: Kind) -> None:
        ranking = self._of_kind.get(kind)
        if ranking is None:
            ranking = self._of_kind[kind] = Ranking(partial(self._rank_of_lane, kind))
            for scope in kind:
                self._kinds_in.setdefault(scope, {})[kind] = None
        if ranking.advance(tenant):
            self._stale_kinds.add(kind)

    def _rank_of_lane(self, kind: Kind, tenant: str) -> Rank | None:
        share = self._shares.get(tenant, _UNKNOWN)
        if share == _UNKNOWN:
            share = self._shares[tenant] = self._share(tenant)
        if share is None:
            return None
        oldest = self._lanes[tenant][kind].oldest()
        return (share << _AT_BITS) + oldest.at, oldest.run

    def _rank_of_kind(self, kind: Kind) -> Rank | None:
        """That of its first lane."""
        ranking = self._of_kind.get(kind)
        if ranking is None or self._occupancy.kind_is_full(kind):
            return None
        first = ranking.first()
        if first is not None:
            return first[0]
        del self._of_kind[kind]
        for scope in kind:
            del self._kinds_in[scope][kind]
            if not self._kinds_in[scope]:
                del self._kinds_in[scope]
        return None
