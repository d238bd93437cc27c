"""What `make test` plays of the simulation: a death after each write, and blocks of seeds."""

from __future__ import annotations

import pytest
from tests.simulation.exhaustive import PLANS, crash_after_writes, deaths
from tests.simulation.plan import plan_of
from tests.simulation.replay import command_of, name_of
from tests.simulation.sightings import Sightings
from tests.simulation.swarm import Totals
from tests.simulation.world import Result, simulate

BLOCKS = 100
BLOCK_SEEDS = 10
FIRST_SEED = 500_000
EVERY_DEATH = 7
"""A slice of the deaths, both whole and partial writes among them: `.ci/run` plays all of them by `make sim EXHAUSTIVE=1`."""


def broken(results: list[Result]) -> list[str]:
    return [
        f"{name_of(result.plan)} breaks {result.violation}; replay: {command_of(result.plan, '--trace')}"
        for result in results
        if result.violation is not None
    ]


@pytest.mark.parametrize("name", PLANS)
def test_whoever_dies_after_a_write_of_a_world_everything_still_ends(name: str) -> None:
    undisturbed, *dead = crash_after_writes(PLANS[name], every=EVERY_DEATH)
    assert undisturbed.writes > 100
    assert len(dead) > undisturbed.writes // EVERY_DEATH
    assert {result.plan.crash_partly for result in dead} == {False, True}
    assert broken([undisturbed, *dead]) == []


def test_there_is_a_death_after_each_single_write_and_in_the_middle_of_each_batch() -> None:
    assert deaths(3, {2}) == [(1, False), (2, False), (2, True), (3, False)]


def test_in_the_worlds_in_which_somebody_dies_runs_rest_and_yield_and_are_paused_cancelled_revoked_and_lost() -> None:
    met = Sightings()
    for plan in PLANS.values():
        met.counts.update(simulate(plan).sightings.counts)
    expected = {
        "a run failed (66, 67)",
        "a run was retried",
        "a run rested, waiting",
        "a run yielded its slot",
        "a run was paused",
        "a run was cancelled while it waited",
        "a grant was revoked (32)",
        "a run was fenced off (51, 52)",
        "a list was taken up in the middle (51, 62)",
        "tokens moved to another shard (45)",
        "budgets were moved (46)",
    }
    assert expected - met.counts.keys() == set()


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
    assert broken(totals.failed) == []
    assert totals.grants > 4 * BLOCK_SEEDS
