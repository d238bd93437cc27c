"""What `make test` plays of the simulation: a death after each write, a block of seeds, and what seeds once found."""

from __future__ import annotations

import pytest
from tests.simulation.exhaustive import crash_after_each_write
from tests.simulation.plan import Fault, Plan, plan_of
from tests.simulation.swarm import Totals
from tests.simulation.world import simulate

BLOCKS = 20
BLOCK_SEEDS = 25
FIRST_SEED = 500_000

FOUND = {
    # A runner asked for its session, heard nothing for longer than a lease, and asked again under the same id: the
    # sweep had let that id expire and forgotten it, so it lived again and was at once taken for dead.
    "a session lives twice": Plan(
        seed=2082, runs=21, shuffled=False, latency=0.002, fleet=2,
        rates={
            "api": 0.8918761267892715, "orchestrator-1": 0.8801692007432069, "orchestrator-2": 1.0276878621398315,
            "runner-1": 0.8326658943428504, "runner-2": 0.9351934213233286, "runner-3": 1.0301652316437924,
        },
        faults=(
            Fault(0.631, "outage of everything", "everything", "", 9.399, 29357),
            Fault(3.530, "response lost", "runner-3", "tables.write sessions", 8.533, 6790),
            Fault(5.891, "sessions throttled", "everything", "", 10.0, 30226),
            Fault(17.663, "sessions throttled", "everything", "", 10.0, 14439),
            Fault(24.502, "limit changed", "fleet", "", 0.0, 8),
        ),
    ),
}  # fmt: skip


def test_whoever_dies_after_any_single_write_of_a_run_everything_still_ends() -> None:
    results = list(crash_after_each_write())
    assert len(results) > 200
    assert [result.violation for result in results if result.violation] == []


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_rule_is_broken_whatever_goes_wrong(block: int) -> None:
    totals = Totals()
    for seed in range(FIRST_SEED + block * BLOCK_SEEDS, FIRST_SEED + (block + 1) * BLOCK_SEEDS):
        totals.add(simulate(plan_of(seed)))
    broken = [f"seed {result.plan.seed}: {result.violation}" for result in totals.failed]
    assert broken == [], "replay with: python -m tests.simulation --seed <seed> --trace"
    assert totals.grants > 100


@pytest.mark.parametrize("name", FOUND)
def test_what_a_seed_once_found_stays_mended(name: str) -> None:
    assert simulate(FOUND[name]).violation is None
