"""What `make test` plays of the simulation: a death after each write, and blocks of seeds."""

from __future__ import annotations

import pytest
from tests.simulation.exhaustive import PLAN, RESHARDING, crash_after_each_write
from tests.simulation.plan import Plan, plan_of
from tests.simulation.swarm import Totals
from tests.simulation.world import simulate

BLOCKS = 100
BLOCK_SEEDS = 10
FIRST_SEED = 500_000


@pytest.mark.parametrize(
    "plan",
    [pytest.param(PLAN, id="one shard"), pytest.param(RESHARDING, id="three shards, then two", marks=pytest.mark.slow)],
)
def test_whoever_dies_after_any_single_write_of_a_run_everything_still_ends(plan: Plan) -> None:
    results = list(crash_after_each_write(plan))
    assert len(results) > 200
    assert [result.violation for result in results if result.violation] == []


def test_a_single_seed_and_its_violation_are_summed_up_as_one() -> None:
    totals = Totals(seeds=1, grants=1, runs=2, failed=[simulate(plan_of(FIRST_SEED))])
    assert totals.summary(1.0).startswith(
        "1 seed, 1 violation, 0.00 virtual hours, 2 runs, 1 grant, 0 writes, 0 steps, "
    )


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_rule_is_broken_whatever_goes_wrong(block: int) -> None:
    totals = Totals()
    for seed in range(FIRST_SEED + block * BLOCK_SEEDS, FIRST_SEED + (block + 1) * BLOCK_SEEDS):
        totals.add(simulate(plan_of(seed)))
    broken = [f"seed {result.plan.seed}: {result.violation}" for result in totals.failed]
    assert broken == [], "replay with: python -m tests.simulation --seed <seed> --trace"
    assert totals.grants > 4 * BLOCK_SEEDS
