"""Kills whoever has just made a write, for each single write of a whole world, one world after another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial

from tests.simulation.plan import EVERYTHING, RESHARDED, RUNNERS, YIELDS_SWITCHED, Fault, Plan
from tests.simulation.swarm import simulate_all
from tests.simulation.world import Result, World, simulate

from penstock_backbone.records.limits import FLEET

FAILING = Plan(
    seed=1, runs=3, shuffled=False, latency=0.01, fleet=2, rates={}, faults=(), runners=2, submit_seconds=0.5,
    fault_seconds=1.0,
)  # fmt: skip
"""A small world without any other fault, in which runs fail and are asked for again."""
TURNS = replace(FAILING, seed=260, faults=(Fault(0.0, YIELDS_SWITCHED, FLEET, "", 0.0, 1),))
"""One run is asked to yield and does; one waits for an answer, a signal and a time, and is woken; one is paused and goes on;
one is cancelled."""
LOSSES = replace(
    FAILING,
    seed=17,
    runs=1,
    fault_seconds=23.0,
    faults=(
        Fault(0.0, "dispatches lost", EVERYTHING, "", 7.5),
        *(Fault(17.5, "killed", name, "", 1.0) for name in RUNNERS[:2]),
    ),
)
"""Nobody hears of a grant, and it is revoked; then both runners die in the middle of a list, and somebody goes on with it."""
RESHARDING = replace(
    FAILING,
    faults=tuple(Fault(at, RESHARDED, EVERYTHING, "", 0.0, shards) for at, shards in ((0.0, 3), (0.6, 1))),
)
"""The first of these, with three shards and then one, to which tokens move."""
PLANS: Mapping[str, Plan] = {"failing": FAILING, "turns": TURNS, "losses": LOSSES, "resharding": RESHARDING}


def crash_after_writes(plan: Plan, jobs: int = 1, every: int = 1) -> Iterator[Result]:
    """The first result is the undisturbed world; its number of writes says how many deaths there are, of which every n-th
    is played."""
    world = World(plan)
    yield world.run()
    chosen = deaths(world.network.writes, set(world.network.batches))[::every]
    yield from simulate_all(chosen, jobs, partial(_dead, plan))


def deaths(writes: int, batches: Collection[int]) -> list[tuple[int, bool]]:
    """After each write, and in the middle of those that are batches."""
    return [
        (write, partly)
        for write in range(1, writes + 1)
        for partly in ((False, True) if write in batches else (False,))
    ]


def crash_after(plan: Plan, write: int, *, partly: bool) -> Plan:
    return replace(plan, crash_after=write, crash_partly=partly)


def _dead(plan: Plan, death: tuple[int, bool]) -> Result:
    write, partly = death
    return simulate(crash_after(plan, write, partly=partly))
