"""An error that the surroundings do not explain is seen, though it happens once and is repeated by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.simulation.exhaustive import FAILING
from tests.simulation.loop import SimulationLoop
from tests.simulation.patches import Patches
from tests.simulation.world import simulate

from penstock_api.handlers.accept import Acceptance
from penstock_backbone.errors import Fatal, Invalid, Retryable
from penstock_backbone.vocabulary import Put
from penstock_orchestrator.handlers import boards, shard
from penstock_orchestrator.handlers.sweep import Sweep
from penstock_runner.handlers.runner import Runner


@pytest.fixture
def patches() -> Iterator[Patches]:
    made = Patches()
    yield made
    made.undo()


def once(patches: Patches, where: Any, name: str, error: Exception) -> None:
    """The first call fails."""
    real = patches.put(where, name, None)
    errors = [error]

    async def failing(*given: Any, **named: Any) -> Any:
        if errors:
            raise errors.pop()
        return await real(*given, **named)

    patches.change(where, name, failing)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        pytest.param(Acceptance, "accept", id="of a request"),
        pytest.param(Sweep, "turn", id="of a duty, which only warns of it"),
        pytest.param(shard.Shard, "load", id="of a service that ends with it"),
        pytest.param(Runner, "run", id="of a runner"),
    ],
)
@pytest.mark.parametrize("error", [Fatal("no right to do that"), Invalid("a float in an item"), ValueError("a defect")])
def test_an_error_that_no_repetition_helps_is_a_violation(
    where: Any, name: str, error: Exception, patches: Patches
) -> None:
    once(patches, where, name, error)
    assert (simulate(FAILING).violation or "").startswith("log: ")


def test_an_error_of_the_surroundings_is_none(patches: Patches) -> None:
    for where, name in ((Acceptance, "accept"), (Sweep, "turn"), (shard.Shard, "load")):
        once(patches, where, name, Retryable("no answer came"))
    assert simulate(FAILING).violation is None


def test_a_call_that_the_engine_refuses_for_good_is_a_violation(patches: Patches) -> None:
    real = patches.put(boards, "write_board", None)

    def write_board(*given: Any, **named: Any) -> Put:
        put: Put = real(*given, **named)
        return Put(put.key, put.item | {"held": 0.5})

    patches.change(boards, "write_board", write_board)
    assert "a call that no repetition helps, tables.write limits" in (simulate(FAILING).violation or "")


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "dropped"])
def test_a_task_that_dies_unheard_is_a_violation(patches: Patches, *, kept: bool) -> None:
    real = patches.put(Sweep, "turn", None)
    tasks: list[asyncio.Task[None]] = []

    async def dies() -> None:
        raise ValueError("a defect")

    async def turn(self: Any) -> Any:
        task = asyncio.get_running_loop().create_task(dies())
        if kept:
            tasks.append(task)
        return await real(self)

    patches.change(Sweep, "turn", turn)
    assert "a task that nobody waits for has died of ValueError" in (simulate(FAILING).violation or "")


def test_a_task_that_dies_while_others_are_waited_for_beside_it_is_none(patches: Patches) -> None:
    """Seed 170025042: one shard's loading had failed, and a sibling's call was under way when the world ended."""
    real = patches.put(Sweep, "turn", None)

    async def dies() -> None:
        raise Retryable("no answer came")

    async def gathers() -> None:
        await asyncio.gather(dies(), asyncio.Event().wait(), return_exceptions=True)

    tasks: list[asyncio.Task[None]] = []

    async def turn(self: Any) -> Any:
        tasks.append(asyncio.get_running_loop().create_task(gathers()))
        return await real(self)

    patches.change(Sweep, "turn", turn)
    assert simulate(FAILING).violation is None
    assert tasks


def test_a_task_that_is_heard_is_none() -> None:
    async def dies() -> None:
        raise ValueError("a defect")

    async def story() -> None:
        with pytest.raises(ValueError, match="a defect"):
            await asyncio.get_running_loop().create_task(dies())

    SimulationLoop(None, steps_max=100).run(story())
