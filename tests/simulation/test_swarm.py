"""Many seeds that break nothing, and have not met what they should have met, are no success."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from tests.simulation import __main__ as command
from tests.simulation.exhaustive import FAILING
from tests.simulation.plan import KINDS, OF_SHARDS, RELEASED
from tests.simulation.sightings import SITUATIONS, Sightings
from tests.simulation.swarm import SURE_SEEDS
from tests.simulation.world import Result, simulate

EVERYTHING = (*KINDS, *OF_SHARDS, RELEASED, *SITUATIONS)
RARE = "a late enqueue was refused after the run's end (37)"


@pytest.mark.parametrize(
    ("seeds", "met", "status"),
    [
        (SURE_SEEDS, EVERYTHING, 0),
        (SURE_SEEDS, [what for what in EVERYTHING if what != RARE], 1),
        (SURE_SEEDS - 1, [what for what in EVERYTHING if what != RARE], 0),
    ],
)
def test_enough_seeds_that_have_not_met_everything_fail(
    seeds: int, met: Sequence[str], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Sightings()
    seen.counts.update(met)
    result = replace(simulate(replace(FAILING, runs=0)), sightings=seen)

    def simulated(numbers: Sequence[int], _jobs: int) -> Iterator[Result]:
        return (result for _ in numbers)

    monkeypatch.setattr(command, "simulate_seeds", simulated)
    assert command.main(["--seeds", str(seeds)]) == status
    said = capsys.readouterr().out
    assert (f"not reached: {RARE}" in said) == (RARE not in met)
    assert ("not reached: 37, an enqueue lands late, after the run's end" in said) == (RARE not in met)
    assert ("counts as a failure" in said) == bool(status)
    assert said.splitlines()[-1].startswith(f"{seeds:,} seeds, 0 violations, " if seeds < 1000 else "1,000 seeds, 0 ")
