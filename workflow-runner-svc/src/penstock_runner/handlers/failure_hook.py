"""Calls a workflow's on_failure, as an attempt like those of stages: with a time limit, and again when it fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from penstock_runner.authoring import FAILURE_HOOK, FailureHook, RunFailure, Stage, StageContext
from penstock_runner.domain.plan import TryAgain, after_failure
from penstock_runner.handlers.letting_go import end
from penstock_runner.handlers.outcomes import AttemptOutcome, Failed, Suspended
from penstock_runner.handlers.stage import Attempt, ClaimedRun

HOOK_SECONDS_MAX = 60.0
HOOK_ATTEMPTS_MAX = 3


class _Nothing(BaseModel):
    """A hook has no output."""


@dataclass(frozen=True, slots=True)
class _Call:
    hook: FailureHook
    failure: RunFailure

    async def __call__(self, context: StageContext) -> _Nothing:
        await self.hook(context, self.failure)
        return _Nothing()


async def tell(claimed: ClaimedRun, failure: RunFailure) -> str | None:
    """None once the hook has returned, or where there is none; else why its last attempt failed. It is short, so that no
    wish stops it at a checkpoint: a runner that ends, a pause and a yield wait for it."""
    hook = claimed.plan.workflow.on_failure
    if hook is None:
        return None
    stage = Stage(
        FAILURE_HOOK, _Call(hook, failure), _Nothing,
        attempts_max=HOOK_ATTEMPTS_MAX, timeout_seconds=HOOK_SECONDS_MAX,
    )  # fmt: skip
    left_behind: asyncio.Future[Failed] = asyncio.get_running_loop().create_future()
    unstopped = replace(
        claimed, stopping=asyncio.Event(), leave_behind=lambda _stage, _attempt, ours: left_behind.set_result(ours)
    )
    attempt = 1
    while True:
        outcome = await _outcome(Attempt(unstopped, stage, attempt), left_behind)
        if isinstance(outcome, Suspended):
            return f"it waits, and nobody wakes it: {outcome.waits}"
        if not isinstance(outcome, Failed):
            return None
        if left_behind.done():
            return f"{outcome.error}: {outcome.message}"
        chance = claimed.world.chance.random()
        match after_failure(stage, attempt=attempt, final=outcome.final, chance=chance):
            case TryAgain(delay_seconds=delay):
                await claimed.world.clock.sleep(delay)
                attempt += 1
            case _:
                return f"{outcome.error}: {outcome.message}"


async def _outcome(attempt: Attempt, left_behind: asyncio.Future[Failed]) -> AttemptOutcome:
    """Whoever cancels this task cancels the hook's code, and waits until it has let go. Code that will not end although its
    time is over is waited for no longer: nothing of it is written down."""
    running = asyncio.create_task(attempt.run())
    cancelled = False
    ends: tuple[asyncio.Future[Any], ...] = (running, left_behind)
    while not any(end.done() for end in ends):
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            cancelled = True
            end(running)
    if cancelled:
        raise asyncio.CancelledError
    return running.result() if running.done() else left_behind.result()
