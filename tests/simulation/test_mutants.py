"""A few of the named bugs, which the simulation must find; all of them are hunted by `make mutants`."""

from __future__ import annotations

import pytest
from tests.simulation.mutants import hunt
from tests.simulation.mutations import MUTATIONS
from tests.simulation.patches import Patches
from tests.simulation.plan import plan_of
from tests.simulation.world import simulate

QUICK = (
    "no compare-and-swap on the head",
    "an overtaken gate is not read again",
    "a slot is freed before its run is fenced off",
    "no self-fence",
    "the relay skips a failed record",
    "last come, first served",
    "an old map of the tenants is accepted",
    "a held token moves without its budget",
)
SEEDS_MAX = 25


@pytest.mark.parametrize("name", QUICK)
def test_a_named_bug_is_found(name: str) -> None:
    (mutation,) = [mutation for mutation in MUTATIONS if mutation.name == name]
    verdict = hunt(mutation, range(SEEDS_MAX))
    assert verdict.violation is not None
    assert simulate(plan_of(verdict.seeds - 1)).violation is None, "the seed fails without the bug as well"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_bug_can_be_put_in_and_taken_out(mutation: object) -> None:
    patches = Patches()
    before = _state()
    mutation.patch(patches)  # type: ignore[attr-defined]  # pytest's ids take the parameter's type away
    patches.undo()
    assert _state() == before


def _state() -> dict[str, object]:
    from penstock_orchestrator.handlers import resharding, shard, shards, sweep  # noqa: PLC0415  # looked at each time
    from penstock_runner.handlers import claim, session  # noqa: PLC0415  # as above

    return {f"{module.__name__}.{name}": value for module in (resharding, shard, shards, sweep, claim, session) for name, value in vars(module).items()}  # fmt: skip
