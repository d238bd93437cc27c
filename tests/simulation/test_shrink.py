"""A failing list of faults becomes short, and stays one that fails."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.plan import Fault
from tests.simulation.shrink import shrunk

FAULTS = [Fault(float(number), "killed", f"runner-{number}") for number in range(40)]


def test_only_the_faults_that_are_needed_together_are_left() -> None:
    needed = {FAULTS[3], FAULTS[17], FAULTS[38]}

    def fails(faults: Sequence[Fault]) -> bool:
        return needed <= set(faults)

    assert set(shrunk(FAULTS, fails)) == needed


def test_a_failure_without_any_fault_needs_none() -> None:
    assert shrunk(FAULTS, lambda _: True) == []
