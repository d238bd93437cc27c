"""Kills whoever has just made a write, for each single write of a whole run, one world after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.plan import EVERYTHING, RESHARDED, Fault, Plan
from tests.simulation.world import Result, World, simulate

PLAN = Plan(
    seed=1, runs=3, shuffled=False, latency=0.01, fleet=2, rates={}, faults=(), runners=2, submit_seconds=0.5,
    fault_seconds=1.0,
)  # fmt: skip
"""A small world without any other fault."""
RESHARDING = replace(
    PLAN,
    faults=tuple(Fault(at, RESHARDED, EVERYTHING, "", 0.0, shards) for at, shards in ((0.0, 3), (0.6, 2))),
)
"""The same, with three shards and then two."""


def crash_after_each_write(plan: Plan = PLAN) -> Iterator[Result]:
    """The first result is the undisturbed world; its number of writes says how many there are to die of."""
    world = World(plan)
    yield world.run()
    batches = set(world.network.batches)
    for write in range(1, world.network.writes + 1):
        for partly in (False, True) if write in batches else (False,):
            yield simulate(replace(plan, crash_after=write, crash_partly=partly))
