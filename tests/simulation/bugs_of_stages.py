"""Bugs in what a runner does with stages: lists, hooks, time limits, workers, and how stages are stopped."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.simulation.patches import Patches

from penstock_runner.authoring import RunFailure
from penstock_runner.handlers import execution, fan_out, shelf, stage, watchdog
from penstock_runner.handlers.failure_hook import tell

# --- lists ---------------------------------------------------------------------------------------------


def finished_items_done_again(patches: Patches) -> None:
    real = patches.put(shelf.Shelf, "load", None)

    async def load(self: Any, run: Any) -> None:
        results = {name: result for name, result in run["results"].items() if "." not in name}
        await real(self, run | {"results": results})

    patches.change(shelf.Shelf, "load", load)


def items_forgotten_before_their_stage_is_finished(patches: Patches) -> None:
    real = patches.put(fan_out.FanOut, "_together", None)

    async def together(self: Any, names: tuple[str, ...], duration_ms: int) -> Any:
        await self._journal.commit([], {}, names)
        return await real(self, names, duration_ms)

    patches.change(fan_out.FanOut, "_together", together)


def all_items_at_once(patches: Patches) -> None:
    real = patches.put(fan_out.FanOut, "__init__", None)

    def begin(self: Any, *given: Any) -> None:
        real(self, *given)
        self._places = asyncio.Semaphore(1000)

    patches.change(fan_out.FanOut, "__init__", begin)


# --- the hook ------------------------------------------------------------------------------------------


def hook_not_told(patches: Patches) -> None:
    async def nothing(_claimed: Any, _failure: Any) -> None:
        return

    patches.put(execution, "tell", nothing)


def failure_forgotten_by_the_next_runner(patches: Patches) -> None:
    patches.put(execution, "failing", lambda _run: None)


def hook_told_before_it_is_written_down(patches: Patches) -> None:
    real = patches.put(execution.Execution, "_fail_with", None)

    async def fail_with(self: Any, failed_stage: Any, attempt: int, outcome: Any) -> None:
        if self._claimed.plan.workflow.on_failure is not None and not self._failing:
            await tell(self._claimed, RunFailure(failed_stage.name, outcome.error, outcome.message))
        await real(self, failed_stage, attempt, outcome)

    patches.change(execution.Execution, "_fail_with", fail_with)


# --- time limits, and how stages are stopped -----------------------------------------------------------


def no_time_limit(patches: Patches) -> None:
    patches.put(watchdog.Watchdog, "turn", lambda _self: None)


def no_time_limit_for_workers(patches: Patches) -> None:
    real = patches.put(stage.Attempt, "begin", None)

    def begin(self: Any) -> None:
        if self._stage.name not in self._claimed.plan.blocking:
            real(self)

    patches.change(stage.Attempt, "begin", begin)


def cancelled_without_waiting_for_stages(patches: Patches) -> None:
    async def let_go(_self: Any, _branches: Any) -> None:
        return

    patches.put(execution.Execution, "_let_go", let_go)


def cancelled_from_within_is_taken_for_a_stop(patches: Patches) -> None:
    patches.put(stage, "StageCancelled", asyncio.CancelledError)
