"""Whose turn it is among everybody who waits.

First the tenants that hold fewer tokens than their least share. Then the tenant that holds the fewest tokens for
its weight; a tie goes to the one with the oldest waiting run. Inside the tenant the most urgent run: priority 1
comes first, and AGE_SECONDS of waiting count as much as one priority; inside a priority the oldest run. A tenant
at its limit takes no part, nor does a workflow or a resource at its limit, nor a version that no runner serves: its
runs are skipped and block nobody behind them.

A run's urgency is the time of its acceptance plus AGE_SECONDS for each priority below the first. It never changes
while the run waits, so everybody who looks computes the same order, nobody has to ask a clock, and nothing has to
be moved from band to band. A run is overtaken only by runs that are accepted within AGE_SECONDS for each priority
between them after it.

Runs of one workflow that use the same resources are of one kind. A kind that a limit can stop is a group by itself; all
others are one group, which is never full. What no runner serves is a group that has no turns. Each pair of tenant and
group is a lane. Every group ranks its lanes, and one ranking on top compares the groups' first lanes, so that a tenant
that moves forward costs the logarithm of the number of lanes, times the few groups that it waits in, one that moves back
costs less, and the number of waiting runs never matters.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import TypeAlias

from penstock_backbone.records.limits import HUNGRY_MAX
from penstock_orchestrator.domain.line import Line
from penstock_orchestrator.domain.occupancy import Kind, Occupancy
from penstock_orchestrator.domain.ranking import Rank, Ranking
from penstock_orchestrator.domain.token import Token

Urgency: TypeAlias = tuple[int, Token]
_Alike: TypeAlias = tuple[Kind, str, int]
"""Kind, what a runner must serve, and priority."""
_Share: TypeAlias = tuple[int, int | None]
"""How many tokens a tenant held when it was last ranked, and by what it was ranked then; None: it was at its limit."""

AGE_SECONDS = 900
"""A waiting run is worth one priority more after so long: half of what a build commonly takes."""
_AGE_MS = AGE_SECONDS * 1000


_token_of: Callable[[Urgency], Token] = itemgetter(1)


def urgency(token: Token) -> Urgency:
    """The smallest goes first; of two alike, the one that was accepted first."""
    return token.at + (token.priority - 1) * _AGE_MS, token


_NEVER_FULL: Kind = ()
_UNSERVED: Kind = ("no runner serves it",)
_AT_BITS = 48
"""Of a rank: a time of acceptance (ms) in its low bits, the tenant's share above them."""


class _Lane:
    """What one tenant has waiting of one group: lines of what is alike, and whose turn it is among their first.

    What has been found out stays until it changes: a tenant is ranked far more often for what it holds.
    """

    __slots__ = ("_next", "_oldest", "_ranked", "_turns", "lines")

    def __init__(self) -> None:
        self.lines: dict[_Alike, Line] = {}
        self._turns: dict[_Alike, Urgency] = {}
        self._oldest: Token | None = None
        self._ranked: Token | None = None
        self._next: Urgency | None = None

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def oldest(self) -> Token:
        """What the tenant is ranked by."""
        if self._oldest is None:
            self._oldest = min(map(_token_of, self._turns.values()))
        self._ranked = self._oldest
        return self._oldest

    def next(self) -> Urgency:
        if self._next is None:
            self._next = min(self._turns.values())
        return self._next

    def add(self, token: Token) -> bool:
        """Whether it may rank better than it last did: whoever stands behind others, or comes back, changes nobody's turn."""
        name = token.kind, token.needs, token.priority
        line = self.lines.get(name)
        if line is None:
            line = self.lines[name] = Line()
        line.add(token)
        if line.first is not token:
            return False
        turn = self._turns[name] = urgency(token)
        if self._next is not None and turn < self._next:
            self._next = turn
        if self._oldest is not None and token < self._oldest:
            self._oldest = token
        return self._ranked is None or token < self._ranked

    def remove(self, token: Token) -> None:
        name = token.kind, token.needs, token.priority
        line = self.lines[name]
        line.remove(token)
        if not len(line):
            del self.lines[name], self._turns[name]
        elif self._turns[name][1] is token:
            self._turns[name] = urgency(line.first)
        if self._next is not None and self._next[1] is token:
            self._next = None
        if self._oldest is token:
            self._oldest = None

    def adopt(self, name: _Alike, line: Line) -> None:
        self.lines[name] = line
        self._turns[name] = urgency(line.first)


class Picker:
    """Reads the occupancy and never changes it; whoever frees something of it says so with `freed`.

    Who has moved forward is ranked only when somebody asks who is next, so that moves which follow each other cost one
    ranking, and moves that are taken back cost almost nothing.
    """

    __slots__ = (
        "_groups", "_groups_in", "_lanes", "_occupancy", "_of_group", "_shares", "_stale_groups", "_stale_lanes",
        "_stale_tenants",
    )  # fmt: skip

    def __init__(self, occupancy: Occupancy) -> None:
        self._occupancy = occupancy
        self._lanes: dict[str, dict[Kind, _Lane]] = {}
        self._of_group: dict[Kind, Ranking[str]] = {}
        self._groups: Ranking[Kind] = Ranking(self._rank_of_group)
        self._groups_in: dict[str, dict[Kind, None]] = {}
        self._shares: dict[str, _Share] = {}
        self._stale_lanes: set[tuple[str, Kind]] = set()
        self._stale_tenants: set[str] = set()
        self._stale_groups: set[Kind] = set()

    def add(self, token: Token) -> None:
        group = self._group(token.kind, token.needs)
        if self._lane(token.tenant, group).add(token):
            self._stale_lanes.add((token.tenant, group))

    def remove(self, token: Token) -> None:
        group = self._group(token.kind, token.needs)
        lane = self._lanes[token.tenant][group]
        lane.remove(token)
        if not lane.lines:
            self._stale_lanes.add((token.tenant, group))

    def freed(self, tenant: str, kind: Kind) -> None:
        """By the tenant, and of the kind: with it, of those that share a scope with it."""
        self._stale_tenants.add(tenant)
        if self._groups_in:
            self.scopes_changed(kind)

    def scopes_changed(self, scopes: Iterable[str]) -> None:
        """What is held in them, here or elsewhere."""
        for scope in scopes:
            if scope in self._groups_in:
                self._stale_groups.update(self._groups_in[scope])

    def limits_changed(self) -> None:
        """The one change that costs in proportion to the number of lines: what can be stopped is grouped anew. So is what
        is served."""
        before, self._lanes = self._lanes, {}
        self._of_group, self._groups, self._groups_in = {}, Ranking(self._rank_of_group), {}
        self._shares.clear()
        self._stale_tenants.clear()
        self._stale_groups.clear()
        for tenant, lanes in before.items():
            for lane in lanes.values():
                for name, line in lane.lines.items():
                    self._lane(tenant, self._group(*name[:2])).adopt(name, line)
        self._stale_lanes = {(tenant, group) for tenant, lanes in self._lanes.items() for group in lanes}

    def next(self) -> Token | None:
        """The one whose turn it is, whatever the fleet's limit says; None when nobody may go."""
        self._rank()
        first = self._groups.first()
        if first is None:
            return None
        lanes = self._lanes[self._of_group[first[2]].front].items()
        full = self._occupancy.kind_is_full
        _, token = min([lane.next() for group, lane in lanes if group is not _UNSERVED and not full(group)])
        return token

    def tenants(self) -> Iterator[str]:
        """Those who have somebody waiting, and perhaps some who no longer have."""
        return iter(self._lanes)

    def waiting(self, tenant: str) -> int:
        return sum(map(len, self._lanes.get(tenant, {}).values()))

    def passed_over(self, tenant: str) -> int:
        """How many of them are kept out by more than the tenant's limit and the fleet's."""
        return sum(len(lane) for group, lane in self._lanes.get(tenant, {}).items() if self._is_closed(group))

    def hungry(self) -> int:
        """How many tenants hold nothing and have somebody waiting whom only the fleet's limit can keep out: HUNGRY_MAX at
        most, so that not all are looked at."""
        occupancy = self._occupancy
        found = (
            tenant
            for tenant, lanes in self._lanes.items()
            if not occupancy.of_tenant(tenant)
            and not occupancy.tenant_is_full(tenant)
            and any(lane.lines and not self._is_closed(group) for group, lane in lanes.items())
        )
        return len(list(islice(found, HUNGRY_MAX)))

    def line_of(self, tenant: str) -> Iterator[Token]:
        """The tenant's waiting tokens, the most urgent first; read only as far as it is needed."""
        lanes = self._lanes.get(tenant, {}).values()
        return heapq.merge(*[line for lane in lanes for line in lane.lines.values()], key=urgency)

    def _is_closed(self, group: Kind) -> bool:
        return group is _UNSERVED or self._occupancy.kind_is_full(group)

    def _group(self, kind: Kind, needs: str) -> Kind:
        """No scope at all stands for all kinds whose scopes have no limit."""
        limits = self._occupancy.limits
        if not limits.is_served(needs):
            return _UNSERVED
        return _NEVER_FULL if limits.scopes.keys().isdisjoint(kind) else kind

    def _lane(self, tenant: str, group: Kind) -> _Lane:
        lanes = self._lanes.get(tenant)
        if lanes is None:
            lanes = self._lanes[tenant] = {}
        lane = lanes.get(group)
        if lane is None:
            lane = lanes[group] = _Lane()
        return lane

    def _rank(self) -> None:
        held_by, shares = self._occupancy.of_tenant, self._shares
        for tenant in self._stale_tenants:
            known = shares.get(tenant)
            if known is None or held_by(tenant) < known[0]:
                self._rank_tenant(tenant)
        self._stale_tenants.clear()
        for tenant, group in self._stale_lanes:
            self._rank_lane(tenant, group)
        self._stale_lanes.clear()
        for group in self._stale_groups:
            self._groups.advance(group)
        self._stale_groups.clear()

    def _rank_tenant(self, tenant: str) -> None:
        """In each group that it waits for: it holds less than when it was last ranked."""
        lanes = self._lanes.get(tenant)
        if lanes is None:
            return
        for group, lane in lanes.items():
            if lane.lines:
                self._advance(tenant, group)

    def _rank_lane(self, tenant: str, group: Kind) -> None:
        lanes = self._lanes.get(tenant)
        if lanes is None or group not in lanes:
            return
        if lanes[group].lines:
            self._advance(tenant, group)
            return
        if group in self._of_group:
            self._of_group[group].forget(tenant)
        del lanes[group]
        if not lanes:
            del self._lanes[tenant]
            self._shares.pop(tenant, None)

    def _advance(self, tenant: str, group: Kind) -> None:
        if group is _UNSERVED:
            return
        ranking = self._of_group.get(group)
        if ranking is None:
            ranking = self._of_group[group] = Ranking(partial(self._rank_of_lane, group))
            for scope in group:
                self._groups_in.setdefault(scope, {})[group] = None
        if ranking.advance(tenant):
            self._stale_groups.add(group)

    def _rank_of_lane(self, group: Kind, tenant: str) -> Rank[str] | None:
        occupancy = self._occupancy
        held, known = occupancy.of_tenant(tenant), self._shares.get(tenant)
        if known is None or known[0] != held:
            known = self._shares[tenant] = held, None if occupancy.tenant_is_full(tenant) else occupancy.share(tenant)
        share = known[1]
        if share is None:
            return None
        oldest = self._lanes[tenant][group].oldest()
        return (share << _AT_BITS) + oldest.at, oldest.run, tenant

    def _rank_of_group(self, group: Kind) -> Rank[Kind] | None:
        """That of its first lane."""
        ranking = self._of_group.get(group)
        if ranking is None or self._occupancy.kind_is_full(group):
            return None
        first = ranking.first()
        if first is not None:
            return first[0], first[1], group
        del self._of_group[group]
        for scope in group:
            del self._groups_in[scope][group]
            if not self._groups_in[scope]:
                del self._groups_in[scope]
        return None
