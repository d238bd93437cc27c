"""A few of the named bugs, which the simulation must find; all of them are hunted by `make mutants`."""

from __future__ import annotations

import inspect

import pytest
from tests.simulation.mutants import hunt
from tests.simulation.mutations import MUTATIONS
from tests.simulation.patches import Mutation, Patches
from tests.simulation.plan import plan_of
from tests.simulation.world import simulate

QUICK = {
    "no compare-and-swap on the head": 0,
    "an overtaken gate is not read again": 0,
    "a slot is freed before its run is fenced off": 0,
    "no self-fence": 5,
    "the relay skips a failed record": 15,
    "last come, first served": 4,
    "an old map of the tenants is accepted": 1,
    "a held token moves without its budget": 5,
}
"""With the seed that is tried first, because it has shown the bug before; then come all the others."""
SEEDS_MAX = 25


@pytest.mark.parametrize("name", QUICK)
def test_a_named_bug_is_found(name: str) -> None:
    (mutation,) = [mutation for mutation in MUTATIONS if mutation.name == name]
    seeds = [*range(QUICK[name], SEEDS_MAX), *range(QUICK[name])]
    verdict = hunt(mutation, seeds)
    assert verdict.violation is not None
    assert simulate(plan_of(seeds[verdict.seeds - 1])).violation is None, "the seed fails without the bug as well"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_bug_can_be_put_in_and_taken_out(mutation: object) -> None:
    patches = Patches()
    before = _state()
    mutation.patch(patches)  # type: ignore[attr-defined]  # pytest's ids take the parameter's type away
    patches.undo()
    assert _state() == before


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_bug_can_be_called_as_what_it_replaces(mutation: Mutation) -> None:
    """Otherwise it would be caught as a TypeError, and nobody would know whether the simulation sees the bug itself."""
    patches = Patches()
    mutation.patch(patches)
    try:
        for name, old, new in patches.replaced():
            if callable(old) and not isinstance(old, type):
                _demand_fit(name, inspect.signature(old), inspect.signature(new))
    finally:
        patches.undo()


def _demand_fit(name: str, old: inspect.Signature, new: inspect.Signature) -> None:
    given = old.parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_place = [each.name for each in given if each.kind in kinds]
    by_name = {each.name: None for each in given if each.kind is inspect.Parameter.KEYWORD_ONLY}
    try:
        new.bind(*by_place, **by_name)
    except TypeError as error:
        raise AssertionError(f"{name}{new} cannot be called as {name}{old}: {error}") from error


def _state() -> dict[str, object]:
    from penstock_orchestrator.handlers import resharding, shard, shards, sweep  # noqa: PLC0415  # looked at each time
    from penstock_runner.handlers import claim, session  # noqa: PLC0415  # looked at each time

    return {f"{module.__name__}.{name}": value for module in (resharding, shard, shards, sweep, claim, session) for name, value in vars(module).items()}  # fmt: skip
