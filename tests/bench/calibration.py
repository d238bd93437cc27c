"""How often runs start when GET /v1/runs/…/admission said that they would: the orchestrator and the API in virtual time.

From a seed: the figures are the same on every machine.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random  # noqa: TID251  # the benchmark throws its own dice, always from a seed
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.orchestrator.world import World, hints, run_of

from penstock_api.domain.views import StartEstimate
from penstock_api.handlers.catalog import Catalog
from penstock_api.handlers.fleet import Fleet
from penstock_api.handlers.leases import Leases
from penstock_api.handlers.projects import Projects
from penstock_orchestrator.bootstrap import Parts
from penstock_orchestrator.domain.hints import Hints

Figures = dict[str, float]

FLEET_LIMIT = 10
TENANTS = ("a", "b", "c", "d")
BUILD_SECONDS = 1_800.0
"""The median; durations are lognormal, as builds' are."""
SPREAD = 0.5
LOADS = (0.95, 1.2)
"""Of the fleet: a line that empties now and then, and one that grows."""
RUNS = 800


@dataclass(slots=True)
class _Tally:
    asked: int = 0
    unknown: int = 0
    within_p50: int = 0
    within_p90: int = 0

    @property
    def estimated(self) -> int:
        return self.asked - self.unknown


@dataclass(slots=True)
class _Asked:
    at: float
    estimate: StartEstimate


def calibrating() -> Figures:
    """start_within_p50_pct, start_within_p90_pct: of the runs that waited and were given an estimate; 50 and 90 are right.

    start_in_range_pct: those that started between the two. start_unknown_pct: of all that waited, those of which the
    answer was that it is not known.
    """
    tally = _Tally()
    for place, load in enumerate(LOADS):
        asyncio.run(_Line(load, random.Random(place), tally).play())
    sys.stdout.write(f"{tally.asked} runs that waited were asked about, and {tally.estimated} got an estimate\n")
    return {
        "start_within_p50_pct": 100 * tally.within_p50 / tally.estimated,
        "start_within_p90_pct": 100 * tally.within_p90 / tally.estimated,
        "start_in_range_pct": 100 * (tally.within_p90 - tally.within_p50) / tally.estimated,
        "start_unknown_pct": 100 * tally.unknown / tally.asked,
    }


@dataclass(slots=True)
class _Line:
    """Each run is asked about once, when it has joined the line."""

    load: float
    chance: random.Random
    tally: _Tally
    world: World = field(default_factory=World)
    ends: list[tuple[float, str]] = field(default_factory=list)
    asked: dict[str, _Asked] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)

    async def play(self) -> None:
        world = self.world
        await world.limit(fleet=FLEET_LIMIT)
        await world.open_session("ses_1")
        parts = world.orchestrator()
        tables = world.engine.tables
        api = Projects(
            tables, Catalog(tables, world.clock), Leases(tables, world.clock), Fleet(tables, world.clock), world.clock
        )
        for number, arrival in enumerate(self._arrivals(), start=1):
            await self._end(parts, arrival)
            world.clock.elapsed = arrival
            tenant = self.chance.choice(TENANTS)
            project = await world.submit(number, tenant=tenant)
            await self._turn(parts, hints(projects=[project]))
            await self._ask(api, tenant, run_of(project))
        await self._end(parts, math.inf)
        assert not self.asked, "somebody has never begun"

    async def _end(self, parts: Parts, until: float) -> None:
        """The runs that end by then."""
        while self.ends and self.ends[0][0] <= until:
            self.world.clock.elapsed, run = heapq.heappop(self.ends)
            await self.world.finish(run)
            await self._turn(parts, hints(runs=[run]))

    async def _turn(self, parts: Parts, found: Hints) -> None:
        await parts.admission.turn(found)
        now = self.world.clock.elapsed
        for token in list(parts.admission.shards.held.values()):
            if token.run in self.begun:
                continue
            self.begun.add(token.run)
            await self.world.claim(token.run, fence=token.fence)
            heapq.heappush(self.ends, (now + BUILD_SECONDS * self.chance.lognormvariate(0, SPREAD), token.run))
            asked = self.asked.pop(token.run, None)
            if asked is not None:
                waited_ms = (now - asked.at) * 1000
                self.tally.within_p50 += waited_ms <= asked.estimate.p50_ms
                self.tally.within_p90 += waited_ms <= asked.estimate.p90_ms
        await parts.boards.turn()

    async def _ask(self, api: Projects, tenant: str, run: str) -> None:
        view = await api.admission(tenant, run)
        assert view is not None
        if view.state != "queued":
            return
        self.tally.asked += 1
        if view.start is None:
            self.tally.unknown += 1
        else:
            self.asked[run] = _Asked(self.world.clock.elapsed, view.start)

    def _arrivals(self) -> Iterator[float]:
        at = 0.0
        mean = BUILD_SECONDS * math.exp(SPREAD**2 / 2)
        for _ in range(RUNS):
            at += self.chance.expovariate(FLEET_LIMIT * self.load / mean)
            yield at
