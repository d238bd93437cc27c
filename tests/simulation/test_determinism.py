"""The same seed is the same world, whatever else the machine does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.plan import plan_of, shortened
from tests.simulation.world import simulate

ROOT = Path(__file__).parents[2]
SEEDS = (3, 12)


def test_a_seed_played_twice_is_the_same_to_the_last_step() -> None:
    for seed in SEEDS:
        first, second = simulate(plan_of(seed)), simulate(plan_of(seed))
        assert first.fingerprint == second.fingerprint
        assert (first.steps, first.sightings.counts) == (second.steps, second.sightings.counts)


def test_a_seed_is_the_same_in_another_process_with_other_hashes() -> None:
    fingerprints = {_played(hash_seed) for hash_seed in ("1", "77")}
    assert fingerprints == {simulate(plan_of(SEEDS[0])).fingerprint}


def test_different_seeds_are_different_worlds() -> None:
    assert simulate(plan_of(1)).fingerprint != simulate(plan_of(2)).fingerprint


def test_taking_a_fault_away_leaves_the_wishes_and_their_work_as_they_were() -> None:
    plan = plan_of(SEEDS[1])
    whole, calm = simulate(plan), simulate(shortened(plan, []))
    assert whole.violation is None
    assert calm.violation is None
    assert sum(calm.sightings.counts[fault.kind] for fault in plan.faults) == 0


def _played(hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(SEEDS[0])]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return said.stdout.split()[-1]
