"""Calls a workflow's on_failure, as an attempt like those of stages: with a time limit, and again when it fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from pydantic import BaseModel

from penstock_runner.authoring import FAILURE_HOOK, FailureHook, RunFailure, Stage, StageContext
from penstock_runner.domain.plan import TryAgain, after_failure
from penstock_runner.handlers.outcomes import Failed, Suspended
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
    unstopped = replace(claimed, stopping=asyncio.Event())
    attempt = 1
    while True:
        outcome = await Attempt(unstopped, stage, attempt).run()
        if isinstance(outcome, Suspended):
            return f"it waits, and nobody wakes it: {outcome.waits}"
        if not isinstance(outcome, Failed):
            return None
        chance = claimed.world.chance.random()
        match after_failure(stage, attempt=attempt, final=outcome.final, chance=chance):
            case TryAgain(delay_seconds=delay):
                await claimed.world.clock.sleep(delay)
                attempt += 1
            case _:
                return f"{outcome.error}: {outcome.message}"
